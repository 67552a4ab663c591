"""What the functions for Python share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from llavaction.base.notes import note

if TYPE_CHECKING:
    from llavaction.questions.schema import Benchmark

Say = Callable[[str], None]
"""Takes notes."""


def opened(benchmark: Benchmark | str | Path, videos: str | Path | None = None, say: Say = note) -> Benchmark:
    """A benchmark as it is, or opened from its folder or description."""
    from llavaction.evaluation.benchmarks import open_benchmark

    return open_benchmark(benchmark, videos, say) if isinstance(benchmark, str | Path) else benchmark


def text_of(path: str | Path | None) -> str | None:
    """A path as text."""
    return None if path is None else str(path)
