"""Intervals and tests for questions that come in clusters: the questions of one video are not independent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llavaction.base.seeding import hashed_rng

Clusters = Sequence[str] | NDArray[Any]
"""The name of each value's cluster."""
LEVEL = 0.95
FEW_CLUSTERS = 10
"""With fewer videos than this a bootstrap promises too much; see :meth:`ClusteredBootstrap.interval`."""
ONE_VIDEO = "Wilson, as if the questions of the one video were independent"
BOOTSTRAP = "bootstrap by video"
FEW_VIDEOS = "wider of Student's t by video and Wilson, as there are fewer than 10 videos"
SYMMETRIC = "Student's t times the standard deviation of a bootstrap by video"
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval.

    Attributes:
        value: the mean.
        low: lower end.
        high: upper end.
        n: number of values.
        clusters: number of clusters they come from.
        method: how the interval was made.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    method: str

    def rounded(self, digits: int = 6) -> dict[str, float | int | str]:
        """As a plain mapping for JSON."""
        return {name: round(value, digits) if isinstance(value, float) else value for name, value in vars(self).items()}


def wilson(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval for a share of independent trials.

    Args:
        successes: their number, or the sum of credits between 0 and 1, for which the interval is a little too wide.
        n: number of trials.
        level: confidence level.
    """
    z = _normal_quantile((1 + level) / 2)
    share, spread = successes / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(max(share * (1 - share), 0.0) / n + spread / (4 * n))
    low = 0.0 if successes <= 0 else max(0.0, middle - half)
    return low, 1.0 if successes >= n else min(1.0, middle + half)


@cache
def _normal_quantile(share: float) -> float:
    from scipy import special

    return float(special.ndtri(share))


def clustered_bootstrap(
    values: ArrayLike, clusters: Clusters, n: int = 2000, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Bootstrap interval of a mean, drawing whole clusters.

    Args:
        values: [values], one number each, e.g. 1 for a right answer and 0 for a wrong one.
        clusters: [values], the cluster (video) of each.
        n: number of bootstrap samples.
        seed: of the draws.
        level: confidence level.

    Returns:
        The lower and upper end; see :class:`ClusteredBootstrap`.
    """
    return ClusteredBootstrap(clusters, n=n, seed=seed, level=level).bounds(values)


class ClusteredBootstrap:
    """The same bootstrap samples of clusters, for as many means as one likes.

    Each sample draws as many clusters as there are, with replacement, and takes the mean over all their values. The
    ends are percentiles of these means, taken further out when clusters are few, so that a normally distributed mean is
    covered as often as by Student's t with the unbiased variance (the "expanded percentile interval" of T. Hesterberg,
    The American Statistician 69, 2015).

    Args:
        clusters: [values], the cluster of each value.
        n: number of samples.
        seed: of the draws.
        level: confidence level.
    """

    def __init__(self, clusters: Clusters, n: int = 2000, seed: int = 0, level: float = LEVEL) -> None:
        if not len(clusters):
            raise ValueError("a bootstrap needs at least one value")
        self.codes, self.count = _codes(clusters)
        self.level = level
        rng = hashed_rng("clustered bootstrap", seed)
        self.draws = rng.multinomial(self.count, np.full(self.count, 1 / self.count), size=n).astype(np.float64)

    def bounds(self, values: ArrayLike, members: NDArray[np.bool_] | None = None) -> tuple[float, float]:
        """Both ends for the mean of ``values`` [values], or of those where ``members`` [values] is true."""
        array = np.asarray(values, dtype=np.float64)
        weights = np.ones(len(self.codes)) if members is None else members.astype(np.float64)
        sums = np.bincount(self.codes, weights=array * weights, minlength=self.count)
        sizes = np.bincount(self.codes, weights=weights, minlength=self.count)
        present = sizes > 0
        draws = self.draws if present.all() else self.draws[:, present]
        drawn_sizes = draws @ sizes[present]
        means = (draws @ sums[present])[drawn_sizes > 0] / drawn_sizes[drawn_sizes > 0]
        return self._percentiles(means, int(present.sum()))

    def interval(self, correct: ArrayLike, members: NDArray[np.bool_] | None = None) -> Interval:
        """A share of right answers with its interval; ``method`` says how it was made.

        Ten clusters and more: the bootstrap. Fewer, of which it would know too little: Student's t over clusters, or
        Wilson's interval where that is wider. A single one: Wilson's, as if its values were independent. Where all
        values are equal, Wilson's too if it is wider.

        Args:
            correct: [values] of 0 and 1, or credits between.
            members: [values] true for those that count; all by default.
        """
        array = np.asarray(correct, dtype=np.float64)
        rows = slice(None) if members is None else members
        return self._interval(array[rows], self.codes[rows], lambda: self.bounds(array, members))

    def group_intervals(self, correct: ArrayLike, groups: Sequence[NDArray[np.intp]]) -> list[Interval]:
        """:meth:`interval` of many groups of values, at once.

        Args:
            correct: [values] of 0 and 1.
            groups: the places of each group's values, at least one each.
        """
        array = np.asarray(correct, dtype=np.float64)
        large = [number for number, group in enumerate(groups) if len(np.unique(self.codes[group])) >= FEW_CLUSTERS]
        bounds = dict(zip(large, self.group_bounds(array, [groups[number] for number in large]), strict=True))
        return [
            self._interval(array[group], self.codes[group], partial(bounds.__getitem__, number))
            for number, group in enumerate(groups)
        ]

    def _interval(
        self, sample: NDArray[np.float64], codes: NDArray[np.intp], bounds: Callable[[], tuple[float, float]]
    ) -> Interval:
        """See :meth:`interval`, whose ``bounds`` are asked for where there are clusters enough."""
        if not len(sample):
            raise ValueError("a share needs at least one value")
        clusters = len(np.unique(codes))
        low, high = wilson(float(sample.sum()), len(sample), self.level)
        method = ONE_VIDEO
        if 1 < clusters < FEW_CLUSTERS:
            by_video = _t_bounds(sample, codes, self.level)
            low, high, method = max(0.0, min(low, by_video[0])), min(1.0, max(high, by_video[1])), FEW_VIDEOS
        elif clusters >= FEW_CLUSTERS:
            ends = bounds()
            if sample.min() == sample.max():
                low, high, method = min(low, ends[0]), max(high, ends[1]), "wider of bootstrap by video and Wilson"
            else:
                (low, high), method = ends, BOOTSTRAP
        return Interval(float(sample.mean()), low, high, len(sample), clusters, method)

    def group_bounds(self, values: ArrayLike, groups: Sequence[NDArray[np.intp]]) -> list[tuple[float, float]]:
        """:meth:`bounds` of many groups of values, all at once; sums of counts are exact, so that they are the same.

        Args:
            values: [values] of 0 and 1.
            groups: the places of each group's values, at least one each.
        """
        from scipy import sparse

        array, found = np.asarray(values, dtype=np.float64), []
        step = max(1, _CHUNK // len(self.draws))
        drawn = np.ascontiguousarray(self.draws.T)
        for start in range(0, len(groups), step):
            part = groups[start : start + step]
            rows = np.repeat(np.arange(len(part)), [len(places) for places in part])
            places = np.concatenate(part)
            where, shape = (rows, self.codes[places]), (len(part), self.count)
            sums = sparse.coo_array((array[places], where), shape).tocsr()
            sizes = sparse.coo_array((np.ones(len(places)), where), shape).tocsr()
            clusters = np.diff(sizes.indptr).tolist()
            for totals, counts, present in zip(sums @ drawn, sizes @ drawn, clusters, strict=True):
                known = counts > 0
                found.append(self._percentiles(totals[known] / counts[known], present))
        return found

    def _percentiles(self, means: NDArray[np.float64], clusters: int) -> tuple[float, float]:
        """Both ends of the means of the samples."""
        tail = _expanded_tail(clusters, (1 - self.level) / 2)
        low, high = np.quantile(means, [tail, 1 - tail])
        return float(low), float(high)

    def symmetric_intervals(
        self, statistics: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> list[Interval | None]:
        """Statistics that are no means of values, such as mean average precision, with intervals around them.

        An interval is the statistic plus and minus Student's t times its standard deviation over the bootstrap
        samples, cut at 0 and 1. Percentiles would not do: of classes with few positive values the samples' statistics
        lie higher than that of the data, for what is drawn twice ranks beside itself.

        Args:
            statistics: takes weights [samples, values], how often each value was drawn, and returns [samples,
                statistics], not a number where one is undefined.

        Returns:
            One for each statistic; None where that of the data is undefined, or there are fewer than ten clusters.
        """
        from scipy import special

        whole = statistics(np.ones((1, len(self.codes))))[0]
        if self.count < FEW_CLUSTERS:
            return [None] * len(whole)
        rows = max(1, _CHUNK // len(self.codes))
        parts = [self.draws[begin : begin + rows] for begin in range(0, len(self.draws), rows)]
        found = np.concatenate([statistics(part[:, self.codes]) for part in parts])
        quantile = float(special.stdtrit(self.count - 1, (1 + self.level) / 2))
        intervals: list[Interval | None] = []
        for value, samples in zip(whole.tolist(), found.T, strict=True):
            known = samples[np.isfinite(samples)]
            if not math.isfinite(value) or len(known) < 2:
                intervals.append(None)
                continue
            half = quantile * float(known.std(ddof=1))
            ends = max(0.0, value - half), min(1.0, value + half)
            intervals.append(Interval(value, *ends, len(self.codes), self.count, SYMMETRIC))
        return intervals

    def mean_bounds(self, values: ArrayLike) -> tuple[float, float] | None:
        """Both ends for the mean of differences [values] between -1 and 1; None where all are of one cluster, which
        tells no spread.

        With fewer than ten clusters Student's t over clusters, or over values where that is wider; else the bootstrap.
        Where all values are equal, as many of them might be others as Wilson's interval has it for none seen.
        """
        array = np.asarray(values, dtype=np.float64)
        if self.count < 2:
            return None
        if self.count >= FEW_CLUSTERS:
            low, high = self.bounds(array)
        else:
            by_video = _t_bounds(array, self.codes, self.level)
            by_value = _t_bounds(array, np.arange(len(array)), self.level)
            low, high = min(by_video[0], by_value[0]), max(by_video[1], by_value[1])
        if array.min() == array.max():
            share, value = wilson(0, len(array), self.level)[1], float(array[0])
            low, high = min(low, value - share * (value + 1)), max(high, value + share * (1 - value))
        return max(low, -1.0), min(high, 1.0)


def _t_bounds(values: NDArray[np.float64], codes: NDArray[Any], level: float) -> tuple[float, float]:
    """Student's t interval of a mean over clusters, whose sizes may differ: the variance of a ratio, linearised."""
    from scipy import special

    _, places = np.unique(codes, return_inverse=True)
    sums, sizes = np.bincount(places, weights=values), np.bincount(places)
    mean, count = float(values.mean()), len(sums)
    spread = math.sqrt(count / (count - 1) * float(((sums - mean * sizes) ** 2).sum())) / len(values)
    half = float(special.stdtrit(count - 1, (1 + level) / 2)) * spread
    return mean - half, mean + half


def _codes(clusters: Clusters) -> tuple[NDArray[np.intp], int]:
    """Each value's cluster as a number in the order of the names, and how many there are."""
    names, codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return codes.astype(np.intp), len(names)


@cache
def _expanded_tail(clusters: int, tail: float) -> float:
    if clusters < 2:
        return 0.0
    from scipy import special

    stretch = math.sqrt(clusters / (clusters - 1))
    return float(special.ndtr(stretch * special.stdtrit(clusters - 1, tail)))


@dataclass(frozen=True)
class PairedComparison:
    """Two runs on the same questions.

    Attributes:
        difference: accuracy of the second minus accuracy of the first.
        low: lower end of its interval (see :meth:`ClusteredBootstrap.mean_bounds`); None with a single video.
        high: upper end.
        p_permutation: two-sided p-value of the sign-flip test by video.
        p_mcnemar: two-sided exact McNemar p-value, which takes questions for independent.
        only_first: questions only the first run has right.
        only_second: questions only the second run has right.
        both: questions both have right.
        neither: questions neither has right.
    """

    difference: float
    low: float | None
    high: float | None
    p_permutation: float
    p_mcnemar: float
    only_first: int
    only_second: int
    both: int
    neither: int


def paired_comparison(
    first: ArrayLike, second: ArrayLike, clusters: Clusters, n: int = 2000, seed: int = 0
) -> PairedComparison:
    """Compare two runs question by question.

    Args:
        first: [questions] of 0 and 1, right answers of the first run.
        second: [questions], of the second run, in the same order.
        clusters: [questions], the video of each.
        n: bootstrap samples; the permutation test takes five times as many.
        seed: of the draws.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    difference = b.astype(np.float64) - a.astype(np.float64)
    low, high = ClusteredBootstrap(clusters, n=n, seed=seed).mean_bounds(difference) or (None, None)
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    return PairedComparison(
        difference=float(difference.mean()),
        low=low,
        high=high,
        p_permutation=sign_flip_test(difference, clusters, n=5 * n, seed=seed),
        p_mcnemar=mcnemar_exact(only_first, only_second),
        only_first=only_first,
        only_second=only_second,
        both=int((a & b).sum()),
        neither=int((~a & ~b).sum()),
    )


def sign_flip_test(differences: ArrayLike, clusters: Clusters, n: int = 10_000, seed: int = 0) -> float:
    """Two-sided permutation p-value for a mean difference of zero.

    If the runs were interchangeable, the differences of a whole cluster could as well have the other sign. All sign
    patterns are tried where they are no more than ``n``; otherwise ``n`` drawn ones, and the observed one counts too.

    Args:
        differences: [values].
        clusters: [values], the cluster of each.
        n: number of patterns.
        seed: of the draws.
    """
    codes, count = _codes(clusters)
    sums = np.bincount(codes, minlength=count, weights=np.asarray(differences, dtype=np.float64))
    sums = sums[sums != 0]
    if not len(sums):
        return 1.0
    observed = abs(sums.sum()) - 1e-9
    if 2 ** len(sums) <= n:
        patterns = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return float(np.mean(np.abs(patterns @ sums) >= observed))
    rng = hashed_rng("sign-flip test", seed)
    rows = max(1, _CHUNK // len(sums))
    extreme = 0
    for start in range(0, n, rows):
        signs = rng.integers(0, 2, size=(min(rows, n - start), len(sums)), dtype=np.int8)
        extreme += int(np.count_nonzero(np.abs((1.0 - 2.0 * signs) @ sums) >= observed))
    return (extreme + 1) / (n + 1)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar p-value: is "only the first is right" as frequent as "only the second"?"""
    from scipy import special

    discordant = only_first + only_second
    fewer = min(only_first, only_second)
    return 1.0 if 2 * fewer == discordant else min(1.0, 2 * float(special.bdtr(fewer, discordant, 0.5)))


def chance_level(option_counts: Sequence[int]) -> float:
    """Expected accuracy of uniform guessing: the mean of 1/K over questions of K options."""
    if not option_counts:
        raise ValueError("a chance level needs at least one question")
    return math.fsum(1 / count for count in option_counts) / len(option_counts)
