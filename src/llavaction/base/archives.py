"""Zip files and numpy's .npz, opened within bounds."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from llavaction.base.errors import InputError

MOST_MEMBERS = 10_000
MOST_TEXT_BYTES = 400 << 20
"""Of a member that is read piece by piece."""
MOST_ARRAY_BYTES = 320 << 20
"""Of all arrays that are read from one file together."""
MOST_ARRAY_ITEMS = 100_000_000

_DAMAGE = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, KeyError, IndexError, OverflowError,
    MemoryError, SyntaxError, TypeError, AttributeError, np.exceptions.AxisError,
)  # fmt: skip
"""What zipfile and numpy raise on damaged files; NotImplementedError and RecursionError are RuntimeErrors, numpy's
TokenError and struct.error are known by their names."""


@contextmanager
def open_zip(path: str | Path, *, hint: str | None = None) -> Iterator[zipfile.ZipFile]:
    """A zip file to read from.

    Args:
        path: the file.
        hint: said with every fault.

    Raises:
        InputError: it is no zip file or is damaged, also where the block finds that out; it has too many members, or
            one that is compressed in an uncommon way or encrypted.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MOST_MEMBERS:
                raise InputError(f"holds more than {MOST_MEMBERS:,} files", file=path)
            for member in archive.infolist():
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
                    raise InputError(f"'{member.filename}' is encrypted or compressed in an uncommon way", file=path)
            yield archive
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except InputError:
        raise
    except Exception as error:
        if not isinstance(error, _DAMAGE) and type(error).__name__ not in ("error", "TokenError"):
            raise
        problem = str(error) or type(error).__name__
        raise InputError(f"is damaged, or no zip file ({problem:.200})", file=path, hint=hint) from None


def open_text(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str | Path) -> IO[str]:
    """A member to read piece by piece as UTF-8.

    Raises:
        InputError: it says to be larger than ``MOST_TEXT_BYTES``.
    """
    if member.file_size > MOST_TEXT_BYTES:
        raise InputError(f"'{member.filename}' unpacks to {member.file_size / 2**30:.1f} GiB", file=path)
    return io.TextIOWrapper(archive.open(member), encoding="utf-8-sig")


def read_npz(path: str | Path, names: Sequence[str], *, hint: str | None = None) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz``, those of ``names`` that are there; others are not looked at.

    Sizes are taken from the arrays' headers and compared with what the zip file holds before anything is allocated.

    Args:
        path: the file.
        names: of the arrays.
        hint: said with every fault, and where an array is pickled.

    Raises:
        InputError: the file is damaged, an array is pickled, or together they are larger than ``MOST_ARRAY_BYTES``.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with open_zip(path, hint=hint) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        left = MOST_ARRAY_BYTES
        for name in names:
            if name in members:
                with archive.open(members[name]) as stream:
                    arrays[name] = _read_array(stream, name, members[name].file_size, left, path, hint)
                left -= arrays[name].nbytes
    return arrays


def _read_array(stream: IO[bytes], name: str, size: int, most: int, path: str | Path, hint: str | None) -> NDArray[Any]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:  # the others are for headers of more than 64 KiB, which no plain array has; numpy would read 4 GiB of it
        raise InputError(f"'{name}' is of an uncommon version of the .npy format", file=path)
    if dtype.hasobject:
        raise InputError(f"'{name}' cannot be read without unpickling: it holds Python objects", file=path, hint=hint)
    if any(length < 0 for length in shape):
        raise InputError(f"'{name}' is damaged: its shape is {shape}", file=path)
    items = math.prod(shape)
    total = items * dtype.itemsize
    if items > MOST_ARRAY_ITEMS or total > most:
        raise InputError(f"'{name}' {list(shape)} would take {total / 2**20:,.0f} MiB, more than is read", file=path)
    if total > size - stream.tell():
        raise InputError(f"'{name}' is cut short: its shape is {list(shape)}, {size} bytes are there", file=path)
    raw = bytearray(total)
    place = 0
    while place < total:
        piece = stream.read(min(1 << 20, total - place))
        if not piece:
            raise InputError(f"'{name}' is cut short", file=path)
        raw[place : place + len(piece)] = piece
        place += len(piece)
    stream.read(1)  # at the end the checksum is compared
    values = np.frombuffer(raw, dtype=dtype) if total else np.zeros(items, dtype=dtype)
    return values.reshape(shape, order="F" if fortran else "C")
