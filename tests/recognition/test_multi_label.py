"""Several actions in one clip."""

from __future__ import annotations

import numpy as np
import pytest

from llavaction.base.errors import InputError
from llavaction.recognition.multi_label import Thresholds, decision_metrics, fit_thresholds, mean_average_precision

CLASSES = tuple(f"class {number}" for number in range(6))


def _scores(clips: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that rank well within each class, on a scale of its own; the last class is never shown."""
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, 6)) < np.array([0.5, 0.3, 0.2, 0.1, 0.05, 0.0])
    offsets = np.array([0.0, 5.0, -5.0, 2.0, -2.0, 0.0])
    return rng.normal(0, 1, truth.shape) + 3 * truth + offsets, truth


def test_a_threshold_per_class_decides_where_one_for_all_cannot():
    scores, truth = _scores(600, 0)
    fitted = fit_thresholds(scores, truth, CLASSES)
    others, true_of_others = _scores(600, 1)
    own = decision_metrics(fitted.decide(others), true_of_others)
    one = fit_thresholds(scores.reshape(-1, 1), truth.reshape(-1, 1), ["any"]).thresholds[0]
    shared = decision_metrics(others >= one, true_of_others)
    assert own["f1_micro"] > 0.85
    assert own["f1_micro"] > shared["f1_micro"] + 0.2
    assert own["jaccard"] > shared["jaccard"] + 0.2


def test_a_class_without_clips_takes_the_threshold_of_all_together():
    scores, truth = _scores(600, 0)
    fitted = fit_thresholds(scores, truth, CLASSES)
    one = fit_thresholds(scores.reshape(-1, 1), truth.reshape(-1, 1), ["any"])
    assert fitted.positives[5] == 0
    together = one.thresholds[0]
    assert fitted.thresholds[5] == pytest.approx(together, abs=0.05)


def test_a_perfect_ranking_is_decided_perfectly_up_to_the_pull_of_few_clips():
    truth = np.zeros((400, 2), bool)
    truth[:200, 0] = truth[100:300, 1] = True
    fitted = fit_thresholds(np.where(truth, 10.0, -10.0), truth, CLASSES[:2])
    assert decision_metrics(fitted.decide(np.where(truth, 10.0, -10.0)), truth) == {
        "jaccard": 1.0, "f1_micro": 1.0, "f1_macro": 1.0, "precision": 1.0, "recall": 1.0, "exact": 1.0,
        "labels_per_clip": [1.0, 1.0],
    }  # fmt: skip


def test_metrics_of_a_case_counted_by_hand():
    truth = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
    decided = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], bool)
    measured = decision_metrics(decided, truth)
    assert measured["jaccard"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert measured["f1_micro"] == pytest.approx(2 * 2 / (3 + 3))
    assert measured["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert measured["precision"] == pytest.approx(2 / 3)
    assert measured["recall"] == pytest.approx(2 / 3)
    assert measured["exact"] == pytest.approx(1 / 3)


def _average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Sum over the ranks of precision times the gain in recall, equal scores taken together; by counting alone."""
    total = 0.0
    for score in sorted(set(scores), reverse=True):
        above = scores >= score
        gained = (truth & (scores == score)).sum() / truth.sum()
        total += gained * (truth & above).sum() / above.sum()
    return total


def test_mean_average_precision_equals_a_count_by_hand_and_leaves_out_classes_nobody_shows():
    rng = np.random.default_rng(5)
    truth = rng.random((80, 6)) < 0.2
    truth[:, 3] = False
    scores = rng.integers(0, 12, truth.shape).astype(np.float64)  # with ties
    wanted = np.mean([_average_precision(scores[:, c], truth[:, c]) for c in range(6) if c != 3])
    assert mean_average_precision(scores, truth) == pytest.approx(wanted)
    assert mean_average_precision(scores, np.zeros_like(truth)) is None


def test_thresholds_survive_the_disk_and_refuse_other_classes(tmp_path):
    scores, truth = _scores(50, 0)
    fitted = fit_thresholds(scores, truth, CLASSES)
    fitted.save(tmp_path / "thresholds.json")
    assert Thresholds.load(tmp_path / "thresholds.json") == fitted
    with pytest.raises(InputError, match=r"\[50, 5\].*6 classes"):
        fitted.decide(scores[:, :5])


@pytest.mark.parametrize(
    ("scores", "truth", "problem"),
    [
        (np.zeros((3, 2)), np.zeros((3, 3), bool), "expected"),
        (np.full((3, 2), np.nan), np.ones((3, 2), bool), "6 scores are no finite numbers"),
        (np.zeros((3, 2)), np.zeros((3, 2), bool), "nothing to fit"),
    ],
)
def test_what_cannot_be_fitted_is_said(scores, truth, problem):
    with pytest.raises(InputError, match=problem):
        fit_thresholds(scores, truth, CLASSES[:2])
