"""Position bias: does a model that errs prefer some letter, whatever stands behind it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.base.seeding import hashed_rng
from llavaction.base.statistics import Clusters
from llavaction.questions.asked import LETTERS

PERMUTATIONS = 2000


@dataclass(frozen=True)
class PositionBias:
    """What wrong choices say of a preference for places.

    Attributes:
        chi_square: sum over places of (wrong choices - expected)^2 / expected, expected if every place but the
            answer's were as likely.
        p_permutation: of it, by permutations within videos.
        p_chi_square: of it, by the chi-square distribution, which takes questions for independent.
        wrong: wrong choices.
        preferred: the letter chosen most above expectation.
        excess: how much above, as a share of all answered questions.
        recall_std: standard deviation over the places of the accuracy where the answer stands there; source: Zheng et
            al., "Large language models are not robust multiple choice selectors" (ICLR 2024), section 2.
    """

    chi_square: float
    p_permutation: float
    p_chi_square: float
    wrong: int
    preferred: str
    excess: float
    recall_std: float

    def as_mapping(self) -> dict[str, Any]:
        """For JSON, rounded to six decimals."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in vars(self).items()}


def position_bias(
    answers: Sequence[int],
    choices: Sequence[int | None],
    options: Sequence[int],
    videos: Clusters,
    *,
    n: int = PERMUTATIONS,
    seed: int = 0,
) -> PositionBias | None:
    """Test whether wrong choices fall on all places but the answer's alike.

    A model without preference errs to any of the other places. The permutations rename these places (the first, the
    second, ... that is not the answer's), in one way for all questions of a video that have as many options, so that
    wrong choices which belong together stay together.

    Args:
        answers: [questions], index of the right option.
        choices: [questions], index of the chosen one, or None.
        options: [questions], how many there are.
        videos: [questions], the video of each.
        n: permutations.
        seed: of the draws.

    Returns:
        The test; None where no choice is wrong, or no wrong choice had more than one place to fall on.
    """
    answered = [i for i, choice in enumerate(choices) if choice is not None]
    wrong = [i for i in answered if choices[i] != answers[i] and options[i] > 2]
    if not wrong:
        return None
    answer = np.array([answers[i] for i in wrong])
    count = np.array([options[i] for i in wrong])
    choice = np.array([choices[i] for i in wrong])
    places = int(count.max())
    expected = _expected(answer, count, places)
    observed = np.bincount(choice, minlength=places).astype(np.float64)
    statistic = _chi_square(observed[None], expected)[0]
    permuted = _permuted(answer, choice, count, np.asarray(videos, dtype=str)[wrong], places, n, seed)
    extreme = int((_chi_square(permuted, expected) >= statistic - 1e-9).sum())
    excess = observed - expected
    top = int(excess.argmax())
    return PositionBias(
        float(statistic),
        (extreme + 1) / (n + 1),
        _survival(float(statistic), int((expected > 0).sum()) - 1),
        len(wrong),
        LETTERS[top],
        float(excess[top] / len(answered)),
        _recall_std(answers, choices, answered),
    )


def _expected(answer: NDArray[np.intp], count: NDArray[np.intp], places: int) -> NDArray[np.float64]:
    """[places], wrong choices on each if all but the answer's were as likely."""
    grid = np.arange(places)[None]
    possible = (grid < count[:, None]) & (grid != answer[:, None])
    return (possible / (count[:, None] - 1)).sum(axis=0)


def _chi_square(observed: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    met = expected > 0
    return ((observed[:, met] - expected[met]) ** 2 / expected[met]).sum(axis=1)


def _permuted(
    answer: NDArray[np.intp],
    choice: NDArray[np.intp],
    count: NDArray[np.intp],
    videos: NDArray[np.str_],
    places: int,
    n: int,
    seed: int,
) -> NDArray[np.float64]:
    """[n, places], wrong choices on each place once the others of every video were renamed."""
    rank = choice - (choice > answer)
    names = np.char.add(np.char.add(videos, "/"), count.astype(str))
    _, group = np.unique(names, return_inverse=True)
    sizes = np.zeros(int(group.max()) + 1, dtype=np.intp)
    sizes[group] = count - 1
    rng = hashed_rng("position bias", seed)
    found = np.empty((n, places))
    for i in range(n):
        keys = rng.random((len(sizes), places))
        keys[np.arange(places)[None] >= sizes[:, None]] = 2.0  # places that do not exist stay behind
        renamed = keys.argsort(axis=1)[group, rank]
        found[i] = np.bincount(renamed + (renamed >= answer), minlength=places)
    return found


def _survival(statistic: float, freedom: int) -> float:
    from scipy import stats

    return float(stats.chi2.sf(statistic, freedom)) if freedom > 0 else 1.0


def _recall_std(answers: Sequence[int], choices: Sequence[int | None], answered: Sequence[int]) -> float:
    there = sorted({answers[i] for i in answered})
    recalls = [np.mean([choices[i] == place for i in answered if answers[i] == place]) for place in there]
    return float(np.std(recalls))
