"""How often actions are recognised, by the protocol of the EPIC-KITCHENS-100 action recognition challenge."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError

if TYPE_CHECKING:  # with PyTorch behind them
    from llavaction.specialists.challenge import SegmentScores
    from llavaction.specialists.predictions import SpecialistPrediction
    from llavaction.specialists.scores import SpecialistScores

PARTS = ("verb", "noun", "action")
KS = (1, 5)
GROUPS = {
    "overall": (None, None, None),
    "unseen participants": ("unseen participants",) * 3,
    "tail": ("tail verbs", "tail nouns", "tail actions"),
}
"""Rows of the official table: which group of segments each of verb, noun, action is measured on (None: all)."""


def measure(
    scores: SpecialistScores,
    predictions: Sequence[SpecialistPrediction],
    segments: Sequence[Segment],
    groups: Mapping[str, Collection[str]],
) -> dict[str, Any]:
    """Accuracy of a specialist, see :func:`official_table`; segments without prediction count as wrong.

    Args:
        scores: of the segments.
        predictions: rankings of pairs for the same segments.
        segments: all that were to be predicted; those whose classes are not known are left out.
        groups: segment ids by name.

    Raises:
        InputError: there are no segments.
    """
    if not segments:
        raise InputError("there are no segments to measure on")
    segments = [segment for segment in segments if segment.labelled]
    rows = {name: row for row, name in enumerate(scores.segment_ids)}
    ranked = {prediction.segment_id: prediction.actions for prediction in predictions}
    verb_columns, noun_columns = scores.labels.verb_columns, scores.labels.noun_columns
    ranks = np.full((len(segments), 3), np.inf)
    for index, segment in enumerate(segments):
        row = rows.get(segment.segment_id)
        if row is not None:
            ranks[index, 0] = _rank(scores.verbs[row], verb_columns.get(segment.verb_class))
            ranks[index, 1] = _rank(scores.nouns[row], noun_columns.get(segment.noun_class))
        actions = ranked.get(segment.segment_id, ())
        if segment.action in actions:
            ranks[index, 2] = actions.index(segment.action)
    return official_table(ranks, segments, groups, PARTS[2:] if scores.labels.one_label else PARTS)


def measure_submission(
    results: Iterable[SegmentScores], segments: Sequence[Segment], groups: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """Accuracy of what a submission says, see :func:`official_table`; segments that it lacks count as wrong.

    Args:
        results: what it says; of other segments, too, which are not looked at.
        segments: all that were to be recognised; those whose classes are not known are left out.
        groups: segment ids by name.
    """
    segments = [segment for segment in segments if segment.labelled]
    place = {segment.segment_id: index for index, segment in enumerate(segments)}
    ranks = np.full((len(segments), 3), np.inf)
    for scores in results:
        index = place.get(scores.segment_id)
        if index is not None:
            verb, noun = segments[index].action
            ranks[index] = [
                _rank_among(scores.verbs, verb),
                _rank_among(scores.nouns, noun),
                _rank_among(scores.actions, (verb, noun)),
            ]
    return official_table(ranks, segments, groups)


def official_table(
    ranks: NDArray[np.float64],
    segments: Sequence[Segment],
    groups: Mapping[str, Collection[str]],
    parts: Sequence[str] = PARTS,
) -> dict[str, Any]:
    """Top-1 and top-5 accuracy of verb, noun and action: overall, on unseen participants, on tail classes.

    Tail verbs are measured on segments of tail verbs, tail nouns on those of tail nouns, tail actions on those of
    either (epic-kitchens/C1-Action-Recognition, utils/metrics.py).

    Args:
        ranks: how many classes come before the right one, float64 [segments, 3] of verb, noun and action; infinite
            where it was not found. Of equal scores the class listed first comes first.
        segments: whose ranks these are.
        groups: segment ids by name, see ``AnnotatedDataset.groups``; a row whose groups are absent is left out.
        parts: what is measured; "action" alone where labels are no verb-noun pairs.

    Returns:
        Row to part to {"top-1", "top-5", "segments"}; empty where there are no segments.
    """
    if not segments:
        return {}
    return {
        name: {
            part: _shares(ranks[:, column], segments, None if group is None else groups[group])
            for column, (part, group) in enumerate(zip(PARTS, of_parts, strict=True))
            if part in parts
        }
        for name, of_parts in GROUPS.items()
        if all(group is None or group in groups for group in of_parts)
    }


def _rank(scores: NDArray[np.floating[Any]], column: int | None) -> float:
    """How many classes come before the right one; of equals, those listed before it do."""
    if column is None:
        return float("inf")
    return float((scores > scores[column]).sum() + (scores[:column] == scores[column]).sum())


def _rank_among(scores: Mapping[Any, float], wanted: Any) -> float:
    """The same of scores by class."""
    column = list(scores).index(wanted) if wanted in scores else None
    return _rank(np.array(list(scores.values())), column)


def _shares(
    ranks: NDArray[np.float64], segments: Sequence[Segment], members: Collection[str] | None
) -> dict[str, float | int]:
    sample = ranks if members is None else ranks[[segment.segment_id in members for segment in segments]]
    shares: dict[str, float | int] = {f"top-{k}": round(float((sample < k).mean()), 6) for k in KS if len(sample)}
    return shares | {"segments": len(sample)}
