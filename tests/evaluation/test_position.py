from __future__ import annotations

import numpy as np
import pytest

from llavaction.base.seeding import hashed_rng
from llavaction.evaluation.position import position_bias


def answers_of(
    seed: int, bias: float, questions: int = 200, per_video: int = 5
) -> tuple[list[int], list[int], list[str]]:
    """A model right in half of the questions, whose errors go to B with a probability of ``bias``, else anywhere."""
    rng = hashed_rng("position", seed)
    answers, choices = rng.integers(0, 4, size=questions), np.empty(questions, dtype=int)
    for i, answer in enumerate(answers):
        others = [place for place in range(4) if place != answer]
        at_b = answer != 1 and rng.random() < bias
        choices[i] = answer if rng.random() < 0.5 else 1 if at_b else rng.choice(others)
    return answers.tolist(), choices.tolist(), [f"v{i // per_video}" for i in range(questions)]


def test_a_preference_is_found_and_named() -> None:
    answers, choices, videos = answers_of(1, 0.6)
    found = position_bias(answers, choices, [4] * 200, videos)
    assert found is not None
    assert found.p_permutation < 0.01 and found.p_chi_square < 0.001 and found.preferred == "B"
    assert 0.1 < found.excess < 0.4


def test_without_a_preference_the_p_values_are_even() -> None:
    p_values = []
    for seed in range(80):
        answers, choices, videos = answers_of(seed, 0.0, questions=100)
        found = position_bias(answers, choices, [4] * 100, videos, n=200, seed=seed)
        assert found is not None
        p_values.append(found.p_permutation)
    assert 0.38 < float(np.mean(p_values)) < 0.62  # five standard errors of 0.032
    assert float(np.mean(np.array(p_values) < 0.1)) < 0.25


def test_one_video_that_always_errs_alike_is_no_evidence() -> None:
    """Thirty questions of one video with the same wrong place: one draw, not thirty."""
    found = position_bias([0] * 30, [2] * 30, [4] * 30, ["v"] * 30)
    assert found is not None
    assert found.p_chi_square < 1e-9 and found.p_permutation == 1.0


def test_by_hand() -> None:
    found = position_bias([0, 0, 1, 1], [1, 1, 1, None], [3, 3, 3, 3], ["a", "b", "c", "d"])
    assert found is not None  # two wrong choices, both B where B and C were as likely
    assert (found.chi_square, found.wrong, found.preferred) == (2.0, 2, "B")
    assert found.p_permutation == pytest.approx(0.5, abs=0.05)
    assert found.excess == pytest.approx(1 / 3) and found.recall_std == 0.5
    assert position_bias([0, 1], [0, 1], [4, 4], ["a", "b"]) is None
    assert position_bias([0, 1], [1, 0], [2, 2], ["a", "b"]) is None  # an error has one place only
