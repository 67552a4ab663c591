"""Progress bars on standard error: shown to a person at a terminal, silent in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Iterate ``items`` behind a bar labelled ``what``."""
    return iter(tqdm(items, desc=what, total=total, disable=not sys.stderr.isatty(), dynamic_ncols=True, leave=False))
