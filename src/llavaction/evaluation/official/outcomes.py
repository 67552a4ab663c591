"""What a public scorer makes of a written answer, and what it counts for."""

from __future__ import annotations

from typing import Literal

from llavaction.questions.asked import LETTERS

RANDOM: Literal["random"] = "random"
"""The scorer draws one of the options; so the answer counts for 1/n, what the draw is worth on average."""
EXCLUDED: Literal["excluded"] = "excluded"
"""The scorer leaves the question out of the denominator."""

Outcome = int | frozenset[int] | Literal["random", "excluded"] | None
"""The option chosen; the options each of which the scorer would call right; a mark of the above; None: wrong."""


def credit(outcome: Outcome, answer: int | None, options: int) -> float | None:
    """What an outcome counts for: 0 to 1, or None where the question is left out.

    Args:
        outcome: what the scorer made of the text.
        answer: index of the right option; of one that is hidden nothing counts.
        options: how many there are.
    """
    if outcome == EXCLUDED or answer is None:
        return None
    if outcome == RANDOM:
        return 1 / options
    if isinstance(outcome, frozenset):
        return float(answer in outcome)
    return float(outcome == answer)


def said(outcome: Outcome, options: int) -> str:
    """An outcome in words, as a prediction keeps it."""
    if outcome is None:
        return "wrong whatever the answer is"
    if outcome == RANDOM:
        return f"drawn at random, counts for 1/{options}"
    if outcome == EXCLUDED:
        return "left out of the denominator"
    if isinstance(outcome, frozenset):
        return "right whatever the answer is" if len(outcome) == options else "right for several options"
    return "one option"


def place(letter: str, options: int) -> int | None:
    """The index of a capital letter; None where no option has it."""
    index = LETTERS.find(letter)
    return index if 0 <= index < options else None
