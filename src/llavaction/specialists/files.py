"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from llavaction.base.errors import InputError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary neighbour to write to; it takes the place of ``path`` once the block has ended without an error.

    Raises:
        InputError: the neighbour cannot be written (what was at ``path`` stays).
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot be written: {error}", file=path) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
