"""Bytes decoded ahead: who waits, who is let through."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from llavaction.base.byte_budget import ByteBudget, loader_workers


def test_no_more_than_the_budget_is_in_use() -> None:
    budget, peak, lock, used = ByteBudget(100), [0], threading.Lock(), [0]

    def work(size: int) -> None:
        with budget.room(size):
            with lock:
                used[0] += size
                peak[0] = max(peak[0], used[0])
            time.sleep(0.002)
            with lock:
                used[0] -= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [40, 30, 30, 60, 10, 25] * 10))
    assert 60 <= peak[0] <= 100 and budget.used == 0


def test_one_piece_is_let_through_however_large() -> None:
    budget = ByteBudget(10)
    assert budget.take(lambda: 1000) == 1000
    assert budget.take(lambda: 5, lambda: True) == 5  # urgent
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(budget.take, lambda: 5)
        time.sleep(0.05)
        assert not waits.done()
        budget.close()
        assert waits.result(timeout=5) == -1


@pytest.mark.parametrize(
    ("workers", "batch", "expected"),
    [(0, 10, (0, None)), (4, 10, (4, 2)), (4, 20, (4, 1)), (4, 40, (2, 1)), (4, 1000, (1, 1)), (4, 0, (4, 2))],
)
def test_workers_of_a_loader(workers: int, batch: int, expected: tuple[int, int | None]) -> None:
    assert loader_workers(workers, batch, 100) == expected
