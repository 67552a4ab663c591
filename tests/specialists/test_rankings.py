"""The rule from a specialist's scores to log-weights."""

from __future__ import annotations

import numpy as np
import pytest

from llavaction.specialists.rankings import LEAST, SpecialistPrediction, log_scores


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.6, 0.4), np.log([0.6, 0.4])),
        ((0.5, 0.0), np.log([0.5, LEAST])),
        ((-0.1, -2.0), [-0.1, -2.0]),
        ((5.0, 2.0), [5.0, 2.0]),  # not negative, but no probabilities
        ((3.0, -1.0), [3.0, -1.0]),
    ],
)
def test_probabilities_are_told_from_log_weights(scores: tuple[float, ...], expected: object) -> None:
    found = SpecialistPrediction(segment_id="s", actions=((0, 0), (1, 1)), scores=scores)
    assert log_scores(found) == pytest.approx(np.asarray(expected))
