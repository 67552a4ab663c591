"""What can be wrong with a video; returned beside the frames there are, raised only when the caller asks for it."""

from __future__ import annotations

from pathlib import Path

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

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip back from a worker process, ``missing`` included."""
        return (_rebuild, (type(self), self.problem, self.file, self.line, self.hint, self.missing))


def _rebuild(
    kind: type[VideoError],
    problem: str,
    file: str | Path | None,
    line: int | None,
    hint: str | None,
    missing: tuple[int, ...],
) -> VideoError:
    return kind(problem, file=file, line=line, hint=hint, missing=missing)


class MissingVideoError(VideoError):
    """The video, or a part of it, is not where it was looked for."""


class CorruptVideoError(VideoError):
    """The file is no video, or parts of it cannot be decoded."""


class ShortVideoError(VideoError):
    """The video ends before the clip starts or before it stops."""


class EmptyClipError(VideoError):
    """The clip asked for holds no time."""
