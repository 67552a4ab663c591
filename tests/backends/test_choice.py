"""The rule from scores to a choice."""

from __future__ import annotations

import numpy as np
import pytest

from llavaction.backends.asking import FLOOR, choose


def test_the_largest_wins_and_of_equal_ones_the_first() -> None:
    found = choose(np.array([-3.0, -1.00000049, -1.0, -2.0]))
    assert found.scores == (-3.0, -1.0, -1.0, -2.0)  # equal once rounded
    assert (found.place, found.margin) == (1, 0.0)
    assert found.shares.sum() == pytest.approx(1)


def test_minus_infinity_is_a_number() -> None:
    found = choose(np.array([-np.inf, 0.0, -np.inf]))
    assert (found.scores, found.place, found.margin) == ((FLOOR, 0.0, FLOOR), 1, 1e6)


def test_what_is_added_is_not_in_the_scores() -> None:
    found = choose(np.array([-1.0, -2.0]), np.array([0.0, 1.5]))
    assert (found.scores, found.place) == ((-1.0, -2.0), 1)
    assert found.shares[1] == pytest.approx(np.exp(0.5) / (1 + np.exp(0.5)))
