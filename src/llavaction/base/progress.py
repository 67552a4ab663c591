"""Progress bars on standard error: shown to a person at a terminal, silent in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from llavaction.base.text import SafeStream, shown

T = TypeVar("T")


def progress(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Iterate ``items`` behind a bar labelled ``what``."""
    raw = getattr(sys.stderr, "raw", sys.stderr) if isinstance(sys.stderr, SafeStream) else sys.stderr
    hidden = not sys.stderr.isatty()
    return iter(tqdm(items, desc=shown(what), total=total, disable=hidden, file=raw, dynamic_ncols=True, leave=False))
