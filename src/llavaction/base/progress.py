"""How far a long piece of work is: a bar at a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

from llavaction.base.text import SafeStream, shown

T = TypeVar("T")

FIRST, GROWTH, IDLE = 5.0, 1.3, 60.0
"""Seconds of work before the first line of a log, how much later each line is than the one before, and seconds
without work after which the next line is a first one again: 25 lines in an hour, 37 in a day."""


class _Pace:
    """When a line is due. All pieces of work of a process share it, so that many short ones do not fill a log."""

    def __init__(self) -> None:
        self._started_at = self._last_at = -IDLE
        self._due = 0.0

    def start(self) -> None:
        """A piece of work begins."""
        now = time.monotonic()
        if now - self._last_at >= IDLE:
            self._started_at, self._due = now, now + FIRST
        self._last_at = now

    def is_due(self) -> bool:
        """Whether a line is to be printed now."""
        now = self._last_at = time.monotonic()
        if now < self._due:
            return False
        self._due = self._started_at + GROWTH * (now - self._started_at)
        return True


_pace = _Pace()


def progress(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Iterate ``items``; whoever looks at standard error sees how many of them are done and how long the rest takes.

    Args:
        items: what is worked on; an item is done when the next one is asked for.
        what: the label.
        total: how many there are, where ``items`` does not tell.
    """
    raw = getattr(sys.stderr, "raw", sys.stderr) if isinstance(sys.stderr, SafeStream) else sys.stderr
    if sys.stderr.isatty():
        yield from tqdm(items, desc=shown(what), total=total, file=raw, dynamic_ncols=True, leave=False)
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    started_at = time.monotonic()
    _pace.start()
    for done, item in enumerate(items):
        if done and _pace.is_due():
            _say(what, done, total, time.monotonic() - started_at)
        yield item


def _say(label: str, done: int, total: int | None, seconds: float) -> None:
    remaining = f", {duration(seconds / done * (total - done))} left" if total else ""
    of = f"{done:,} of {total:,} ({done / total:.0%})" if total else f"{done:,}"
    with contextlib.suppress(OSError, ValueError):  # a log that takes no more must not end the work
        print(shown(f"{label}: {of} in {duration(seconds)}{remaining}"), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as a person says them: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
