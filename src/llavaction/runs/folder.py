"""The folder of a run: one process at a time, one configuration, the same inputs from start to end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llavaction.base.fingerprints import FileFacts
from llavaction.base.records import AnyRecord, write_json
from llavaction.runs.environment import record_environment
from llavaction.runs.identity import settle_config, settle_videos
from llavaction.runs.journal import Journal
from llavaction.runs.locks import folder_lock

METRICS = "metrics.json"
"""The file of what was measured; there once a run is complete."""


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
    ) -> None:
        """Write what the run is known by, or make sure that it is what the run was started with.

        Args:
            config: complete and resolved, see :func:`settle_config`.
            started: there are results already.
            free: keys of the configuration that may have changed since.
            videos: what each video that is there is known by; None where nobody looks.

        Raises:
            InputError: the run was started with other settings, contents or videos; what differs is named.
        """
        settle_config(self.path, config, started=started, free=free)
        if videos is not None:
            settle_videos(self.path, videos, started=started)
        record_environment(self.path)

    def go_on(self) -> None:
        """The run is not complete any more: its metrics are taken away."""
        (self.path / METRICS).unlink(missing_ok=True)

    def complete(self, metrics: Mapping[str, Any]) -> None:
        """The run is complete: what was measured is written."""
        write_json(self.path / METRICS, metrics)
