"""How often a specialist is right, by the protocol of the EPIC-KITCHENS-100 action recognition challenge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.specialists.predictions import SpecialistPrediction
from llavaction.specialists.scores import Floats, SpecialistScores

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
    """Top-1 and top-5 accuracy of verb, noun and action: overall, on unseen participants, on tail classes.

    Tail verbs are measured on segments of tail verbs, tail nouns on those of tail nouns, tail actions on those of
    either (epic-kitchens/C1-Action-Recognition, utils/metrics.py). Segments without prediction count as wrong.

    Args:
        scores: of the segments.
        predictions: rankings of pairs for the same segments.
        segments: all that were to be predicted; those whose classes are not known are left out.
        groups: segment ids by name, see ``AnnotatedDataset.groups``; a row whose groups are absent is left out.

    Returns:
        Row to "verb", "noun", "action" (the last alone where labels are no verb-noun pairs) to
        {"top-1", "top-5", "segments"}; empty where no class is known.

    Raises:
        InputError: there are no segments.
    """
    if not segments:
        raise InputError("there are no segments to measure on")
    segments = [segment for segment in segments if segment.labelled]
    if not segments:
        return {}
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
    return {
        name: {
            part: _shares(ranks[:, column], segments, None if group is None else groups[group])
            for column, (part, group) in enumerate(zip(("verb", "noun", "action"), parts, strict=True))
            if part == "action" or not scores.labels.one_label
        }
        for name, parts in GROUPS.items()
        if all(group is None or group in groups for group in parts)
    }


def _rank(scores: Floats, column: int | None) -> float:
    """How many classes come before the right one; of equals, those listed before it do."""
    if column is None:
        return float("inf")
    return float((scores > scores[column]).sum() + (scores[:column] == scores[column]).sum())


def _shares(
    ranks: NDArray[np.float64], segments: Sequence[Segment], members: Collection[str] | None
) -> dict[str, float | int]:
    sample = ranks if members is None else ranks[[segment.segment_id in members for segment in segments]]
    shares: dict[str, float | int] = {f"top-{k}": round(float((sample < k).mean()), 6) for k in KS if len(sample)}
    return shares | {"segments": len(sample)}
