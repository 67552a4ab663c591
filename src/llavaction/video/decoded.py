"""Decoded clips: their frames and times, what they lack or why nothing is to be seen; many of them, decoded ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Clip
from llavaction.base.byte_budget import AHEAD, ByteBudget
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


class Item(Protocol):
    """What a run deals with one by one."""

    @property
    def query_id(self) -> str:
        """What its record is filed under."""
        ...

    @property
    def clip(self) -> Clip:
        """What is seen of it."""
        ...


AnyItem = TypeVar("AnyItem", bound=Item)
Clips = Sequence[DecodedClip | None]
"""One for each item of a batch; None where nobody looks."""


def clips_ahead(
    batches: Sequence[Sequence[AnyItem]], library: Library | None, count: int, workers: int, most: int = AHEAD
) -> Generator[tuple[Sequence[AnyItem], list[DecodedClip | None]], None, None]:
    """Batches with their clips, decoded ahead by as many clips as a batch holds and one per worker.

    Clips decoded and not yet dealt with take at most ``most`` bytes, or one of them is larger. A batch that takes more
    comes in parts; where they begin depends on the clips alone. A list of clips is emptied when the next is asked for.

    Args:
        batches: the items.
        library: where clips come from; None where nobody looks.
        count: frames per clip.
        workers: threads that decode.
        most: bytes that may be decoded ahead.
    """
    if library is None:
        for batch in batches:
            yield batch, [None] * len(batch)
        return
    ahead = max((len(batch) for batch in batches), default=0) + workers
    upcoming = enumerate([item for batch in batches for item in batch])
    waiting: deque[Future[list[DecodedClip]]] = deque()  # in lists to take from: threads hold on to results
    budget, largest = ByteBudget(most), 0
    due, dealt = -1, 0  # the clip that is waited for; how many there were

    def one(place: int, item: AnyItem) -> list[DecodedClip]:
        nonlocal largest
        taken = budget.take(lambda: largest or most, lambda: place == due, turn=place)
        if taken < 0:
            return [DecodedClip(error="not needed any more")]
        clip = decode(library, item.clip, count, item.query_id)
        largest = max(largest, clip.nbytes)
        budget.give(taken - clip.nbytes)
        return [clip]

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for batch in batches:
            clips: list[DecodedClip | None] = []
            begin, known, held = 0, 0, 0
            for place in range(len(batch)):
                if clips and held + known > most:
                    yield batch[begin:place], clips
                    clips.clear()
                    budget.give(held)
                    begin, held = place, 0
                while len(waiting) < ahead and (following := next(upcoming, None)) is not None:
                    waiting.append(pool.submit(one, *following))
                due = dealt
                budget.give(0)  # who decodes it looks again
                clips.append(waiting.popleft().result().pop())
                due, dealt = -1, dealt + 1
                size = 0 if clips[-1] is None else clips[-1].nbytes
                known, held = max(known, size), held + size
            yield batch[begin:], clips
            clips.clear()
            budget.give(held)
    finally:
        budget.close()
        pool.shutdown(wait=True, cancel_futures=True)
