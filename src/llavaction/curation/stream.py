"""Writing many records without holding them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from llavaction.base.errors import InputError
from llavaction.base.records import Record, to_line


def write_stream(path: str | Path, records: Iterable[Record]) -> int:
    """Write JSON Lines record by record; the file appears under its name when it is complete.

    Returns:
        How many there were.

    Raises:
        InputError: the file cannot be written (a full disk, say); the old one, if any, is untouched.
    """
    path = Path(path)
    return write_lines(path, (to_line(record) for record in records))


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """The same for lines that are written already; each ends with its line break."""
    neighbour = path.with_name(f".{path.name}.{os.getpid()}.part")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with neighbour.open("w", encoding="utf-8", newline="") as stream:
            for line in lines:
                stream.write(line)
                count += 1
            stream.flush()
            os.fsync(stream.fileno())
        neighbour.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=path) from error
    finally:
        with contextlib.suppress(OSError):
            neighbour.unlink()
    return count
