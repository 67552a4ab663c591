"""The loop of a run: clips decoded ahead within a budget of memory, every batch on disk before the next begins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from llavaction.actions.segments import Clip
from llavaction.base.byte_budget import AHEAD, ByteBudget
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import FileFacts
from llavaction.base.progress import progress
from llavaction.base.records import AnyRecord
from llavaction.runs.folder import RunFolder
from llavaction.runs.journal import Journal
from llavaction.video.decoded import DecodedClip, Library, decode

HOPELESS = 32
"""A run stops if none of this many first questions can be asked: then it is not the videos but the folder given."""


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


@dataclass(frozen=True)
class Pace:
    """How a run goes through its clips.

    Attributes:
        library: where they come from; None where nobody looks.
        frames: per clip; 0 where nobody looks.
        batch_size: items at a time.
        workers: threads that decode ahead; does not change the result.
        retry_failed: deal again with those that failed last time.
    """

    library: Library | None = None
    frames: int = 0
    batch_size: int = 4
    workers: int = 2
    retry_failed: bool = False

    def facts(self, items: Sequence[Item]) -> dict[str, FileFacts] | None:
        """What the videos of items are known by, those that are there; None where nobody looks."""
        if self.library is None or not self.frames:
            return None
        facts_of = getattr(self.library, "facts", None)
        return {} if facts_of is None else dict(facts_of({(item.clip.video_id, item.query_id) for item in items}))


def go_through(
    folder: RunFolder,
    journal: Journal[AnyRecord],
    items: Sequence[AnyItem],
    answer: Callable[[Sequence[AnyItem], Clips], list[AnyRecord]],
    pace: Pace,
    what: str,
) -> tuple[list[AnyRecord], int]:
    """Deal with what is not in the journal yet: the part of a run that can be killed and started again.

    The rest is done in the same batches as without an interruption. The folder's metrics are removed before anything is
    done; completing it is up to the caller.

    Args:
        folder: of the run, settled.
        journal: its records; they have an ``error`` where the item could not be dealt with.
        items: all of them; what is in the journal is filed under their ids.
        answer: the records of a batch, given what is seen of each item.
        pace: where clips come from, and how many at a time.
        what: for the progress bar.

    Returns:
        One record per item, in their order, and how many are new.

    Raises:
        InputError: none of the first items (:data:`HOPELESS`) can be dealt with.
    """
    batches = [items[i : i + pace.batch_size] for i in range(0, len(items), pace.batch_size)]
    if pace.retry_failed:
        _forget_failures(journal, batches)
    todo = [batch for batch in batches if any(item.query_id not in journal.done for item in batch)]
    before = len(journal.done)
    if todo:
        folder.go_on()
    clips = clips_ahead(todo, pace.library if pace.frames else None, pace.frames, pace.workers)
    _work_off(clips, len(todo), answer, journal, what)
    records = [journal.done[item.query_id] for item in items]
    if list(journal.done.values()) != records:
        journal.rewrite(records)
    return records, len(journal.done) - before


def _forget_failures(journal: Journal[AnyRecord], batches: Sequence[Sequence[Item]]) -> None:
    """Take from the journal every batch of which an item failed, so that all of it is done again."""
    failed = {name for name, record in journal.done.items() if _error(record) is not None}
    again = {i.query_id for batch in batches if any(i.query_id in failed for i in batch) for i in batch}
    if again:
        journal.rewrite(record for name, record in journal.done.items() if name not in again)


def _work_off(
    clips: Generator[tuple[Sequence[AnyItem], list[DecodedClip | None]], None, None],
    total: int,
    answer: Callable[[Sequence[AnyItem], Clips], list[AnyRecord]],
    journal: Journal[AnyRecord],
    what: str,
) -> None:
    """Answer batch after batch; each is on disk before the next is begun, and what is there already stays."""
    held: list[AnyRecord] = []
    try:
        for batch, seen in progress(clips, what, total=total):
            fresh = [record for record in answer(batch, seen) if journal.id_of(record) not in journal.done]
            held += fresh
            if journal.done or any(_error(record) is None for record in fresh):
                journal.append(held)
                held = []
            elif len(held) >= HOPELESS:
                raise InputError(
                    f"none of the first {len(held)} questions could be asked; the first: {_error(held[0])}",
                    hint="check the folder of videos and that it belongs to these questions",
                )
    finally:
        clips.close()
    if held:
        journal.append(held)


def _error(record: Any) -> str | None:
    error: str | None = record.error
    return error


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
