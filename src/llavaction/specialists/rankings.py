"""Rankings of action classes by a specialist: the record, how it is made of scores, and a file's worth of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from llavaction.actions.segments import Clip
from llavaction.actions.vocabulary import Action
from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.base.records import Record
from llavaction.specialists.agreement import Agreement, PredictedClasses

TOP = 100
"""Verbs, nouns and action pairs kept per segment, as the official EPIC-KITCHENS-100 evaluation does."""
MOST_PAIRS = 8_000_000
"""Of all segments of a file together; EPIC-KITCHENS-100's training split with 100 each has 6.7 million."""
MOST_SEGMENTS = 500_000
"""Of a file; EPIC-KITCHENS-100 has 89,977."""

Ranked = tuple[NDArray[np.int64], NDArray[np.floating[Any]]]
"""Class ids and their scores."""


class SpecialistPrediction(Record):
    """A specialist's ranking of action classes for one segment."""

    segment_id: str
    actions: tuple[Action, ...] = Field(min_length=1, description="(verb class, noun class), best first")
    scores: tuple[float, ...] = Field(description="one per action, larger is better; descending")
    fold: int | None = Field(
        default=None,
        ge=0,
        description="of out-of-fold predictions: the part of the training videos it was held out with",
    )
    clip: Clip | None = Field(default=None, description="which video and times the segment is; the id alone may move")

    @model_validator(mode="after")
    def _is_a_ranking(self) -> SpecialistPrediction:
        if len(self.scores) != len(self.actions):
            raise ValueError(f"{len(self.actions)} actions but {len(self.scores)} scores")
        if any(a < b for a, b in zip(self.scores, self.scores[1:], strict=False)):
            raise ValueError("scores must not rise: actions are listed best first")
        if len(set(self.actions)) < len(self.actions):
            raise ValueError("an action is listed twice")
        return self


Predictions = dict[str, SpecialistPrediction]

LEAST = 1e-12
"""Stands for a probability of 0 where its logarithm is taken."""


def log_scores(prediction: SpecialistPrediction) -> NDArray[np.float64]:
    """A specialist's scores as log-weights, float64 [actions].

    They are probabilities where none is negative and they add up to at most 1, else log-weights already.
    """
    scores = np.array(prediction.scores, dtype=np.float64)
    if scores.min() >= 0 and scores.sum() <= 1 + 1e-6:
        return np.asarray(np.log(np.maximum(scores, LEAST)))
    return scores


def pair_scores(
    verb_scores: NDArray[np.floating[Any]], noun_scores: NDArray[np.floating[Any]]
) -> tuple[list[Action], list[float]]:
    """Best (verb, noun) pairs of one segment from separate scores.

    As the official evaluation does (epic-kitchens/C1-Action-Recognition, utils/scoring.py): softmax over the best 100
    verbs times softmax over the best 100 nouns, best 100 products. Products too small for a float are ranked by their
    logarithms.

    Args:
        verb_scores: [verbs], any finite numbers.
        noun_scores: [nouns].

    Raises:
        ValueError: there is none, or one is not finite.
    """
    if not (
        len(verb_scores) and len(noun_scores) and np.isfinite(verb_scores).all() and np.isfinite(noun_scores).all()
    ):
        raise ValueError("there is no score, or one that is not finite")
    verbs, nouns = np.argsort(-verb_scores, kind="stable")[:TOP], np.argsort(-noun_scores, kind="stable")[:TOP]
    best_verbs, best_nouns = verb_scores[verbs].astype(np.float64), noun_scores[nouns].astype(np.float64)
    product = np.outer(_softmax(best_verbs), _softmax(best_nouns)).ravel()
    behind = np.add.outer(best_verbs - best_verbs[0], best_nouns - best_nouns[0]).ravel()
    best = np.lexsort((np.where(product > 0, 0.0, -behind), -product))[:TOP]
    rows, columns = np.divmod(best, len(nouns))
    pairs = [(int(v), int(n)) for v, n in zip(verbs[rows], nouns[columns], strict=True)]
    return pairs, [float(p) for p in product[best]]


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())


class _Tally:
    """How many there were, and the first."""

    def __init__(self) -> None:
        self.count, self.first = 0, ""

    def add(self, name: str) -> None:
        self.first = self.first if self.count else name
        self.count += 1


class Collected:
    """The rankings of a file as they are read, one segment at a time.

    Segments that are not asked for are counted and left out. Those with scores that are not finite are counted, and are
    an error in the end.

    Args:
        path: the file.
        segment_ids: the segments asked for; all, where there are none.
        partial: the file is one of several: nothing is said of what it lacks, or has beyond them.
        agreement: holds them against the dataset at hand; with none by default.

    Attributes:
        agreement: that.
    """

    def __init__(
        self, path: Path, segment_ids: Sequence[str], partial: bool = False, agreement: Agreement | None = None
    ) -> None:
        self._path, self._segment_ids, self._partial = path, frozenset(segment_ids), partial
        self.agreement = agreement or Agreement(path, None)
        self._predictions: Predictions = {}
        self._surplus, self._not_finite = _Tally(), _Tally()
        self._pairs = 0

    def wants(self, segment_id: str) -> bool:
        """Whether the segment is asked for; counted where it is not."""
        if segment_id in self._predictions:
            raise InputError(f"predicts '{segment_id}' twice", file=self._path)
        if self._segment_ids and segment_id not in self._segment_ids:
            self._surplus.add(segment_id)
            return False
        return True

    def name_classes(self, classes: PredictedClasses) -> None:
        """Take what the class numbers of the following rankings stand for."""
        self.agreement.name_classes(classes)

    def add_scores(self, segment_id: str, verbs: Ranked, nouns: Ranked, clip: Clip | None = None) -> None:
        """Rank the pairs of (class ids, scores) of verbs and nouns."""
        try:
            pairs, scores = pair_scores(verbs[1], nouns[1])
        except ValueError:
            self._not_finite.add(segment_id)
            return
        self.add(segment_id, [(int(verbs[0][v]), int(nouns[0][n])) for v, n in pairs], scores, clip)

    def add(self, segment_id: str, pairs: Iterable[Action], scores: Iterable[float], clip: Clip | None = None) -> None:
        """Take a ranking."""
        ranked = tuple(scores)
        values = {"segment_id": segment_id, "actions": tuple(pairs), "scores": ranked, "clip": clip}
        if not all(map(math.isfinite, ranked)):
            self._not_finite.add(segment_id)
            return
        self.take(SpecialistPrediction.from_mapping(values, file=self._path))

    def take(self, prediction: SpecialistPrediction) -> None:
        """Take a record."""
        name = prediction.segment_id
        self.agreement.place(name, prediction.clip)
        actions = self.agreement.actions(name, prediction.actions)
        if actions != prediction.actions:
            prediction = prediction.model_copy(update={"actions": actions})
        self._predictions[prediction.segment_id] = prediction
        self._pairs += len(prediction.actions)
        if len(self._predictions) > MOST_SEGMENTS:
            raise InputError(f"predicts more than {MOST_SEGMENTS:,} segments", file=self._path)
        if self._pairs > MOST_PAIRS:
            raise InputError(f"ranks more than {MOST_PAIRS:,} pairs", file=self._path, hint="keep the best 100 of each")

    def settled(self) -> Predictions:
        """All rankings.

        Raises:
            InputError: scores are not finite, no segment is one of those asked for, or they are of other clips.
        """
        if self._not_finite.count:
            raise InputError(
                f"scores of {self._not_finite.count} segments are not finite (NaN or infinite), the first "
                f"'{self._not_finite.first}'; they cannot be ranked by",
                file=self._path,
                hint="a training that diverged, or half precision, makes such scores; predict again",
            )
        if self._surplus.count and not self._predictions and not self._partial:
            raise InputError(
                f"predicts {self._surplus.count} segments, such as '{self._surplus.first}', and has no prediction for "
                f"any of the {len(self._segment_ids)} asked for",
                file=self._path,
                hint="are these predictions for this split?",
            )
        if self._surplus.count and not self._partial:
            problem = f"{self._surplus.count} of its segments are not of this split, the first '{self._surplus.first}'"
            note(f"{problem}; they are left out", file=self._path)
        self.agreement.settle()
        missing = self._segment_ids - self._predictions.keys()
        if missing and not self._partial:
            problem = (
                f"has no prediction for {len(missing)} of {len(self._segment_ids)} segments, such as '{min(missing)}'"
            )
            note(problem, file=self._path)
        return self._predictions
