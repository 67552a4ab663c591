"""A decoded clip: its frames and their times, what it lacks, or why there is nothing to see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Clip
from llavaction.base.errors import reason


@dataclass(frozen=True)
class DecodedClip:
    """The frames of a clip.

    Attributes:
        frames: uint8 [frames, height, width, 3] RGB, at least one unless there is an ``error``.
        times: float64 [frames], seconds from the clip's start at which they were taken.
        duration: of the clip, in seconds.
        error: why nothing could be decoded.
        note: why not everything could be.
        stand_ins: places of the frames that stand in for missing ones.
    """

    frames: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 0, 3), np.uint8))
    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    duration: float = 0.0
    error: str | None = None
    note: str | None = None
    stand_ins: tuple[int, ...] = ()

    @classmethod
    def evenly(cls, frames: NDArray[np.uint8], duration: float) -> DecodedClip:
        """Frames taken at the centres of equal parts of a clip."""
        spacing = duration / max(len(frames), 1)
        return cls(frames, np.asarray((np.arange(len(frames)) + 0.5) * spacing, dtype=np.float64), duration)

    @property
    def record_fields(self) -> dict[str, Any]:
        """What a record of the answer keeps of the clip; nothing where it was complete."""
        return {} if self.note is None else {"note": self.note, "stand_ins": self.stand_ins}

    @property
    def nbytes(self) -> int:
        """Bytes of the frames."""
        return self.frames.nbytes


class Frames(Protocol):
    """What a library returns for a clip."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """[frames, height, width, 3] RGB; no frames where nothing could be decoded."""

    @property
    def times(self) -> NDArray[np.float64]:
        """[frames], seconds from the video's first frame."""

    @property
    def error(self) -> Exception | None:
        """Why not everything could be decoded; other frames then stand in for the missing ones."""


class Library(Protocol):
    """Where clips come from; :class:`llavaction.video.library.VideoLibrary` is one."""

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> Frames:
        """Decode ``count`` frames of ``clip``."""


def decoded(frames: Frames, clip: Clip) -> DecodedClip:
    """What a library returned for a clip, its times counted from the clip's start."""
    if not len(frames.images):
        problem = reason(frames.error) if frames.error else "no frame could be decoded"
        return DecodedClip(duration=clip.duration, error=problem)
    times = np.maximum(np.asarray(frames.times, dtype=np.float64) - clip.start, 0.0)
    if frames.error is None:
        return DecodedClip(frames.images, times, clip.duration)
    lacking = tuple(getattr(frames, "stand_ins", ()))
    return DecodedClip(frames.images, times, clip.duration, note=reason(frames.error), stand_ins=lacking)


def decode(library: Library, clip: Clip, count: int, segment_id: str | None = None) -> DecodedClip:
    """Decode one clip; whatever goes wrong becomes its ``error``, because one bad video must not end a run."""
    try:
        frames = library.read(clip, count, segment_id=segment_id)
    except Exception as problem:  # a decoder may raise anything on a damaged file
        return DecodedClip(duration=clip.duration, error=reason(problem))
    return decoded(frames, clip)
