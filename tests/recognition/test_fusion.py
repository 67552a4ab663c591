"""Fusion of stages, and whether its confidences can be believed."""

from __future__ import annotations

import numpy as np
import pytest

from llavaction.base.calibration import calibration
from llavaction.base.errors import InputError
from llavaction.recognition.fusion import Fusion, ScoredClip, equal_weights, fit_fusion

STAGES = ("specialist", "heads", "letters")


def _log(values: np.ndarray) -> np.ndarray:
    return values - np.logaddexp.reduce(values)


def _clips(count: int, seed: int, candidates: int = 5, classes: int = 30) -> list[ScoredClip]:
    """An overconfident specialist, heads and letters that know other things, and the specialist's best candidates."""
    rng = np.random.default_rng(seed)
    clips = []
    for number in range(count):
        truth = int(rng.integers(classes))

        def stage(sharpness: float, noise: float, truth: int = truth) -> np.ndarray:
            values = rng.normal(0, noise, classes)
            values[truth] += sharpness
            return values

        specialist, heads = _log(3 * stage(4, 1.3)), _log(stage(3, 1.5))
        offered = np.argsort(-specialist)[:candidates]
        letters = _log(stage(2.5, 1)[offered])
        place = np.flatnonzero(offered == truth)
        scores = {"specialist": specialist[offered], "heads": heads[offered], "letters": letters}
        clips.append(ScoredClip(scores, int(place[0]) if len(place) else -1, f"video {number % 20}"))
    return clips


def _right(fusion: Fusion, clips: list[ScoredClip]) -> tuple[np.ndarray, np.ndarray]:
    shares = [fusion.joint(clip.scores) for clip in clips]
    right = np.array([share.argmax() == clip.truth for share, clip in zip(shares, clips, strict=True)])
    return right, np.array([share.max() for share in shares])


def test_the_fitted_fusion_is_better_than_every_stage_and_calibrated_on_clips_it_has_not_seen():
    fitted, others = fit_fusion(_clips(400, 1), STAGES), _clips(2000, 2)
    right, sure = _right(fitted, others)
    for stage in STAGES:
        assert right.mean() > _right(equal_weights([stage]), others)[0].mean() + 0.05
    assert calibration(sure, right)["error"] < 0.03
    untempered = _right(equal_weights(["specialist"]), others)
    assert calibration(untempered[1], untempered[0])["error"] > 0.045
    held_out, alone = fitted.fitted_on["held_out"], fitted.fitted_on["held_out_alone"]
    assert held_out["log_likelihood"] > max(of["log_likelihood"] for of in alone.values())


def test_a_stage_that_knows_nothing_is_given_next_to_no_weight():
    rng = np.random.default_rng(3)
    clips = [
        ScoredClip({**clip.scores, "noise": _log(rng.normal(0, 1, 5))}, clip.truth, clip.video)
        for clip in _clips(600, 1)
    ]
    fitted = fit_fusion(clips, ("specialist", "noise"))
    assert fitted.weights["noise"] < 0.2 * fitted.weights["specialist"]


def test_one_candidate_is_as_sure_as_the_specialist_deserves():
    """With a single candidate a softmax over candidates would always be 1."""
    fitted, others = fit_fusion(_clips(400, 1, candidates=1), ("specialist",)), _clips(2000, 2, candidates=1)
    right, sure = _right(fitted, others)
    assert right.mean() < 0.9
    assert calibration(sure, right)["error"] < 0.05


def test_where_the_right_class_is_always_a_candidate_the_shares_add_up_to_one():
    clips = _clips(100, 1, candidates=30)
    fitted = fit_fusion(clips, ("specialist", "heads"))
    assert fitted.none is None
    assert fitted.joint(clips[0].scores).sum() == pytest.approx(1)


def test_a_fusion_does_not_depend_on_the_order_of_clips_and_survives_the_disk(tmp_path):
    clips = _clips(100, 1)
    fitted = fit_fusion(clips, STAGES)
    turned = fit_fusion(clips[::-1], STAGES)
    assert turned.weights == pytest.approx(fitted.weights, abs=1e-3)
    fitted.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == fitted


def test_joint_probabilities_counted_by_hand():
    fusion = Fusion(weights={"specialist": 2.0, "letters": 1.0}, temperature=2.0, none=0.5)
    scores = {"specialist": np.log([0.5, 0.3]), "letters": np.log([0.25, 0.75])}
    weights = np.sqrt([0.5**2 * 0.25, 0.3**2 * 0.75, 0.2**2 * np.exp(0.5)])
    assert fusion.joint(scores) == pytest.approx((weights / weights.sum())[:2])


def test_what_is_missing_is_said():
    with pytest.raises(InputError, match="'heads', which has not scored"):
        equal_weights(["heads"]).joint({"letters": [0.0]})
    with pytest.raises(InputError, match="5 labelled clips are too few"):
        fit_fusion(_clips(5, 1), STAGES)
    with pytest.raises(InputError, match="'texts' has not scored"):
        fit_fusion(_clips(30, 1), ("texts",))
    with pytest.raises(InputError, match="must not be negative"):
        Fusion.from_mapping({"weights": {"letters": -1.0}})


def test_calibration_counted_by_hand():
    found = calibration([0.9, 0.9, 0.2, 0.2], [1, 0, 0, 0], bins=2)
    assert found["error"] == pytest.approx((2 * 0.4 + 2 * 0.2) / 4)
    assert found["brier"] == pytest.approx((0.01 + 0.81 + 0.04 + 0.04) / 4)
    assert [(row["n"], row["confidence"], row["accuracy"]) for row in found["bins"]] == [(2, 0.2, 0.0), (2, 0.9, 0.5)]
    assert calibration([], []) is None
