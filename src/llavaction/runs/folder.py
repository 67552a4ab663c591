"""The folder of a run: one process, one configuration, the same inputs; and the way through what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llavaction.base.errors import InputError
from llavaction.base.files import unwritable
from llavaction.base.fingerprints import FileFacts
from llavaction.base.progress import progress
from llavaction.base.records import AnyRecord, read_json, write_json
from llavaction.runs.environment import record_environment
from llavaction.runs.identity import settle_config, settle_videos
from llavaction.runs.journal import Journal
from llavaction.runs.locks import folder_lock
from llavaction.video.decoded import AnyItem, Clips, DecodedClip, Item, Library, clips_ahead

METRICS = "metrics.json"
"""The file of what was measured; there once a run is complete."""

HOPELESS = 32
"""A run stops if none of this many first questions can be asked: then it is not the videos but the folder given."""


class RunFolder:
    """A run's folder while the run goes on.

    A context manager: within the block no other process writes the folder. It holds ``config.yaml`` (complete and
    resolved), ``videos.json`` (what the videos are known by), ``environment.json``, the run's journal and, once the run
    is complete, ``metrics.json``.

    Args:
        path: the folder; made if need be.
        patience: seconds to wait for another process to leave it, see :func:`folder_lock`.

    Raises:
        RunLockedError: another process writes the folder.
        InputError: the folder cannot be made.
    """

    def __init__(self, path: str | Path, patience: float = 0.0) -> None:
        self.path, self._patience = Path(path), patience
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._held.enter_context(folder_lock(self.path, self._patience))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.close()

    def hold(self, held: AbstractContextManager[Any]) -> None:
        """Enter a context that ends with the block, before the folder is left to others."""
        self._held.enter_context(held)

    def journal(self, name: str, cls: type[AnyRecord], key: str) -> Journal[AnyRecord]:
        """The run's records of one kind, open until the block ends.

        Args:
            name: of the file.
            cls: the record class.
            key: the field that holds a record's id.

        Raises:
            InputError: a finished line is not such a record.
        """
        return self._held.enter_context(Journal(self.path / name, cls, key))

    def settle(
        self,
        config: Mapping[str, Any],
        *,
        started: bool,
        free: Collection[str] = (),
        videos: Mapping[str, FileFacts] | None = None,
        environment: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what the run is known by, or make sure that it is what the run was started with.

        Args:
            config: complete and resolved, see :func:`settle_config`.
            started: there are results already.
            free: keys of the configuration that may have changed since.
            videos: what each video that is there is known by; None where nobody looks.
            environment: what else belongs to the record of the environment.
            defaults: see :func:`settle_config`.

        Raises:
            InputError: the run was started with other settings, contents or videos; what differs is named.
        """
        settle_config(self.path, config, started=started, free=free, defaults=defaults)
        if videos is not None:
            settle_videos(self.path, videos, started=started)
        record_environment(self.path, environment)

    def measured(self) -> dict[str, Any]:
        """What was measured when the run was complete last; nothing where that cannot be read."""
        try:
            metrics = read_json(self.path / METRICS)
        except InputError:
            return {}
        return metrics if isinstance(metrics, dict) else {}

    def go_on(self) -> None:
        """The run is not complete any more: its metrics are taken away."""
        (self.path / METRICS).unlink(missing_ok=True)

    def complete(self, metrics: Mapping[str, Any]) -> None:
        """The run is complete: what was measured is written."""
        write_json(self.path / METRICS, metrics)


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
    *,
    batches: Sequence[Sequence[AnyItem]] | None = None,
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
        batches: the items in the batches in which they are dealt with; by default as many as fit, in their order. Where
            given, what comes of an item may hang on earlier ones of its video, so that these are retried together.

    Returns:
        One record per item, in their order, and how many are new.

    Raises:
        InputError: none of the first items (:data:`HOPELESS`) can be dealt with.
    """
    follow = batches is not None
    if batches is None:
        batches = [items[i : i + pace.batch_size] for i in range(0, len(items), pace.batch_size)]
    if pace.retry_failed:
        _forget_failures(journal, batches, follow)
    todo = [batch for batch in batches if any(item.query_id not in journal.done for item in batch)]
    before = len(journal.done)
    if todo:
        folder.go_on()
    clips = clips_ahead(todo, pace.library if pace.frames else None, pace.frames, pace.workers)
    _work_off(clips, len(todo), answer, journal, what)
    try:
        journal.sync()
    except OSError as error:
        raise unwritable(journal.path, error) from error
    records = [journal.done[item.query_id] for item in items]
    if list(journal.done.values()) != records:
        journal.rewrite(records)
    return records, len(journal.done) - before


def _forget_failures(journal: Journal[AnyRecord], batches: Sequence[Sequence[Item]], follow: bool) -> None:
    """Take from the journal every batch of which an item failed, so that all of it is done again.

    Where items ``follow`` earlier ones of their video, so are the batches behind it that hold one of its videos.
    """
    failed = {name for name, record in journal.done.items() if _error(record) is not None}
    again: set[str] = set()
    videos: set[str] = set()
    for batch in batches:
        of_batch = {item.clip.video_id for item in batch}
        if any(item.query_id in failed for item in batch) or (follow and not videos.isdisjoint(of_batch)):
            again |= {item.query_id for item in batch}
            videos |= of_batch
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
