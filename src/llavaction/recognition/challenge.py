"""Recognitions as the EPIC-KITCHENS-100 action recognition challenge takes them: a score of every class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.recognition.records import Recognition
from llavaction.specialists.accuracy import GROUPS, measure_submission
from llavaction.specialists.challenge import (
    ACTIONS,
    NOUNS,
    SegmentScores,
    SupervisionLevels,
    check_target,
    write_submission,
)

LEAST = 1e-7
"""The least score of a class that no candidate has, below every probability that a record can hold but 0."""

Floats = NDArray[np.float64]


class ChallengeScores:
    """Makes scores of all classes of what a recognition says of its candidates.

    The score of an action is its joint probability, of a verb or noun the sum over the candidates that have it. The
    probability that is missing from 1 is spread evenly over the classes that no candidate has; each of them has at
    least :data:`LEAST`, and each class of a candidate at least twice that, so that it comes first where both have next
    to nothing. Where fewer than 100 pairs are candidates, others follow with scores below theirs: the known actions of
    the largest product of verb and noun score.

    Args:
        vocabulary: the classes; nouns from id 300 on are no part of the challenge.
    """

    def __init__(self, vocabulary: ActionVocabulary) -> None:
        self._vocabulary = vocabulary
        self._verbs = sorted(vocabulary.verbs)
        self._nouns = sorted(noun for noun in vocabulary.nouns if noun < NOUNS)

    def of(self, recognition: Recognition) -> SegmentScores:
        """The scores of one segment, rounded to 6 digits that count.

        Args:
            recognition: of a segment that could be asked.
        """
        shares = _shares(recognition)
        missing = max(0.0, 1 - float(shares.sum()))
        sides = [
            _of_classes(classes, [action[side] for action in recognition.candidates], shares, missing)
            for side, classes in enumerate((self._verbs, self._nouns))
        ]
        verbs, nouns = (
            dict(zip(classes, _rounded(values), strict=True))
            for classes, values in zip((self._verbs, self._nouns), sides, strict=True)
        )
        places = sorted(  # the chosen action first, of equals the better ranked
            (place for place, (verb, noun) in enumerate(recognition.candidates) if verb in verbs and noun in nouns),
            key=lambda place: (-shares[place], recognition.candidates[place] != recognition.action),
        )[:ACTIONS]
        best = [recognition.candidates[place] for place in places]
        actions = dict(zip(best, _rounded(np.maximum(shares[places], 2 * LEAST)), strict=True))
        return SegmentScores(recognition.segment_id, verbs, nouns, actions | self._others(actions, *sides))

    def _others(self, taken: Collection[Action], verbs: Floats, nouns: Floats) -> dict[Action, float]:
        """Pairs that fill up the actions, best first, and their scores, none above :data:`LEAST`."""
        pairs, verb_columns, noun_columns = self._pairs
        products = verbs[verb_columns] * nouns[noun_columns]
        found: dict[Action, float] = {}
        for place in np.argsort(-products, kind="stable")[: ACTIONS + len(taken)]:
            if len(taken) + len(found) == ACTIONS:
                break
            if pairs[place] not in taken:
                found[pairs[place]] = float(f"{LEAST * products[place]:.6g}")
        return found

    @cached_property
    def _pairs(self) -> tuple[list[Action], NDArray[np.int64], NDArray[np.int64]]:
        """The actions that can fill up, all pairs where fewer than 100 are known, with places of verbs and nouns."""
        verb_columns = {verb: column for column, verb in enumerate(self._verbs)}
        noun_columns = {noun: column for column, noun in enumerate(self._nouns)}
        pairs = [
            (verb, noun) for verb, noun in self._vocabulary.actions if verb in verb_columns and noun in noun_columns
        ]
        if len(pairs) < ACTIONS:
            pairs = list(dict.fromkeys((*pairs, *((verb, noun) for verb in self._verbs for noun in self._nouns))))
        columns = [(verb_columns[verb], noun_columns[noun]) for verb, noun in pairs]
        return pairs, *np.array(columns, np.int64).reshape(-1, 2).T


def write_recognitions(
    path: str | Path,
    recognitions: Sequence[Recognition],
    vocabulary: ActionVocabulary,
    levels: SupervisionLevels | None = None,
) -> None:
    """Write a submission of recognitions, see :class:`ChallengeScores`; segments that could not be asked are lacking.

    Args:
        path: the file, see :func:`llavaction.specialists.challenge.write_submission`.
        recognitions: of a split.
        vocabulary: all classes that are to have a score.
        levels: declared with the submission; their defaults by default.

    Raises:
        InputError: it is no .zip or .json file or cannot be written, or the labels are no verb-noun pairs.
    """
    check_target(path, one_label=vocabulary.one_label)
    scores = ChallengeScores(vocabulary)
    write_submission(path, (scores.of(found) for found in recognitions if found.error is None), levels)


def challenge_accuracy(
    recognitions: Sequence[Recognition],
    segments: Sequence[Segment],
    vocabulary: ActionVocabulary,
    groups: Mapping[str, Collection[str]],
) -> dict[str, Any]:
    """Accuracy as the challenge measures a submission of the recognitions; segments that it lacks count as wrong.

    Args:
        recognitions: of the segments.
        segments: all that were to be recognised.
        vocabulary: the classes.
        groups: segment ids by name.

    Returns:
        See :func:`llavaction.specialists.accuracy.official_table`; empty where no class of a segment is known, or the
        groups are none of the challenge's.
    """
    names = {group for row in GROUPS.values() for group in row if group is not None}
    if vocabulary.one_label or names.isdisjoint(groups) or not any(segment.labelled for segment in segments):
        return {}
    scores = ChallengeScores(vocabulary)
    return measure_submission((scores.of(found) for found in recognitions if found.error is None), segments, groups)


def _shares(recognition: Recognition) -> Floats:
    """Probability of each candidate, float64 [candidates].

    Records of earlier versions have the confidence alone; what it leaves is shared out as the model's scores say.
    """
    if recognition.probabilities:
        return np.array(recognition.probabilities)
    scores = np.array(recognition.option_scores or np.zeros(len(recognition.candidates)))
    chosen = [action == recognition.action for action in recognition.candidates].index(True)
    weights = np.exp(scores - scores.max())
    weights[chosen] = 0.0
    shares = weights / max(weights.sum(), np.finfo(float).tiny) * (1 - (recognition.confidence or 0.0))
    shares[chosen] = recognition.confidence or 0.0
    return np.asarray(shares)


def _of_classes(classes: Sequence[int], labels: Sequence[int], shares: Floats, missing: float) -> Floats:
    """Score of every class of one side, float64 [classes].

    Args:
        classes: their ids.
        labels: the class of each candidate.
        shares: its probability.
        missing: probability that no candidate has.
    """
    totals: dict[int, float] = {}
    for label, share in zip(labels, shares, strict=True):
        totals[label] = totals.get(label, 0.0) + float(share)
    others = sum(label not in totals for label in classes)
    spread = max(missing / max(others, 1), LEAST)
    return np.array([max(totals[label], 2 * LEAST) if label in totals else spread for label in classes])


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
