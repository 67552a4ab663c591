"""What scores of several classes a clip are worth; the official metric of Animal Kingdom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from llavaction.base.errors import InputError
from llavaction.base.statistics import BOOTSTRAP, SYMMETRIC
from llavaction.datasets.multi_label import MultiLabelAnnotations, open_multi_label
from llavaction.recognition.multi_label import decision_metrics, fit_thresholds, mean_average_precision
from llavaction.recognition.multi_label_metrics import (
    decision_summary,
    group_of,
    held_out_decisions,
    per_class_decisions,
    ranking_summary,
)

CLASSES = tuple(f"class {number}" for number in range(5))


def official_map(scores: np.ndarray, truth: np.ndarray) -> float:
    """The benchmark's rule: columns without a positive clip are dropped, the others averaged."""
    columns = truth.sum(axis=0) > 0
    values = average_precision_score(truth[:, columns].astype(int), scores[:, columns], average=None)
    return float(np.mean(values))


def _random_scores(shape: tuple[int, int], seed: int, kind: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "ties":
        return rng.integers(0, 7, shape).astype(np.float64)
    if kind == "equal":
        return np.zeros(shape)
    return rng.normal(size=shape)


def _cases(clips: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores that say something, truth with a class that nobody shows, and videos of three clips."""
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, 5)) < np.array([0.5, 0.3, 0.1, 0.05, 0.0])
    return rng.normal(size=truth.shape) + 1.5 * truth, truth, [f"v{clip // 3}" for clip in range(clips)]


@pytest.fixture(scope="module")
def animal_kingdom(shared: Path) -> MultiLabelAnnotations:
    folder = shared / "data" / "animal_kingdom"
    if not (folder / "AR_metadata.xlsx").is_file():
        pytest.skip("needs AR_metadata.xlsx of Animal Kingdom, which is given out on request")
    return open_multi_label(folder)


@pytest.mark.parametrize("kind", ["normal", "ties", "equal"])
def test_the_official_metric_of_animal_kingdom_on_its_6096_test_clips(
    animal_kingdom: MultiLabelAnnotations, kind: str
) -> None:
    found = animal_kingdom
    train, test = found.of_split("train"), found.of_split("test")
    assert (len(found.clips), len(train), len(test), len(found.classes.names)) == (30_100, 24_004, 6_096, 140)
    truth = found.truth(test)
    assert int(truth.any(0).sum()) == 127 and found.remarks == []
    named = {found.classes.ids[place]: name for place, name in enumerate(found.classes.names)}
    assert {number: named[number] for number in (49, 50, 81, 82, 83, 84, 139)} == {
        49: "Flapping tail", 50: "Flapping its ears", 81: "Performing sexual display", 82: "Performing allo-grooming",
        83: "Performing allo-preening", 84: "Performing copulatory mounting", 139: "Yawning",
    }  # fmt: skip
    scores = _random_scores(truth.shape, 11, kind)
    ours = mean_average_precision(scores, truth)
    assert ours == pytest.approx(official_map(scores, truth), abs=1e-12)
    assert ours == pytest.approx(truth.mean(0)[truth.any(0)].mean(), abs=0.01)  # what chance gets


@pytest.mark.parametrize("kind", ["normal", "ties", "equal"])
def test_the_official_metric_on_made_up_clips(kind: str) -> None:
    rng = np.random.default_rng(3)
    truth = rng.random((700, 40)) < rng.uniform(0, 0.1, 40)
    truth[:, [4, 17]] = False
    scores = _random_scores(truth.shape, 5, kind)
    assert mean_average_precision(scores, truth) == pytest.approx(official_map(scores, truth), abs=1e-12)
    per_class = ranking_summary(scores, truth, ["v"] * 700, [f"c{place}" for place in range(40)])["per_class"]
    for place, row in enumerate(per_class):
        alone = average_precision_score(truth[:, place], scores[:, place]) if truth[:, place].any() else None
        assert row["average_precision"] == (None if alone is None else pytest.approx(alone, abs=1e-6))


def test_rankings_are_measured_for_frequent_and_rare_classes_apart() -> None:
    scores, truth, videos = _cases(600, 0)
    measured = ranking_summary(scores, truth, videos, CLASSES, np.array([900, 500, 499, 99, 3]))
    assert measured["map"]["value"] == pytest.approx(official_map(scores, truth), abs=1e-6)
    assert measured["map"]["classes"] == 4 and measured["map"]["clusters"] == 200
    assert measured["map"]["method"] == SYMMETRIC
    assert measured["map"]["low"] < measured["map"]["value"] - 0.01 and measured["map"]["high"] < 1
    assert {name: found["classes"] for name, found in measured["groups"].items()} == {"head": 2, "middle": 1, "tail": 1}
    assert measured["groups"]["head"]["value"] == pytest.approx(official_map(scores[:, :2], truth[:, :2]), abs=1e-6)
    width = {name: found["high"] - found["low"] for name, found in measured["groups"].items()}
    assert width["tail"] > 2 * width["head"]  # 30 positive clips, not 480
    assert [row["group"] for row in measured["per_class"]] == ["head", "head", "middle", "tail", "tail"]
    assert measured["per_class"][4]["average_precision"] is None and measured["per_class"][4]["clips"] == 0
    assert measured["map_of_chance"] == pytest.approx(truth[:, :4].mean(), abs=1e-6)
    bare = ranking_summary(scores, truth, videos, CLASSES)
    assert bare["groups"] is None and bare["map"] == measured["map"]


def test_the_interval_of_map_covers_that_of_many_clips_about_as_often_as_it_says() -> None:
    scores, truth, _ = _cases(60_000, 1)
    wanted = official_map(scores, truth)
    covered = 0
    for repeat in range(80):
        scores, truth, videos = _cases(300, 100 + repeat)
        found = ranking_summary(scores, truth, videos, CLASSES, seed=repeat)["map"]
        covered += found["low"] <= wanted <= found["high"]
    assert 70 <= covered <= 80  # 76 are expected


def test_few_videos_have_no_interval() -> None:
    scores, truth, _ = _cases(60, 0)
    found = ranking_summary(scores, truth, [f"v{clip % 9}" for clip in range(60)], CLASSES)["map"]
    assert (found["low"], found["high"]) == (None, None) and "fewer than 10 videos" in found["method"]
    assert found["value"] == pytest.approx(official_map(scores, truth), abs=1e-6)


def test_decisions_are_measured_as_without_intervals() -> None:
    scores, truth, videos = _cases(600, 0)
    decided = scores > 1
    bare, measured = decision_metrics(decided, truth), decision_summary(decided, truth, videos)
    for name in ("jaccard", "exact", "f1_micro", "f1_macro", "precision", "recall"):
        assert measured[name]["value"] == pytest.approx(bare[name], abs=1e-6)
        assert measured[name]["low"] < measured[name]["value"] < measured[name]["high"]
    assert measured["jaccard"]["method"] == BOOTSTRAP and measured["f1_micro"]["method"] == SYMMETRIC
    nothing = decision_summary(np.zeros_like(truth), truth, videos)
    assert nothing["precision"] is None and nothing["recall"]["value"] == 0.0


def test_decisions_of_each_class_are_counted_by_hand() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    decided = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], bool)
    assert per_class_decisions(decided, truth) == [
        {"decided": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        {"decided": 2, "precision": 1.0, "recall": 1.0, "f1": 1.0},
        {"decided": 0, "precision": None, "recall": None, "f1": None},
    ]


def test_held_out_decisions_use_the_thresholds_of_other_videos() -> None:
    rng = np.random.default_rng(0)
    truth, videos = rng.random((60, 5)) < 0.3, [f"v{clip // 3}" for clip in range(60)]
    scores = rng.normal(size=truth.shape)  # tell nothing, so that what is fitted is fitted to chance
    seen = decision_metrics(fit_thresholds(scores, truth, CLASSES).decide(scores), truth)
    held_out = held_out_decisions(scores, truth, videos, CLASSES)
    assert held_out is not None
    unseen = decision_metrics(held_out, truth)
    assert unseen["f1_macro"] < seen["f1_macro"]
    for video in sorted(set(videos))[:3]:  # its own truth does not count
        own = np.array([name == video for name in videos])
        turned = truth ^ own[:, None]
        again = held_out_decisions(scores, turned, videos, CLASSES)
        assert again is not None and np.array_equal(again[own], held_out[own])
    assert held_out_decisions(scores, truth, ["v"] * 60, CLASSES) is None


def test_groups_begin_at_their_bounds() -> None:
    assert [group_of(count) for count in (0, 99, 100, 499, 500)] == ["tail", "tail", "middle", "middle", "head"]


def test_scores_that_are_no_numbers_are_refused() -> None:
    scores, truth, videos = _cases(30, 0)
    scores[3, 2] = np.nan
    with pytest.raises(InputError, match="1 scores are no finite numbers"):
        ranking_summary(scores, truth, videos, CLASSES)
