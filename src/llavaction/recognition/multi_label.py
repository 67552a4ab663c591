"""Several actions in one clip: a decision for each class by its own threshold, and what the decisions are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from llavaction.base.errors import InputError
from llavaction.base.records import Record, read_json, write_json

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
FEW = 10
"""Positive clips of a class below which its threshold is drawn towards the one that all classes share."""


class Thresholds(Record):
    """From which score on a clip shows a class."""

    classes: tuple[str, ...] = Field(min_length=1, description="Names of the classes, in the order of the scores.")
    thresholds: tuple[float, ...] = Field(description="One for each class; a score as large as it counts.")
    positives: tuple[int, ...] = Field(description="Clips of each class that its threshold was fitted on.")
    rule: str = Field(default="", description="How the scores were made that they were fitted on; empty if not known.")

    @model_validator(mode="after")
    def _one_each(self) -> Thresholds:
        if not len(self.classes) == len(self.thresholds) == len(self.positives):
            raise ValueError(f"{len(self.classes)} classes, {len(self.thresholds)} thresholds")
        return self

    @classmethod
    def load(cls, path: str | Path) -> Thresholds:
        """Read the file.

        Raises:
            InputError: it is missing, or holds no thresholds.
        """
        return cls.from_mapping(read_json(Path(path)), file=Path(path))

    def save(self, path: str | Path) -> None:
        """Write the file."""
        write_json(Path(path), self.model_dump(mode="json"))

    def decide(self, scores: Floats) -> Bools:
        """Which classes each clip shows, bool [clips, classes].

        Args:
            scores: [clips, classes], as those that the thresholds were fitted on.

        Raises:
            InputError: they have other classes.
        """
        if scores.ndim != 2 or scores.shape[1] != len(self.thresholds):
            raise InputError(f"scores are {list(scores.shape)}, there are thresholds of {len(self.thresholds)} classes")
        return np.asarray(scores >= np.array(self.thresholds))


def fit_thresholds(scores: Floats, truth: Bools, classes: Sequence[str], rule: str = "") -> Thresholds:
    """The threshold of each class that gives the best F1 on labelled clips.

    A class with few clips is drawn towards the threshold that all classes share (the best for the F1 over all decisions
    together), by half with :data:`FEW` of them and wholly with none: its own best would be that of a handful of clips.

    Args:
        scores: [clips, classes], larger where a class is likelier; comparable between clips.
        truth: [clips, classes].
        classes: their names.
        rule: how the scores were made.

    Raises:
        InputError: shapes differ, a score is no number, or no clip shows anything.
    """
    scores = _checked(scores, truth)
    if scores.shape[1] != len(classes):
        raise InputError(f"scores of {scores.shape[1]} classes, but {len(classes)} names")
    if not truth.any():
        raise InputError("not one clip shows a class, so there is nothing to fit thresholds to")
    shared = _best_threshold(scores.ravel(), truth.ravel())
    positives = truth.sum(0)
    thresholds = []
    for column, count in enumerate(positives):
        own = _best_threshold(scores[:, column], truth[:, column]) if count else shared
        trust = count / (count + FEW)
        thresholds.append(float(trust * own + (1 - trust) * shared))
    counts = tuple(map(int, positives))
    return Thresholds(classes=tuple(classes), thresholds=tuple(thresholds), positives=counts, rule=rule)


def mean_average_precision(scores: Floats, truth: Bools) -> float | None:
    """Mean over the classes that some clip shows of the area under precision and recall; None where none is shown.

    The metric of Charades and Animal Kingdom (SlowFast, ``slowfast/utils/meters.py``, ``get_map``): average precision
    as scikit-learn computes it, classes without a positive clip left out.

    Args:
        scores: [clips, classes].
        truth: [clips, classes].

    Raises:
        InputError: shapes differ, or a score is no number.
    """
    from sklearn.metrics import average_precision_score

    scores = _checked(scores, truth)
    shown = truth.any(0)
    if not shown.any():
        return None
    values = [average_precision_score(truth[:, column], scores[:, column]) for column in np.flatnonzero(shown)]
    return float(np.mean(values))


def decision_metrics(decided: Bools, truth: Bools) -> dict[str, Any]:
    """What decisions are worth.

    Args:
        decided: [clips, classes].
        truth: [clips, classes].

    Returns:
        "jaccard": mean over clips of the classes both decided and true, divided by those that are either (1 where a
        clip has neither); "f1_micro": F1 over all decisions together; "f1_macro": mean F1 over classes that are true or
        decided anywhere; "precision", "recall": of all decisions together, None where undefined; "exact": share of
        clips with exactly the true classes; "labels_per_clip": [true, decided].

    Raises:
        InputError: shapes differ, or there are no clips.
    """
    if decided.shape != truth.shape or decided.ndim != 2 or not len(truth):
        raise InputError(f"decisions are {list(decided.shape)}, truth is {list(truth.shape)}")
    both, either = decided & truth, decided | truth
    unions = either.sum(1)
    jaccard = np.where(unions, both.sum(1) / np.maximum(unions, 1), 1.0)
    seen = either.any(0)
    per_class = 2 * both.sum(0) / np.maximum(decided.sum(0) + truth.sum(0), 1)
    hits, guesses, wanted = int(both.sum()), int(decided.sum()), int(truth.sum())
    return {
        "jaccard": float(jaccard.mean()),
        "f1_micro": 2 * hits / (guesses + wanted) if guesses + wanted else 1.0,
        "f1_macro": float(per_class[seen].mean()) if seen.any() else 1.0,
        "precision": hits / guesses if guesses else None,
        "recall": hits / wanted if wanted else None,
        "exact": float((decided == truth).all(1).mean()),
        "labels_per_clip": [wanted / len(truth), guesses / len(truth)],
    }


def _best_threshold(scores: Floats, truth: Bools) -> float:
    """The threshold of the best F1: in the middle between two scores, or below all."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + truth.sum())
    ends = np.append(ranked[1:] < ranked[:-1], True)  # equal scores are on one side
    best = int(np.flatnonzero(ends)[f1[ends].argmax()])
    return float(ranked[best] if best + 1 == len(ranked) else (ranked[best] + ranked[best + 1]) / 2)


def _checked(scores: Floats, truth: Bools) -> Floats:
    values = np.asarray(scores, np.float64)
    if values.shape != truth.shape or values.ndim != 2:
        raise InputError(f"scores are {list(values.shape)}, truth is {list(truth.shape)}; expected [clips, classes]")
    if not np.isfinite(values).all():
        raise InputError(f"{int((~np.isfinite(values)).sum())} scores are no finite numbers")
    return values
