"""What can be wrong with a video; returned beside the frames there are, raised only when the caller asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError


class VideoError(InputError):
    """A video cannot give (all of) what was asked of it.

    Attributes:
        missing: rows of the request for which another frame stands in.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        hint: str | None = None,
        missing: tuple[int, ...] = (),
    ) -> None:
        self.missing = missing
        super().__init__(problem, file=file, line=line, hint=hint)

    def with_missing(self, missing: tuple[int, ...], more: str = "") -> VideoError:
        """The same error for other rows, and with something added to its text."""
        problem = f"{self.problem}; {more}" if more else self.problem
        return type(self)(problem, file=self.file, line=self.line, hint=self.hint, missing=missing)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip back from a worker process, ``missing`` included."""
        place = {"file": self.file, "line": self.line, "hint": self.hint, "missing": self.missing}
        return (_rebuild, (type(self), self.problem, place))


def _rebuild(kind: type[VideoError], problem: str, place: dict[str, Any]) -> VideoError:
    return kind(problem, **place)


class MissingVideoError(VideoError):
    """The video, or a part of it, is not where it was looked for."""


class CorruptVideoError(VideoError):
    """The file is no video, or parts of it cannot be decoded."""


class ShortVideoError(VideoError):
    """The video ends before the clip starts or before it stops."""


class EmptyClipError(VideoError):
    """The clip asked for holds no time."""
