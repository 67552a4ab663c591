"""What can be wrong with a video; returned beside the frames there are, raised only when the caller asks for it."""

from __future__ import annotations

from typing import Any

from llavaction.base.errors import InputError


class VideoError(InputError):
    """A video cannot give (all of) what was asked of it.

    Args:
        problem, place: as for :class:`InputError`.
        missing: rows of the request for which another frame stands in.
    """

    def __init__(self, problem: str, *, missing: tuple[int, ...] = (), **place: Any) -> None:
        super().__init__(problem, **place)
        self.missing = missing

    def with_missing(self, missing: tuple[int, ...], more: str = "") -> VideoError:
        """The same error for other rows, and with something added to its text."""
        problem = f"{self.problem}; {more}" if more else self.problem
        return type(self)(problem, file=self.file, line=self.line, hint=self.hint, missing=missing)


class MissingVideoError(VideoError):
    """The video, or a part of it, is not where it was looked for."""


class CorruptVideoError(VideoError):
    """The file is no video, or parts of it cannot be decoded."""


class ShortVideoError(VideoError):
    """The video ends before the clip starts or before it stops."""


class EmptyClipError(VideoError):
    """The clip asked for holds no time."""
