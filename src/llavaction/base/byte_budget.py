"""How many bytes may be decoded ahead: threads wait for room, loaders get as many workers as there is room for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AHEAD = 1 << 30
"""Bytes of frames that may be decoded ahead."""


class ByteBudget:
    """Bytes in use, and waiting for room.

    What must be done next is always let through, so that one piece is worked on however large it is.

    Args:
        most: bytes that may be in use.
    """

    def __init__(self, most: int = AHEAD) -> None:
        self.most, self.used, self._turn, self._closed = most, 0, 0, False
        self._changed = threading.Condition()

    def take(self, size: Callable[[], int], urgent: Callable[[], bool] = lambda: False, turn: int | None = None) -> int:
        """Wait until there is room, or nothing is in use, or it is urgent; then use it.

        Args:
            size: bytes needed, asked again whenever something has changed.
            urgent: whether it must be done now.
            turn: 0, 1, 2, ... where pieces are let through in order; None for those that need none.

        Returns:
            Bytes taken; -1 where the budget was closed meanwhile.
        """

        def free() -> bool:
            return not self.used or urgent() or self.used + size() <= self.most

        with self._changed:
            self._changed.wait_for(lambda: self._closed or (turn in (None, self._turn) and free()))
            if self._closed:
                return -1
            amount = max(size(), 1)  # something unknown is in use, too
            self.used += amount
            if turn is not None:
                self._turn += 1
                self._changed.notify_all()
            return amount

    def give(self, size: int) -> None:
        """Give bytes back; a negative number for some that were not foreseen."""
        with self._changed:
            self.used -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Use bytes for a while."""
        amount = self.take(lambda: size)
        try:
            yield
        finally:
            self.give(amount)


def loader_workers(workers: int, batch_bytes: int, most: int = AHEAD) -> tuple[int, int | None]:
    """Worker processes of a loader and the batches that each prepares ahead, so that all fit.

    Args:
        workers: how many are wanted.
        batch_bytes: of one batch.
        most: bytes that all batches prepared ahead may have; one worker with one batch is always let through.

    Returns:
        At most as many workers; at most 2 batches each, None without workers.
    """
    if not workers:
        return 0, None
    batches = max(most // max(batch_bytes, 1), 1)
    workers = min(workers, batches)
    return workers, min(2, batches // workers)
