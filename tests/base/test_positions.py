from __future__ import annotations

import numpy as np
import pytest

from llavaction.base.corrections import holm
from llavaction.base.positions import position_test
from llavaction.base.seeding import hashed_rng


def test_who_goes_by_the_options_has_no_preference() -> None:
    content = [[(best - order) % 5 for order in range(5)] for best in range(5) for _ in range(8)]
    assert position_test(content, [f"v{number % 10}" for number in range(40)]) == 1.0


def test_who_guesses_is_accused_as_often_as_the_level_says() -> None:
    accused = 0
    for trial in range(300):
        rng = hashed_rng("guesser", trial)
        places = rng.integers(0, 4, size=(40, 4)).tolist()
        accused += position_test(places, [f"v{number // 4}" for number in range(40)], n=200, seed=trial) < 0.05
    assert 4 <= accused <= 26  # 15 expected


def test_who_guesses_alike_within_a_video_is_not_accused_for_it() -> None:
    accused = 0
    for trial in range(300):
        rng = hashed_rng("moody", trial)
        moods = rng.integers(0, 4, size=12)  # one letter for all questions of a video
        places = [[int(moods[number // 10])] * 4 for number in range(120)]
        accused += position_test(places, [f"v{number // 10}" for number in range(120)], n=200, seed=trial) < 0.05
    assert 4 <= accused <= 26


@pytest.mark.parametrize(("options", "least"), [(2, 0.0), (5, 0.0)])
def test_a_preference_is_found(options: int, least: float) -> None:
    rng = hashed_rng("preference", options)
    places = [
        [0 if rng.random() < 0.3 else (number - order) % options for order in range(options)] for number in range(200)
    ]
    assert least < position_test(places, [f"v{number // 10}" for number in range(200)]) < 0.01


def test_questions_of_several_sizes_are_tested_together() -> None:
    places = [[0] * (2 + number % 4) for number in range(60)]
    assert position_test(places, [f"v{number // 5}" for number in range(60)]) == pytest.approx(1 / 2001)
    assert position_test([[0, 0, 0]], ["one"]) > 0.9  # a single video tells nothing


def test_holm() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.5]), [0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]
