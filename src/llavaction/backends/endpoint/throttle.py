"""How many requests are under way at once: more while answers come, half as many when they do not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FIRST = 4
"""Requests at once at the beginning."""


class Throttle:
    """Additive increase, multiplicative decrease (Chiu and Jain 1989), of requests at once. Until the first
    cut every answer adds one, as in TCP's slow start (RFC 5681).

    Requests that were sent before the last cut do not cut again: what they say is known.

    Args:
        most: requests at once.

    Attributes:
        limit: how many there may be now; its whole part counts.
        under_way: how many there are.
        peak: how many there were at most.
    """

    def __init__(self, most: int) -> None:
        self.most, self.limit = most, float(min(FIRST, most))
        self.under_way = self.peak = 0
        self._paused_until = self._cut_at = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Wait for a place and keep it for the block; gives the time at which it was had, of the monotonic clock."""
        await self._enter()
        try:
            yield time.monotonic()
        finally:
            self.under_way -= 1
            await self._tell()

    async def _enter(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.under_way < int(self.limit))
                pause = self._paused_until - time.monotonic()
                if pause <= 0:
                    self.under_way += 1
                    self.peak = max(self.peak, self.under_way)
                    return
            await asyncio.sleep(pause)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def answered(self) -> None:
        """An answer came: after as many as may be under way there may be one more; before the first cut, at once."""
        more = 1 / self.limit if self._cut_at else 1.0
        self.limit = min(self.limit + more, float(self.most))

    def congested(self, sent_at: float) -> bool:
        """A request failed for want of room or time: half as many. Whether this is news."""
        if sent_at <= self._cut_at:
            return False
        self._cut_at = time.monotonic()
        self.limit = max(self.limit / 2, 1.0)
        return True

    def pause(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)
