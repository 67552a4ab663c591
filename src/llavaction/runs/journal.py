"""A JSON Lines file that is written while a run goes on: append-only, safe against a kill at any byte."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Generic, Self

from llavaction.base.collection import no_collection
from llavaction.base.files import unwritable
from llavaction.base.records import AnyRecord, read_records, to_line, write_records

APART = 1.0
"""Seconds between two waits for the disk."""


class Journal(Generic[AnyRecord]):
    """Records of a run by their ids.

    A context manager. Opening it reads what is there and cuts off a last line that was not finished. Whoever opens it
    holds the lock of its folder, see :meth:`llavaction.runs.folder.RunFolder.journal`.

    Args:
        path: the file.
        cls: the record class of every line.
        key: the field that holds a record's id.

    Attributes:
        done: the records on disk by id.

    Raises:
        InputError: a finished line is not such a record.
    """

    def __init__(self, path: str | Path, cls: type[AnyRecord], key: str) -> None:
        self.path, self._cls, self._key = Path(path), cls, key
        self.done: dict[str, AnyRecord] = {}
        self._stream: FileIO | None = None
        self._synced = -math.inf

    def id_of(self, record: AnyRecord) -> str:
        """What a record is filed under."""
        return str(getattr(record, self._key))

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stream is not None:
            with suppress(OSError):
                self.sync()
            self._stream.close()
            self._stream = None

    def sync(self) -> None:
        """Wait until all that was added is on the disk.

        Raises:
            OSError: the disk does not take it.
        """
        if self._stream is not None:
            os.fsync(self._stream.fileno())
            self._synced = time.monotonic()

    def _open(self) -> None:
        try:
            stream = self._stream = self.path.open("ab+", buffering=0)
            stream.seek(0)
            stream.truncate(stream.readall().rfind(b"\n") + 1)
        except OSError as error:
            raise unwritable(self.path, error) from error
        with no_collection():
            records = list(read_records(self.path, self._cls))
        self.done.clear()  # the same mapping as before: others look into it
        self.done.update({self.id_of(record): record for record in records})

    def append(self, records: Sequence[AnyRecord]) -> None:
        """Add records; once this returns, the end of the process loses none of them.

        That of the machine may lose those of the last :data:`APART` seconds, which are then asked again. The disk is
        waited for no more often, and when the journal is closed.

        Raises:
            InputError: the disk does not take them; then none of them is in the file.
        """
        if self._stream is None:
            raise RuntimeError("the journal is not open; use it as a context manager")
        before = self._stream.seek(0, os.SEEK_END)
        try:
            rest = memoryview("".join(map(to_line, records)).encode())
            while rest:
                rest = rest[self._stream.write(rest) :]
            if time.monotonic() - self._synced >= APART:
                self.sync()
        except OSError as error:
            with suppress(OSError):
                self._stream.truncate(before)
            raise unwritable(self.path, error) from error
        self.done.update({self.id_of(record): record for record in records})

    def rewrite(self, records: Iterable[AnyRecord]) -> None:
        """Replace the whole file by the given records, at once.

        Raises:
            InputError: the disk does not take them; the file then stays as it is.
        """
        kept = list(records)
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        write_records(self.path, kept)
        self._open()
