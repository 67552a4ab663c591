"""Answers that were given before: one SQLite file that runs and processes share, known by what was asked of whom."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from llavaction.base.notes import note

APPLICATION = 0x4C564143
"""SQLite's ``application_id`` of our files, "LVAC": a database that bears another one, or none, is somebody else's."""
LAYOUT = 1
"""SQLite's ``user_version`` of our files."""
PATIENCE = 20.0
"""Seconds to wait while another process writes."""
MOST_BYTES = 1 << 24
"""Of one answer; a longer one is not read."""

_TABLE = "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL, digest BLOB NOT NULL)"
_READ = "SELECT answer, digest FROM answers WHERE key = ? AND length(answer) <= ?"
_WRITE = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)"


def default_file() -> Path:
    """Where answers are kept unless another file is named: under the user's folder of caches.

    That is ``$XDG_CACHE_HOME``, else ``~/.cache`` (XDG Base Directory Specification), ``~/Library/Caches`` on macOS,
    ``%LOCALAPPDATA%`` on Windows.
    """
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    if named and Path(named).is_absolute():  # the specification has relative ones ignored
        caches = Path(named)
    else:
        caches = Path.home() / {"darwin": "Library/Caches", "win32": "AppData/Local"}.get(sys.platform, ".cache")
    return caches / "llavaction" / "answers.sqlite"


class AnswerCache:
    """Answers by their keys.

    What is wrong with the file (damaged, another program's, not writable, locked for too long) is said in a note, and
    from then on nothing is found and nothing is kept: a cache never ends a run. Several processes may use one file.

    Args:
        path: the file; made with its folder if need be.

    Attributes:
        usable: whether it is in use; False after trouble.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.usable = True
        self._database: sqlite3.Connection | None = None
        try:
            self._open()
        except (OSError, sqlite3.Error, ValueError) as error:
            self._give_up(error)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The answers there are, by key. One that is not as it was written is not there."""
        found: dict[bytes, bytes] = {}
        if self._database is not None:
            try:
                for key in keys:
                    row = self._database.execute(_READ, (key, MOST_BYTES)).fetchone()
                    if row is not None and row[1] == _digest(key, row[0]):
                        found[key] = row[0]
            except (sqlite3.Error, TypeError) as error:
                self._give_up(error)
        return found

    def put(self, answers: Mapping[bytes, bytes]) -> None:
        """Keep answers by their keys, all or none of them."""
        if self._database is None or not answers:
            return
        rows = [(key, answer, _digest(key, answer)) for key, answer in answers.items()]
        try:
            with self._database:
                self._database.executemany(_WRITE, rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def __len__(self) -> int:
        if self._database is None:
            return 0
        return int(self._database.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> None:
        """Open the file, or make it.

        Raises:
            OSError, sqlite3.Error: it cannot be used.
            ValueError: it is not ours.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.path.is_file():
            raise ValueError("is no file")
        database = sqlite3.connect(self.path, timeout=PATIENCE, check_same_thread=False)
        try:
            database.execute("PRAGMA trusted_schema = OFF")
            self._claim(database)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # a power cut loses the last answers, never the file
        except BaseException:
            database.close()
            raise
        self._database = database

    def _claim(self, database: sqlite3.Connection) -> None:
        """Make sure that the file is ours, or make an empty one so; refuses a file that cannot be written."""
        database.isolation_level = None
        database.execute("BEGIN IMMEDIATE")
        with closing(database.execute("PRAGMA application_id")) as found:
            owner = int(found.fetchone()[0])
        layout = int(database.execute("PRAGMA user_version").fetchone()[0])
        tables = int(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if owner == APPLICATION and layout != LAYOUT:
            raise ValueError(f"is of another version of the toolkit (layout {layout}, this one is {LAYOUT})")
        if owner != APPLICATION and (tables or owner):
            raise ValueError("is a database of another program")
        database.execute(_TABLE)
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {LAYOUT}")
        database.execute("COMMIT")
        database.isolation_level = "DEFERRED"

    def _give_up(self, error: Exception) -> None:
        self.usable = False
        self.close()
        note(f"answers are neither taken from the cache nor kept: {error}", file=self.path)


def _digest(key: bytes, answer: bytes) -> bytes:
    return hashlib.sha256(key + answer).digest()[:16]
