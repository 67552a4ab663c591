"""Scores of groups of four questions, by hand."""

from __future__ import annotations

import itertools

import pytest

from llavaction.base.errors import InputError
from llavaction.evaluation.official.set_scores import chain_score


@pytest.mark.parametrize(
    ("structure", "right", "score"),
    [
        ("[1, 2, 3, 4]", "1111", 1),
        ("[1, 2, 3, 4]", "1110", 9 / 16),
        ("[1, 2, 3, 4]", "1011", 1 / 16),  # the chain breaks at the second
        ("[1, 2, 3, 4]", "0111", 0),
        ("[1, [2, 3], 4]", "1010", 4 / 12),  # the third holds in place of the second
        ("[1, [2, 3], 4]", "1101", 4 / 12),
        ("[1, [2, 3], 4]", "1110", 7 / 12),
        ("[1, [2, 3], 4]", "0110", 0),
        ("[[1, 2], 3, 4]", "0100", 1 / 10),  # either of the first two begins
        ("[[1, 2], 3, 4]", "1011", 1 / 10),
        ("[[1, 2], 3, 4]", "1110", 5 / 10),
        ("[[1, 2], 3, 4]", "0011", 0),
    ],
)
def test_chains(structure: str, right: str, score: float) -> None:
    assert chain_score([digit == "1" for digit in right], structure) == pytest.approx(score)


def test_only_all_four_give_all() -> None:
    for structure in ("[1, 2, 3, 4]", "[1, [2, 3], 4]", "[[1, 2], 3, 4]"):
        scores = {right: chain_score(right, structure) for right in itertools.product((False, True), repeat=4)}
        assert [right for right, score in scores.items() if score == 1] == [(True,) * 4]
        assert all(scores[right] <= scores[tuple(map(max, zip(right, more, strict=True)))]  # type: ignore[index]
                   for right in scores for more in scores)  # fmt: skip
    with pytest.raises(InputError, match="group_structure 'x' is none of"):
        chain_score([True] * 4, "x")
