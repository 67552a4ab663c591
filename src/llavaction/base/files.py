"""Files that are written whole or not at all, and what killed writers leave behind."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from llavaction.base.errors import InputError

LONGEST_STEM = 200
"""Letters of a file's name that are part of its temporary neighbour's."""

NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
"""Opens no symbolic link, where the system knows how to say so."""

_PART = re.compile(r"\..+\.[0-9a-f]{12}\.part(\.[A-Za-z0-9]+)?", re.DOTALL)
"""Names of temporary neighbours."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a disk that takes no more."""

_swept: set[Path] = set()
"""Folders in which this process has looked for what others left."""


class Part:
    """A new, empty file or folder beside another, whose place it is to take; of a name that nobody can foresee.

    It is made so that it is neither an existing file nor a link to one, and with the mode that new files have. While
    it is being written it is locked; the lock is gone when its writer is, so that :func:`sweep` can tell the parts of
    killed writers from those of others at work.

    Args:
        target: what it will take the place of; folders above it are made if need be.
        suffix: the end of a file's name.
        folder: it is a folder.

    Attributes:
        path: where it is.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, target: Path, *, suffix: str = ".part", folder: bool = False) -> None:
        self._target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        if (parent := target.parent.resolve()) not in _swept:
            _swept.add(parent)
            sweep(parent)
        while True:
            self.path = target.with_name(f".{target.name[:LONGEST_STEM]}.{secrets.token_hex(6)}{suffix}")
            with contextlib.suppress(FileExistsError):
                if folder:
                    self.path.mkdir()
                else:
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | NO_LINKS | os.O_WRONLY, 0o666))
                self._lock = _locked(self.path)
                if self._lock is None:
                    time.sleep(0.01)  # whoever sweeps has its lock for a moment, then it is gone
                if self.path.exists():  # not swept away before it was locked
                    return
                self._unlock()

    def take_place(self) -> None:
        """Move it to the target.

        Raises:
            OSError: it cannot be moved.
        """
        self.path.replace(self._target)
        self._unlock()

    def drop(self) -> None:
        """Delete it, if it has not taken its place."""
        with contextlib.suppress(OSError):
            clear_away(self.path)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(folder: Path) -> int:
    """Delete what killed writers left in a folder itself, not in those below; the number of files and folders.

    Only parts that are named as ours and that nobody is writing are deleted; no error is raised.
    """
    swept = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if _PART.fullmatch(entry.name) and not entry.is_symlink()]:
            path = folder / name
            lock = _locked(path)
            if lock is None and sys.platform != "win32":  # somebody is writing it; on Windows it could not be deleted
                continue
            with contextlib.suppress(OSError):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                swept += 1
            if lock is not None:
                os.close(lock)
    return swept


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of a part; None if another has it or the file system knows no locks."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        return None
    try:
        access = os.O_RDONLY if stat.S_ISDIR(path.lstat().st_mode) else os.O_RDWR  # network file systems ask for it
        descriptor = os.open(path, access | NO_LINKS | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def whole(path: str | Path, *failures: type[Exception]) -> Iterator[Path]:
    """A temporary neighbour to write to; it takes the place of ``path`` once the block has ended without an error.

    Args:
        path: the file; its folder is made if need be.
        failures: what writing may raise besides OSError.

    Raises:
        InputError: the neighbour cannot be written (a full disk, say); what was at ``path`` stays.
    """
    path = Path(path)
    part = None
    caught: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        part = Part(path)
        yield part.path
        part.take_place()
    except caught as error:
        raise unwritable(path, error) from error
    finally:
        if part is not None:
            part.drop()


def unwritable(path: str | Path, error: Exception, what: str = "cannot be written") -> InputError:
    """The error for a person whose file cannot be written; on a full disk with what to do.

    Args:
        path: the file or folder.
        error: what the writer raised.
        what: what is wrong, in words.
    """
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    full = is_full(error)
    hint = "make room on the disk and start the same command again; what was written before is kept" if full else None
    return InputError(f"{what}: {reason}", file=path, hint=hint)


def is_full(error: BaseException) -> bool:
    """Whether an error is that of a disk, or of somebody's share of it, that takes no more.

    Libraries that are not written in Python put the system's error into words.
    """
    return getattr(error, "errno", None) in _FULL or any(os.strerror(number) in str(error) for number in _FULL)


def clear_away(folder: Path) -> None:
    """Delete a folder and what is in it, or the link or file that stands in its place; nothing behind a link."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def write_lines(path: str | Path, lines: Iterable[str]) -> int:
    """Write lines one at a time, each with its line break already; returns how many there were.

    Raises:
        InputError: see :func:`whole`.
    """
    count = 0
    with whole(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        for line in lines:
            stream.write(line)
            count += 1
        stream.flush()
        os.fsync(stream.fileno())
    return count
