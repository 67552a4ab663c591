from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from llavaction.base.statistics import (
    FEW_VIDEOS,
    ONE_VIDEO,
    ClusteredBootstrap,
    chance_level,
    clustered_bootstrap,
    mcnemar_exact,
    paired_comparison,
    sign_flip_test,
    wilson,
)


def clustered_answers(rng: np.random.Generator, videos: int, size: int, level: float = 0.6) -> np.ndarray:
    """[videos, size] right answers whose probability differs from video to video (mean ``level``)."""
    rates = rng.beta(4 * level, 4 * (1 - level), size=videos)
    return (rng.random((videos, size)) < rates[:, None]).astype(float)


@pytest.mark.parametrize("videos", [5, 12, 40])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(videos: int) -> None:
    rng = np.random.default_rng(videos)
    names = np.repeat([f"v{i}" for i in range(videos)], 15)
    covered = by_question = 0
    repeats = 400
    for repeat in range(repeats):
        values = clustered_answers(rng, videos, 15).ravel()
        low, high = clustered_bootstrap(values, names, n=400, seed=repeat)
        covered += low <= 0.6 <= high
        low, high = wilson(int(values.sum()), len(values))
        by_question += low <= 0.6 <= high
    assert 0.90 <= covered / repeats <= 0.99
    assert by_question / repeats < 0.80  # what taking questions for independent would give


def test_the_bootstrap_equals_the_textbook_where_there_is_one() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=400)
    low, high = clustered_bootstrap(values, [str(i) for i in range(400)], n=4000)
    half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)


def test_seeds_and_order() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(60)
    names = [f"v{i % 12}" for i in range(60)]
    order = rng.permutation(60)
    assert clustered_bootstrap(values, names, seed=1) == clustered_bootstrap(values, names, seed=1)
    assert clustered_bootstrap(values, names, seed=1) != clustered_bootstrap(values, names, seed=2)
    shuffled = clustered_bootstrap(values[order], [names[i] for i in order], seed=1)
    assert shuffled == pytest.approx(clustered_bootstrap(values, names, seed=1))


def test_a_benchmark_of_epic_kitchens_size_takes_no_time() -> None:
    rng = np.random.default_rng(0)
    names = [f"P{i:03d}" for i in rng.integers(0, 138, 9668)]
    values = rng.random(9668) < 0.4
    begun = time.process_time()
    low, high = clustered_bootstrap(values, names)
    assert time.process_time() - begun < 5
    assert 0.37 < low < values.mean() < high < 0.43


def test_a_difference_keeps_within_what_a_difference_can_be() -> None:
    same = paired_comparison([1] * 20, [1] * 20, [f"v{i % 4}" for i in range(20)])
    slack = wilson(0, 20)[1]  # of 20 pairs none differs: up to 16 % might
    assert (same.low, same.high) == pytest.approx((-slack, slack))
    all_better = paired_comparison([0] * 20, [1] * 20, [f"v{i % 12}" for i in range(20)])
    assert (all_better.low, all_better.high) == pytest.approx((1 - 2 * slack, 1))
    wild = paired_comparison([0, 0, 0, 0], [1, 1, 0, 1], ["a", "a", "b", "b"])
    assert (wild.low, wild.high) == (-1, 1)


def test_intervals_stay_honest_where_the_bootstrap_has_nothing_to_draw() -> None:
    one_video = ClusteredBootstrap(["v"] * 10).interval([1] * 7 + [0] * 3)
    assert (one_video.low, one_video.high) == wilson(7, 10)
    assert one_video.method == ONE_VIDEO
    all_right = ClusteredBootstrap([f"v{i}" for i in range(50)]).interval([1] * 50)
    assert all_right.high == 1
    assert all_right.low == pytest.approx(0.9287, abs=1e-3)  # Wilson's for 50 of 50
    assert "Wilson" in all_right.method
    ordinary = ClusteredBootstrap([f"v{i}" for i in range(50)]).interval([1] * 25 + [0] * 25)
    assert ordinary.method == "bootstrap by video"


def test_few_videos_have_wide_intervals() -> None:
    alike = ClusteredBootstrap(["a"] * 29 + ["b"] * 29).interval(([1] * 12 + [0] * 17) * 2)
    assert (alike.low, alike.high) == wilson(24, 58)  # 41.4 % in both videos, and yet not "41.4 % to 41.4 %"
    assert alike.method == FEW_VIDEOS
    apart = ClusteredBootstrap(["a"] * 20 + ["b"] * 20 + ["c"] * 20).interval([1] * 20 + [0] * 20 + [1] * 10 + [0] * 10)
    half = stats.t.ppf(0.975, 2) * np.std([1, 0, 0.5], ddof=1) / np.sqrt(3)
    assert half > 0.5 and (apart.low, apart.high) == (0, 1)
    same = ["a"] * 4 + ["b"] * 4
    low, high = ClusteredBootstrap(same).mean_bounds([1, 0, 0, 0] * 2) or (0, 0)
    assert (low + high) / 2 == pytest.approx(0.25) and high - low > 0.7
    assert ClusteredBootstrap(["a"] * 4).mean_bounds([1, 0, 0, 0]) is None
    assert paired_comparison([1, 0, 1], [1, 1, 1], ["a"] * 3).low is None


@pytest.mark.parametrize("videos", [2, 3, 5, 8])
def test_intervals_of_few_videos_cover_the_truth(videos: int) -> None:
    rng = np.random.default_rng(videos)
    names = np.repeat([f"v{i}" for i in range(videos)], 15)
    intervals = [
        ClusteredBootstrap(names, n=10).interval(clustered_answers(rng, videos, 15).ravel()) for _ in range(400)
    ]
    assert np.mean([found.low <= 0.6 <= found.high for found in intervals]) >= 0.92


@pytest.mark.parametrize(("right", "n"), [(0, 20), (1, 20), (7, 20), (20, 20)])
def test_wilson_is_the_librarys(right: int, n: int) -> None:
    known = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right, n) == pytest.approx((known.low, known.high), abs=1e-12)


def test_a_subset_is_measured_by_itself() -> None:
    bootstrap = ClusteredBootstrap([f"v{i % 20}" for i in range(100)])
    right = np.arange(100) % 2 == 0
    members = np.arange(100) < 60
    found = bootstrap.interval(right, members)
    assert (found.value, found.n, found.clusters) == (0.5, 60, 20)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap.interval(right, np.zeros(100, dtype=bool))


def test_wilson() -> None:
    low, high = wilson(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_sign_flips_counted_by_hand() -> None:
    # sums 3, 1, 1: of the 8 sign patterns only +++ and --- reach |5|
    assert sign_flip_test([1, 1, 1, 1, 1], ["a", "a", "a", "b", "c"]) == pytest.approx(2 / 8)
    assert sign_flip_test([1, -1, 0], ["a", "a", "b"]) == 1.0


def test_drawn_sign_flips_agree_with_all_of_them() -> None:
    rng = np.random.default_rng(5)
    differences = rng.choice([-1, 0, 1], p=[0.2, 0.4, 0.4], size=48)
    names = [f"v{i % 12}" for i in range(48)]
    exact = sign_flip_test(differences, names, n=5000)
    drawn = sign_flip_test(differences, names, n=4000)
    assert 0.001 < exact < 0.5
    assert drawn == pytest.approx(exact, abs=0.03)


def test_p_values_are_uniform_when_the_runs_are_alike() -> None:
    rng = np.random.default_rng(11)
    names = np.repeat([f"v{i}" for i in range(24)], 8)
    found = []
    for repeat in range(250):
        rates = rng.beta(2, 2, size=(2, 24))  # each run has its own good and bad videos, neither is better
        a, b = (rng.random((2, 24, 8)) < rates[:, :, None]).reshape(2, -1)
        found.append(paired_comparison(a, b, names, n=100, seed=repeat))
    by_video = np.array([comparison.p_permutation for comparison in found])
    by_question = np.array([comparison.p_mcnemar for comparison in found])
    for level in (0.05, 0.1, 0.25, 0.5):
        spread = 3 * np.sqrt(level * (1 - level) / len(found))
        assert level - spread - 0.03 <= (by_video <= level).mean() <= level + spread  # ties make it a little cautious
    assert (by_question < 0.05).mean() > 0.12  # taking questions for independent finds differences that are not there


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(2)
    names = np.repeat([f"v{i}" for i in range(30)], 20)
    a = rng.random(600) < 0.4
    b = np.where(rng.random(600) < 0.2, True, a)
    found = paired_comparison(a, b, names)
    assert found.difference == pytest.approx((b.mean() - a.mean()), abs=1e-12)
    assert 0 < found.low < found.difference < found.high
    assert found.p_permutation < 0.001
    assert found.only_first == 0
    assert found.both + found.neither + found.only_second == 600


def _precision_of(said: np.ndarray, right: np.ndarray):  # type: ignore[no-untyped-def]
    """Share of what was said that was right, of weighted values; and one that is never defined."""

    def statistics(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            share = (weights @ (said & right)) / (weights @ said)
        return np.stack([share, np.full(len(weights), np.nan)], 1)

    return statistics


def test_statistics_that_are_no_means_are_covered_about_as_often_as_is_said() -> None:
    rng, covered = np.random.default_rng(4), 0
    names = np.repeat([f"v{i}" for i in range(30)], 10)
    for repeat in range(200):
        right = clustered_answers(rng, 30, 10).ravel() > 0
        said = rng.random(300) < 0.5
        bootstrap = ClusteredBootstrap(names, n=300, seed=repeat)
        found, undefined = bootstrap.symmetric_intervals(_precision_of(said, right))
        assert found is not None and undefined is None
        assert found.value == pytest.approx(right[said].mean()) and found.clusters == 30
        assert found.high - found.value == pytest.approx(found.value - found.low)
        covered += found.low <= 0.6 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_statistics_that_are_no_means_have_no_interval_with_few_videos() -> None:
    few = ClusteredBootstrap(np.repeat([f"v{i}" for i in range(9)], 10))
    right = np.arange(90) % 3 > 0
    assert few.symmetric_intervals(_precision_of(np.ones(90, bool), right)) == [None, None]


def test_mcnemar() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)


def test_chance_level() -> None:
    assert chance_level([5, 5, 2]) == pytest.approx((0.2 + 0.2 + 0.5) / 3)
    with pytest.raises(ValueError, match="at least one"):
        chance_level([])
