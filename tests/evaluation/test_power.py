from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from helpers.finished_runs import clustered_answers, finished
from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.base.statistics import sign_flip_test
from llavaction.cli.power import power
from llavaction.evaluation.power import (
    Design,
    intraclass_correlation,
    plan,
    plan_text,
    power_of,
    questions_needed,
    smallest_difference,
)
from llavaction.evaluation.power_config import PowerConfig


def simulated(rng: np.random.Generator, design: Design, difference: float) -> np.ndarray:
    """Differences [videos, questions of each] of -1, 0, 1 whose two of a video correlate by exactly the design's ICC.

    Each is its video's own draw with the probability sqrt(ICC), else one of its own.
    """
    shares = [(design.discordance - difference) / 2, 1 - design.discordance, (design.discordance + difference) / 2]
    shape = (design.videos, design.questions // design.videos)
    own = rng.choice([-1.0, 0.0, 1.0], size=shape, p=shares)
    of_video = rng.choice([-1.0, 0.0, 1.0], size=(design.videos, 1), p=shares)
    return np.where(rng.random(shape) < math.sqrt(design.icc), of_video, own)


@pytest.mark.parametrize(
    ("design", "difference"),
    [
        (Design(400, 40, 0.25, 0.0), 0.07),
        (Design(400, 40, 0.25, 0.1), 0.1),
        (Design(600, 30, 0.2, 0.05), 0.08),
        (Design(300, 100, 0.3, 0.2), 0.0),
    ],
)
def test_claimed_power_is_what_simulations_find(design: Design, difference: float) -> None:
    trials, rng = 800, hashed_rng("power", str(design))
    videos = np.repeat(np.arange(design.videos), design.questions // design.videos)
    hits = sum(
        sign_flip_test(simulated(rng, design, difference).reshape(-1), videos, n=600, seed=trial) < 0.05
        for trial in range(trials)
    )
    claimed = power_of(difference, design) if difference else 0.05
    error = math.sqrt(claimed * (1 - claimed) / trials)
    assert abs(hits / trials - claimed) < 3 * error + 0.01


def test_smallest_difference_and_questions_needed_answer_to_power() -> None:
    design = Design(1000, 100, 0.2, 0.05)
    least = smallest_difference(design)
    assert least is not None and power_of(least, design) == pytest.approx(0.8, abs=1e-6)
    needed = questions_needed(0.03, design)
    assert needed is not None
    assert power_of(0.03, design.resized(needed)) >= 0.8 > power_of(0.03, design.resized(needed - 20))
    assert smallest_difference(Design(10, 2, 0.1, 0.0)) is None


def test_without_clusters_it_is_the_known_formula() -> None:
    """Connor's sample size for McNemar's test (Biometrics 43, 1987): 80 %, two-sided 5 %."""
    discordance, difference = 0.2, 0.05
    root = 1.959964 * math.sqrt(discordance) + 0.841621 * math.sqrt(discordance - difference**2)
    needed = questions_needed(difference, Design(1000, 1000, discordance, 0.0))
    assert needed == pytest.approx((root / difference) ** 2, rel=0.01)


@pytest.mark.parametrize("icc", [0.05, 0.2, 0.5])
def test_the_correlation_is_found_again(icc: float) -> None:
    right, videos = clustered_answers(3, 0.6, 400, 10, icc)
    assert intraclass_correlation(right, videos) == pytest.approx(icc, abs=0.05)


def test_correlations_by_hand() -> None:
    assert intraclass_correlation([1, 1, 0, 0], ["a", "a", "b", "b"]) == 1.0
    assert intraclass_correlation([1, 0, 1, 0], ["a", "a", "b", "b"]) == 0.0
    assert intraclass_correlation([1, 0], ["a", "b"]) == 0.0
    assert Design(100, 20, 0.2, 0.25).design_effect == 2.0
    assert Design(100, 20, 0.2, 0.25, size_variation=1.0).design_effect == 3.25


def test_plans_from_pilots() -> None:
    first, videos = clustered_answers(1, 0.6, 40, 5, 0.2)
    second = first.copy()
    second[::4] = 1 - second[::4]
    runs = [finished(name, [bool(x) for x in right], videos) for name, right in (("a", first), ("b", second))]
    found = plan(PowerConfig(questions=2000), runs)
    assert (found["questions"], found["videos"], found["discordance"]) == (2000, 400, 0.25)
    assert found["accuracy"] == pytest.approx(first.mean())
    assert 0 < found["power"] < 1 and found["questions_needed"] > 0
    apart = [finished("a", [True] * 20), finished("b", [i % 2 == 0 for i in range(20)])]
    assert any("differ much" in note for note in plan(PowerConfig(), apart)["notes"])
    one = plan(PowerConfig(), runs[:1])
    assert (one["questions"], one["videos"]) == (200, 40)
    assert one["icc"] == pytest.approx(intraclass_correlation(first, videos))
    assert any("err independently" in note for note in one["notes"])
    assert "power to find a difference of 3.0 points" in plan_text(found)


def test_plans_without_pilots() -> None:
    found = plan(PowerConfig(questions=1000, videos=100, accuracy=0.5, discordance=0.2, icc=0.1))
    assert found["design_effect"] == pytest.approx(1.9) and found["notes"] == []
    assert found["half_width"] == pytest.approx(1.984217 * math.sqrt(0.25 * 1.9 / 1000), rel=1e-5)
    assert "design effect 1.90" in plan_text(found)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"accuracy": 0.5}, "how many questions"), ({"questions": 100}, "how often do the models differ")],
)
def test_what_a_plan_lacks_is_asked_for(settings: dict[str, float], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        plan(PowerConfig(**settings))
    with pytest.raises(InputError, match="more videos than questions"):
        PowerConfig.from_mapping({"questions": 10, "videos": 20})


def test_the_command() -> None:
    done = CliRunner().invoke(power, ["--questions", "500", "--accuracy", "0.6", "--json"], catch_exceptions=False)
    assert json.loads(done.output)["videos"] == 500
