"""How written answers are scored where nobody has to judge them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from llavaction.base.statistics import ClusteredBootstrap
from llavaction.base.text import same_when_read
from llavaction.evaluation.open_answers.schema import WrittenAnswer
from llavaction.evaluation.open_answers.spans import overlap, read_span

Score = Callable[[WrittenAnswer], float]
"""Between 0 and 1; 0 for a question that could not be asked."""

OVERLAPS = (0.3, 0.5, 0.7)
"""Least overlaps at which a span of time counts as found."""
ALIKE = 0.5
"""Below this likeness ANLS is 0."""

_OPENINGS = ("the answer is", "answer:", "the correct answer is", "the final answer is")


def exact(answer: WrittenAnswer) -> float:
    """Whether the text is a right answer, letter for letter: ActivityNet-QA's own metric.

    Source: MILVLG/activitynet-qa, evaluation/eval.py.
    """
    return float(answer.text in answer.answers)


def alike(answer: WrittenAnswer) -> float:
    """Whether the text reads as a right answer: without regard to case, punctuation at its ends and blanks."""
    if answer.text is None:
        return 0.0
    said = same_when_read(answer.text.strip().strip(".!\"'"))
    return float(any(said == same_when_read(right.strip().strip(".!\"'")) for right in answer.answers))


def likeness(answer: WrittenAnswer) -> float:
    """ANLS: 1 minus the edit distance per character of the longer one, 0 below a half; the best of the right answers.

    Source: lmms-eval 0.7.3, tasks/egotempo; openings such as "The answer is" are taken off before. It says 0 of "The
    person picks up a spoon" where "A spoon." is right, which a judge would not.
    """
    if answer.text is None:
        return 0.0
    said = answer.text.strip()
    for opening in _OPENINGS:
        if said.lower().startswith(opening):
            said = said[len(opening) :].strip(" :.-")
            break
    return max((_likeness(said, right) for right in answer.answers), default=0.0)


def _likeness(said: str, right: str) -> float:
    one, other = (" ".join(text.lower().split()) for text in (said, right))
    if not one or not other:
        return float(one == other)
    share = 1 - edit_distance(one, other) / max(len(one), len(other))
    return share if share >= ALIKE else 0.0


def edit_distance(one: str, other: str) -> int:
    """Fewest insertions, deletions and replacements of characters that make one text the other (Levenshtein)."""
    places, letters = np.arange(len(other) + 1), np.array([ord(letter) for letter in other], dtype=np.int64)
    row = places
    for number, letter in enumerate(one, start=1):
        changed = np.minimum(row[:-1] + (letters != ord(letter)), row[1:] + 1)
        row = np.minimum.accumulate(np.concatenate([[number], changed]) - places) + places
    return int(row[-1])


def time_overlap(answer: WrittenAnswer) -> float:
    """Intersection over union of the span of time that the text names and the right one; 0 where it names none."""
    said = None if answer.text is None else read_span(answer.text)
    return 0.0 if said is None or answer.span is None else overlap(said, answer.span)


def found_within(least: float) -> Score:
    """Whether the span of time that the text names overlaps the right one by at least so much."""
    return lambda answer: float(time_overlap(answer) >= least)


SCORES: Mapping[str, Mapping[str, Score]] = {
    "exact_match": {"exact_match": exact, "same_when_read": alike},
    "likeness": {"anls": likeness, "same_when_read": alike},
    "time_overlap": {
        "mean_overlap": time_overlap,
        **{f"overlap_{least}": found_within(least) for least in OVERLAPS},
    },
}
"""By the name that a benchmark's ``source.scorer`` gives: scores, the official one first."""


def measure(
    answers: Sequence[WrittenAnswer], scorer: str, groups: Mapping[str, Sequence[str]] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Every score over all answers, by kind of question and by groups of kinds, with 95 % intervals clustered by video.

    A question that could not be asked counts as 0. ``macro`` is the mean over the kinds.

    Args:
        answers: what was written.
        scorer: one of :data:`SCORES`.
        groups: name of each group to its kinds.
        seed: of the bootstrap.
    """
    bootstrap = ClusteredBootstrap([answer.video_id for answer in answers], seed=seed)
    kinds = sorted({answer.kind for answer in answers} - {""})
    members = {kind: np.array([answer.kind == kind for answer in answers]) for kind in kinds}
    members |= {
        name: np.array([answer.kind in joined for answer in answers])
        for name, joined in (groups or {}).items()
        if set(joined) & set(kinds)
    }
    result: dict[str, Any] = {}
    for name, score in SCORES[scorer].items():
        values = np.array([score(answer) for answer in answers])
        result[name] = {"all": bootstrap.interval(values).rounded()}
        if kinds:
            by_kind = {kind: bootstrap.interval(values, member).rounded() for kind, member in members.items()}
            means = [float(by_kind[kind]["value"]) for kind in kinds]
            result[name] |= {"kinds": by_kind, "macro": round(float(np.mean(means)), 6)}
    return result
