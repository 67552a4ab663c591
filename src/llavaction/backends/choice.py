"""The rule from scores to a choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DECIMALS = 6
"""Of scores as records keep them."""
FLOOR = -1e6
"""Stands for a log-probability of minus infinity, which JSON cannot hold."""


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        scores: of each option, as a record keeps them: rounded, none below :data:`FLOOR`.
        place: of the chosen option.
        joined: float64 [options], what the choice was made by: the scores and what was added to them.
    """

    scores: tuple[float, ...]
    place: int
    joined: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """Probability of each option, float64 [options]; they add up to 1."""
        return np.asarray(np.exp(self.joined - np.logaddexp.reduce(self.joined)))

    @property
    def margin(self) -> float:
        """Score of the choice minus the next best, nats."""
        other_scores = [score for place, score in enumerate(self.scores) if place != self.place]
        return round(self.scores[self.place] - max(other_scores), DECIMALS)


def choose(scores: NDArray[np.float64], added: NDArray[np.float64] | None = None) -> Choice:
    """The option of the largest score; of several equal ones the first.

    Scores are rounded before the choice is made, so that the record alone tells it.

    Args:
        scores: log-probability of each option, [options]; minus infinity is a number here, others have to be finite.
        added: what else speaks for each option, [options].
    """
    rounded = tuple(round(float(score), DECIMALS) + 0.0 for score in np.maximum(scores, FLOOR))
    joined = np.array(rounded) if added is None else np.array(rounded) + added
    return Choice(rounded, int(joined.argmax()), joined)
