"""What is seen of clips: frames decoded ahead within a budget of memory; a clip that cannot be read is a reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Clip
from llavaction.base.byte_budget import AHEAD, ByteBudget
from llavaction.base.errors import InputError, LlavactionError
from llavaction.questions.schema import Question

Batch = Sequence[Question]


class Frames(Protocol):
    """What a library returns for a clip."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """[frames, height, width, 3] RGB; no frames where nothing could be decoded."""
        ...

    @property
    def times(self) -> NDArray[np.float64]:
        """[frames], seconds from the video's first frame."""
        ...

    @property
    def error(self) -> Exception | None:
        """Why not everything could be decoded; other frames then stand in for the missing ones."""
        ...


class Library(Protocol):
    """Where clips come from; :class:`llavaction.video.library.VideoLibrary` is one."""

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> Frames:
        """Decode ``count`` frames of ``clip``."""
        ...


@dataclass(frozen=True)
class Look:
    """What was seen of one clip.

    Attributes:
        images: [frames, height, width, 3] RGB; None where nobody looked.
        times: [frames], seconds from the clip's start.
        error: why nothing could be decoded.
        note: why not everything could be.
        stand_ins: places of the frames that stand in for missing ones.
    """

    images: NDArray[np.uint8] | None = None
    times: NDArray[np.float64] | None = None
    error: str | None = None
    note: str | None = None
    stand_ins: tuple[int, ...] = ()

    @property
    def kept(self) -> dict[str, Any]:
        """What a record of the answer keeps of the clip; nothing where it was complete."""
        return {} if self.note is None else {"note": self.note, "stand_ins": self.stand_ins}

    @property
    def nbytes(self) -> int:
        """Bytes of the frames."""
        return 0 if self.images is None else self.images.nbytes


def reason(error: Exception) -> str:
    """An error as a record keeps it: with its hint and the name of the file, but not its folder."""
    if isinstance(error, InputError):
        place = f"{Path(error.file).name}: " if error.file else ""
        return f"{place}{error.problem}" + (f" ({error.hint})" if error.hint else "")
    return str(error) if isinstance(error, LlavactionError) else f"{type(error).__name__}: {error}"


def look(library: Library, question: Question, count: int) -> Look:
    """Decode one clip; whatever goes wrong becomes text, because one bad video must not end a run."""
    try:
        frames = library.read(question.clip, count, segment_id=question.question_id)
    except Exception as problem:  # a decoder may raise anything on a damaged file
        return Look(error=reason(problem))
    if not len(frames.images):
        return Look(error=reason(frames.error) if frames.error else "no frame could be decoded")
    times = np.maximum(np.asarray(frames.times, dtype=np.float64) - question.clip.start, 0.0)
    if frames.error is None:
        return Look(frames.images, times)
    return Look(frames.images, times, note=reason(frames.error), stand_ins=getattr(frames, "stand_ins", ()))


def looks_ahead(
    batches: Sequence[Batch], library: Library | None, count: int, workers: int, most: int = AHEAD
) -> Generator[tuple[Batch, list[Look]], None, None]:
    """Batches with their frames, decoded ahead by as many clips as a batch holds and one per worker.

    Clips decoded and not yet asked about take at most ``most`` bytes, or one of them is larger. A batch that takes more
    comes in parts; where they begin depends on the clips alone. A list of looks is emptied when the next is asked for.

    Args:
        batches: the questions.
        library: where clips come from; None where nobody looks.
        count: frames per clip.
        workers: threads that decode.
        most: bytes that may be decoded ahead.
    """
    if library is None:
        for batch in batches:
            yield batch, [Look() for _ in batch]
        return
    ahead = max((len(batch) for batch in batches), default=0) + workers
    upcoming = enumerate([question for batch in batches for question in batch])
    waiting: deque[Future[list[Look]]] = deque()  # each in a list to be taken from, as threads hold on to results
    budget, largest = ByteBudget(most), 0
    due, asked = -1, 0  # the clip that is waited for; how many there were

    def decode(place: int, question: Question) -> list[Look]:
        nonlocal largest
        taken = budget.take(lambda: largest or most, lambda: place == due, turn=place)
        if taken < 0:
            return [Look(error="not needed any more")]
        seen = look(library, question, count)
        largest = max(largest, seen.nbytes)
        budget.give(taken - seen.nbytes)
        return [seen]

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for batch in batches:
            looks: list[Look] = []
            begin, known = 0, 0
            for place in range(len(batch)):
                if looks and sum(seen.nbytes for seen in looks) + known > most:
                    freed = sum(seen.nbytes for seen in looks)
                    yield batch[begin:place], looks
                    looks.clear()
                    budget.give(freed)
                    begin = place
                while len(waiting) < ahead and (following := next(upcoming, None)) is not None:
                    waiting.append(pool.submit(decode, *following))
                due = asked
                budget.give(0)  # who decodes it looks again
                looks.append(waiting.popleft().result().pop())
                due, asked = -1, asked + 1
                known = max(known, looks[-1].nbytes)
            freed = sum(seen.nbytes for seen in looks)
            yield batch[begin:], looks
            looks.clear()
            budget.give(freed)
    finally:
        budget.close()
        pool.shutdown(wait=True, cancel_futures=True)
