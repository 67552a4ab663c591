"""Decoded frames, and the buffer they are put on while a clip is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.video.errors import CorruptVideoError, VideoError

Size = int | tuple[int, int] | None
"""Wanted picture size: length of one side in pixels, (height, width), or None for the video's own."""

Status = Literal["complete", "partial", "none"]
"""Whether a clip is what was asked for; see :attr:`Frames.status`."""

MOST_BYTES = 1 << 32
"""Bytes of the frames of one clip."""

Side = Literal["short", "long"]
"""Which side an ``int`` size is the length of; the other one follows, so that the shape of the picture is kept."""


@dataclass(frozen=True)
class Frames:
    """Frames of a clip, and what was wrong with it.

    Attributes:
        images: uint8 [frames, height, width, 3] RGB, turned the way the video is meant to be seen; [0, 0, 0, 3] where
            nothing could be decoded.
        times: float64 [frames], when each frame begins, in seconds from the video's beginning.
        error: what kept the clip from being complete; None if nothing did. Its ``missing`` names the rows for which
            another frame stands in.
    """

    images: NDArray[np.uint8]
    times: NDArray[np.float64]
    error: VideoError | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def status(self) -> Status:
        """Whether the clip is what was asked for.

        "complete": every row shows its own moment. "partial": there are frames, but the clip was cut at the video's
        end, or the ``stand_ins`` show another moment than theirs. "none": no frame.
        """
        if not len(self):
            return "none"
        return "complete" if self.error is None else "partial"

    @property
    def stand_ins(self) -> tuple[int, ...]:
        """Rows in which another frame stands in for the one of their moment, rising; empty where there are no frames.

        The moments are the centres of equal parts of the span that was asked for; one past the video's end, in a part
        that is missing, or damaged has no frame of its own.
        """
        return self.error.missing if self.error is not None and len(self) else ()

    @classmethod
    def nothing(cls, error: VideoError) -> Frames:
        """No frames at all, and why."""
        return cls(np.zeros((0, 0, 0, 3), dtype=np.uint8), np.zeros(0), error)

    def checked(self, strict: bool) -> Frames:
        """These, or where it is ``strict`` and something is wrong, that raised."""
        if strict and self.error is not None:
            raise self.error
        return self


def target_size(height: int, width: int, size: Size, side: Side = "short") -> tuple[int, int]:
    """(height, width) a picture gets; smaller pictures are enlarged too.

    Raises:
        InputError: a length is less than 1.
    """
    if size is None:
        return height, width
    if isinstance(size, int):
        length = min(height, width) if side == "short" else max(height, width)
        result = tuple(size if s == length else max(1, round(s * size / length)) for s in (height, width))
    else:
        result = tuple(size)
    if len(result) != 2 or min(result) < 1:
        raise InputError(f"a picture cannot have size {size}; expected pixels of one side or (height, width)")
    return result[0], result[1]


class FrameBuffer:
    """Collects the frames of a clip row by row; the same frame may be asked for in several rows.

    Args:
        wanted: which frame each row shows, by any number that names a frame.
    """

    def __init__(self, wanted: Sequence[int]) -> None:
        self.wanted = [int(frame) for frame in wanted]
        self._rows: dict[int, list[int]] = {}
        for row, frame in enumerate(self.wanted):
            self._rows.setdefault(frame, []).append(row)
        self._images: NDArray[np.uint8] | None = None
        self._filled: set[int] = set()

    @property
    def open(self) -> list[int]:
        """Frames that are wanted and not there yet, rising."""
        return sorted(set(self._rows) - self._filled)

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """(height, width) of the frames, once there is one."""
        return None if self._images is None else (self._images.shape[1], self._images.shape[2])

    def put(self, frame: int, image: NDArray[np.uint8]) -> None:
        """Put a picture into every row that shows ``frame``.

        Raises:
            VideoError: all rows together take more than ``MOST_BYTES``.
        """
        if self._images is None:
            if (needed := len(self.wanted) * image.nbytes) > MOST_BYTES:
                height, width = image.shape[:2]
                raise VideoError(
                    f"{len(self.wanted)} frames of {width} x {height} pixels take {needed / 1e9:.1f} GB, at most "
                    f"{MOST_BYTES / 1e9:.1f} GB are read at once",
                    hint="take fewer or smaller frames",
                )
            self._images = np.empty((len(self.wanted), *image.shape), dtype=np.uint8)
        for row in self._rows[frame]:
            self._images[row] = image
        self._filled.add(frame)

    def finish(self, times: Iterable[float], error: VideoError | None, file: str) -> Frames:
        """Let the frame before stand in for each one that is missing (the next one, where there is none before).

        Args:
            times: seconds at which the wanted frame of each row begins.
            error: what is already known to be wrong with the clip.
            file: the video, for the message.
        """
        missing = tuple(row for row, frame in enumerate(self.wanted) if frame not in self._filled)
        moments = np.asarray(list(times), dtype=np.float64)
        if self._images is None:
            problem = f"none of the {len(self.wanted)} frames asked for can be read"
            return Frames.nothing(_combined(error, problem, file, missing))
        if not missing:
            return Frames(self._images, moments, error)
        problem = (
            f"{len(missing)} of the {len(self.wanted)} frames asked for cannot be read, "
            f"the first at {moments[missing[0]]:.2f} s; the one before stands in"
        )
        present = np.asarray([row for row, frame in enumerate(self.wanted) if frame in self._filled])
        for row in missing:
            source = present[max(int(np.searchsorted(present, row)) - 1, 0)]
            self._images[row] = self._images[source]
            moments[row] = moments[source]
        return Frames(self._images, moments, _combined(error, problem, file, missing))


def _combined(error: VideoError | None, problem: str, file: str, missing: tuple[int, ...]) -> VideoError:
    if error is None:
        return CorruptVideoError(problem, file=file, missing=missing)
    return error.with_missing(tuple(sorted({*error.missing, *missing})), problem)
