"""Option orders: a question asked several times with its options turned, so that what their places do cancels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def order_turns(options: int, count: int) -> list[int]:
    """By how many places the options are turned in each of ``count`` orders: none first, the others evenly spread.

    There are no more orders than options. In as many, every option takes every place once.
    """
    count = min(count, options)
    return [order * options // count for order in range(count)]


def mean_over_orders(scores: Sequence[NDArray[np.float64]], turns: Sequence[int]) -> NDArray[np.float64]:
    """Mean log-probability of each option, float64 [options] in the order as stored.

    Args:
        scores: for each order the log-probabilities of its options.
        turns: by how many places each order was turned.
    """
    if len(scores) == 1 and turns[0] == 0:
        return np.array(scores[0], dtype=np.float64)
    return np.mean(
        [np.roll(values, turn) for values, turn in zip(scores, turns, strict=True)], axis=0, dtype=np.float64
    )
