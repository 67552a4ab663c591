"""Whether choices hang on where an option stands: a test for questions asked in every cyclic order of their options."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llavaction.base.seeding import hashed_rng
from llavaction.base.statistics import Clusters

_CHUNK = 4_000_000


def position_test(places: Sequence[Sequence[int]], clusters: Clusters, n: int = 2000, seed: int = 0) -> float:
    """P-value for "the place of an option does not matter", two-sided in every place.

    A question of K options that is asked in all its K cyclic orders has every option once in every place. Whoever goes
    by what options say, or guesses, is then as likely to choose the place p in the orders as p + 1, p + 2, ... of them
    all: turning a question's places changes nothing. The test turns all places of a cluster (video) together by a
    random number, ``n`` times, and asks how often the counts of places are as uneven as those observed, by the sum
    of their squared distances from even ones.

    Args:
        places: [questions][orders], the chosen place in each order; as many orders as options.
        clusters: [questions], the video of each.
        n: draws; the observed counts are one more.
        seed: of the draws.
    """
    names, codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    tables: dict[int, NDArray[np.float64]] = {}  # number of options to counts [clusters, options]
    for code, chosen in zip(codes.tolist(), places, strict=True):
        table = tables.setdefault(len(chosen), np.zeros((len(names), len(chosen))))
        np.add.at(table[code], list(chosen), 1.0)
    observed = sum(_unevenness(table.sum(axis=0)[None])[0] for table in tables.values())
    rng = hashed_rng("position test", seed)
    drawn = np.zeros(n)
    for options in sorted(tables):
        table = tables[options][tables[options].any(axis=1)]
        turned = np.stack([np.roll(table, turn, axis=1) for turn in range(options)], axis=1)
        rows = max(1, _CHUNK // table.size)
        for start in range(0, n, rows):
            turns = rng.integers(0, options, size=(min(rows, n - start), len(table)))
            drawn[start : start + rows] += _unevenness(turned[np.arange(len(table)), turns].sum(axis=1))
    return (int(np.count_nonzero(drawn >= observed - 1e-9)) + 1) / (n + 1)


def _unevenness(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of counts [draws, places]: the squared distances from even counts, in units of an even count, [draws]."""
    even = counts.mean(axis=1, keepdims=True)
    return np.asarray((((counts - even) ** 2) / np.maximum(even, 1e-12)).sum(axis=1))
