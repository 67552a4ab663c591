"""What scores of several classes a clip are worth, with intervals by video, and for frequent and rare classes apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.base.seeding import hashed_rng
from llavaction.base.statistics import ClusteredBootstrap, Interval
from llavaction.recognition.multi_label import Bools, Floats, decision_metrics, fit_thresholds, mean_average_precision

RESAMPLES = 1000
HEAD, TAIL = 500, 100
"""Training clips from which on a class is frequent ("head"), and below which it is rare ("tail")."""
FOLDS = 5


def ranking_summary(
    scores: Floats,
    truth: Bools,
    videos: Sequence[str],
    classes: Sequence[str],
    training: NDArray[np.int64] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """What the scores are worth as rankings of the clips, whatever the thresholds.

    Args:
        scores: [clips, classes].
        truth: [clips, classes].
        videos: [clips].
        classes: their names.
        training: training clips of each class, where they are known.
        seed: of the bootstrap.

    Returns:
        "map": mean average precision over the classes that some clip shows, with its interval; "map_of_chance": mean
        share of positive clips, what random scores get; "groups": the same by how often classes are trained, each with
        its number of classes, None where ``training`` is; "per_class": "class", "clips", "training_clips", "group" and
        "average_precision" of each.

    Raises:
        InputError: shapes differ, a score is no number, or no clip shows a class.
    """
    mean_average_precision(scores, truth)
    shown = np.asarray(truth.any(0), np.bool_)
    bootstrap = ClusteredBootstrap(videos, n=RESAMPLES, seed=seed)
    groups = None if training is None else np.array([group_of(count) for count in training])
    members: dict[str, Bools] = {"all": shown}
    if groups is not None:
        members |= {name: np.asarray(shown & (groups == name)) for name in ("head", "middle", "tail")}
    precisions = _precisions(scores, truth, np.ones((1, len(truth))))[0]
    measured = dict(zip(members, _maps(scores, truth, list(members.values()), bootstrap), strict=True))
    per_class = [
        {
            "class": name,
            "clips": int(truth[:, place].sum()),
            "training_clips": None if training is None else int(training[place]),
            "group": None if groups is None else str(groups[place]),
            "average_precision": round(float(precisions[place]), 6) if shown[place] else None,
        }
        for place, name in enumerate(classes)
    ]
    return {
        "map": measured.pop("all"),
        "map_of_chance": round(float(truth[:, shown].mean()), 6) if shown.any() else None,
        "groups": measured or None,
        "per_class": per_class,
    }


def decision_summary(decided: Bools, truth: Bools, videos: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """What decisions are worth: the metrics of :func:`decision_metrics`, all but the last with intervals by video.

    Args:
        decided: [clips, classes].
        truth: [clips, classes].
        videos: [clips].
        seed: of the bootstrap.

    Returns:
        By the metric's name a mapping of "value", "low", "high", "method" and more; None where it is undefined.
    """
    values = decision_metrics(decided, truth)
    bootstrap = ClusteredBootstrap(videos, n=RESAMPLES, seed=seed)
    both, either = decided & truth, decided | truth
    unions = either.sum(1)
    jaccard = np.where(unions, both.sum(1) / np.maximum(unions, 1), 1.0)
    summary: dict[str, Any] = {
        "jaccard": bootstrap.interval(jaccard).rounded(),
        "exact": bootstrap.interval((decided == truth).all(1)).rounded(),
    }
    hits, guesses, wanted = (table.astype(np.float64) for table in (both, decided, truth))

    def statistics(weights: Floats) -> Floats:
        hit, said, true = weights @ hits, weights @ guesses, weights @ wanted
        overall = hit.sum(1), said.sum(1), true.sum(1)
        f1_micro = _ratio(2 * overall[0], overall[1] + overall[2])
        f1_macro = _mean(_ratio(2 * hit, said + true))
        return np.stack([f1_micro, f1_macro, _ratio(overall[0], overall[1]), _ratio(overall[0], overall[2])], 1)

    names = ("f1_micro", "f1_macro", "precision", "recall")
    for name, interval in zip(names, bootstrap.symmetric_intervals(statistics), strict=True):
        summary[name] = _reported(values[name], interval, bootstrap)
    return summary | {"labels_per_clip": [round(count, 6) for count in values["labels_per_clip"]]}


def per_class_decisions(decided: Bools, truth: Bools) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, None where undefined, and how often it was decided."""
    hits, guesses, wanted = (decided & truth).sum(0), decided.sum(0), truth.sum(0)
    return [
        {
            "decided": int(said),
            "precision": round(float(hit / said), 6) if said else None,
            "recall": round(float(hit / true), 6) if true else None,
            "f1": round(float(2 * hit / (said + true)), 6) if said + true else None,
        }
        for hit, said, true in zip(hits, guesses, wanted, strict=True)
    ]


def held_out_decisions(
    scores: Floats, truth: Bools, videos: Sequence[str], classes: Sequence[str], *, seed: int = 0
) -> Bools | None:
    """Decisions on each clip by thresholds that were fitted on the clips of other videos, bool [clips, classes].

    Args:
        scores: [clips, classes].
        truth: [clips, classes].
        videos: [clips]; they are divided into :data:`FOLDS` by their names and the seed.
        classes: their names.
        seed: of the folds.

    Returns:
        None where there are fewer videos than folds, or those of all other folds show nothing.
    """
    names = sorted(set(videos), key=lambda name: hashed_rng("fold of thresholds", seed, name).random())
    if len(names) < FOLDS:
        return None
    fold_of = {name: place % FOLDS for place, name in enumerate(names)}
    folds = np.array([fold_of[name] for name in videos])
    decided = np.zeros_like(truth)
    for fold in range(FOLDS):
        held = folds == fold
        if not truth[~held].any():
            return None
        decided[held] = fit_thresholds(scores[~held], truth[~held], classes).decide(scores[held])
    return decided


def group_of(count: int) -> str:
    """Whether a class of so many training clips is of the "head", the "middle" or the "tail"."""
    return "head" if count >= HEAD else "middle" if count >= TAIL else "tail"


def _maps(
    scores: Floats, truth: Bools, columns: Sequence[Bools], bootstrap: ClusteredBootstrap
) -> list[dict[str, Any] | None]:
    """Mean average precision over sets of classes, bool [classes] each, with its interval; None of an empty set."""

    def statistics(weights: Floats) -> Floats:
        per_class = _precisions(scores, truth, weights)
        return np.stack([_mean(per_class[:, chosen]) for chosen in columns], 1)

    intervals, found = bootstrap.symmetric_intervals(statistics), list[dict[str, Any] | None]()
    for chosen, interval in zip(columns, intervals, strict=True):
        value = mean_average_precision(scores[:, chosen], truth[:, chosen]) if chosen.any() else None
        measured = _reported(value, interval, bootstrap)
        found.append(None if measured is None else {"classes": int(chosen.sum())} | measured)
    return found


def _precisions(scores: Floats, truth: Bools, weights: Floats) -> Floats:
    """Average precision of every class on weighted clips, [samples, classes]; not a number without a positive one."""
    found = np.full((len(weights), truth.shape[1]), np.nan)
    by_clip = np.ascontiguousarray(weights.T)
    for column in np.flatnonzero(truth.any(0)):
        order = np.argsort(-scores[:, column], kind="stable")
        ranked, positive = scores[order, column], truth[order, column]
        ties = np.concatenate([[0], np.cumsum(ranked[1:] < ranked[:-1])])  # equal scores come in together
        last = np.flatnonzero(np.append(ties[1:] > ties[:-1], True))
        ends = last[np.unique(ties[positive])]  # where recall grows
        begins = np.concatenate([[0], ends[:-1] + 1])
        drawn = by_clip[order[: ends[-1] + 1]]
        taken = np.cumsum(np.add.reduceat(drawn, begins, axis=0), 0)
        gained = np.add.reduceat(drawn * positive[: ends[-1] + 1, None], begins, axis=0)
        hits = np.cumsum(gained, 0)
        area = (gained * hits / np.maximum(taken, 1)).sum(0)
        found[:, column] = _ratio(area, hits[-1])
    return found


def _reported(value: float | None, interval: Interval | None, bootstrap: ClusteredBootstrap) -> dict[str, Any] | None:
    if value is None:
        return None
    if interval is not None:
        return interval.rounded()
    known = {"value": round(value, 6), "low": None, "high": None, "n": len(bootstrap.codes)}
    return known | {"clusters": bootstrap.count, "method": "no interval, as there are fewer than 10 videos"}


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotients, not a number where nothing is to be divided by."""
    return np.where(below > 0, above / np.maximum(below, 1e-12), np.nan)


def _mean(values: Floats) -> Floats:
    """Mean of each row over its numbers, [rows]; not a number where there is none."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(1), known.sum(1).astype(np.float64))
