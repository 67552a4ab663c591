"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from llavaction.base.errors import InputError


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
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    caught: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except caught as error:
        raise InputError(f"cannot be written: {getattr(error, 'strerror', None) or error}", file=path) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


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
