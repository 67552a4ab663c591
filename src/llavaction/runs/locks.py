"""One process writes a folder at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from llavaction.base.errors import LlavactionError
from llavaction.base.files import NO_LINKS, sweep, unwritable

PATIENCE = 15.0
"""Seconds to wait for the folder of a training: decoders of one that was killed take a moment to end."""


class RunLockedError(LlavactionError):
    """Another process is writing the folder."""


@contextmanager
def folder_lock(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Have a folder for oneself within the block; it is made if need be, and rid of what killed writers left in it.

    The lock belongs to the process and those forked from it: it is gone when they are, however they ended.

    Args:
        folder: the folder.
        patience: seconds to wait for it; the decoders of a process that was killed outlive it by some.

    Raises:
        RunLockedError: another process has it.
        InputError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = os.fdopen(os.open(folder / ".lock", os.O_CREAT | os.O_APPEND | os.O_RDWR | NO_LINKS, 0o666), "ab")
    except OSError as error:
        raise unwritable(folder, error, "cannot be made") from None
    with stream:
        begun = time.monotonic()
        while not _locked(stream):
            if time.monotonic() - begun > patience:
                raise RunLockedError(
                    f"{folder}: another process is writing this run\n"
                    "  hint: wait until it ends, or give this run another output folder"
                )
            time.sleep(0.2)
        sweep(folder)
        yield


def _locked(stream: IO[bytes]) -> bool:
    try:
        _lock_file(stream)
    except OSError:
        return False
    return True


def _lock_file(stream: IO[bytes]) -> None:
    """Lock without waiting; the operating system frees it when the process ends."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        import msvcrt  # only there

        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
