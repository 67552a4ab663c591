"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from llavaction.base.errors import InputError

LONGEST_STEM = 200
"""Letters of a file's name that are part of its temporary neighbour's."""


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
        path.parent.mkdir(parents=True, exist_ok=True)
        part = temporary(path)
        yield part
        part.replace(path)
    except caught as error:
        raise InputError(f"cannot be written: {getattr(error, 'strerror', None) or error}", file=path) from error
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()


def temporary(path: Path, *, suffix: str = ".part") -> Path:
    """A new, empty file beside ``path``, of a name that nobody can foresee and the mode that new files have.

    It is made so that it is neither an existing file nor a link to one.

    Args:
        path: what it will take the place of.
        suffix: the end of its name.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        part = path.with_name(f".{path.name[:LONGEST_STEM]}.{secrets.token_hex(6)}{suffix}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o666))
            return part


def temporary_folder(path: Path) -> Path:
    """A new, empty folder beside ``path``, of a name that nobody can foresee; folders above it are made if need be.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        folder = path.with_name(f".{path.name[:LONGEST_STEM]}.{secrets.token_hex(6)}.part")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


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
