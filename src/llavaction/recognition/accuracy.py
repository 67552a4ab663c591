"""How often recognition is right, beside the best ranked candidate on the same segments: the specialist's, mostly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.base.calibration import calibration
from llavaction.base.statistics import ClusteredBootstrap, paired_comparison
from llavaction.recognition.records import Recognition

PARTS = ("verb", "noun", "action")
RESAMPLES = 2000
KS = (1, 5)
UNSEEN, SEEN = "unseen participants", "seen participants"


def summary(
    recognitions: Sequence[Recognition],
    groups: Mapping[str, Collection[str]],
    *,
    seed: int = 0,
    parts: Sequence[str] = PARTS,
) -> dict[str, Any]:
    """Accuracies with 95 % intervals by video, overall and by group.

    Measured are the recognitions with a truth whose model could be asked; the others are left out of everything.

    Args:
        recognitions: of a split.
        groups: name to segment ids; "seen participants" is added where "unseen participants" is there.
        seed: of the bootstrap.
        parts: what is measured; "action" alone where labels are no verb-noun pairs.

    Returns:
        "overall" and "groups" (name to the same), each None where nothing can be measured and otherwise: "two_stage",
        "specialist" (the best ranked candidate) and "difference" (two-stage minus specialist, paired), each of verb,
        noun and action; "specialist_top_k", how often the right action is among the candidates, the ceiling of
        two-stage; where stages scored, "stages" (top-1 and top-5 of each and of all joined, by part) and "calibration"
        of the confidences.
    """
    measured = [found for found in recognitions if found.error is None and found.truth is not None]
    groups = dict(groups)
    if UNSEEN in groups:
        groups.setdefault(SEEN, {found.segment_id for found in measured} - set(groups[UNSEEN]))
    members = {name: [found for found in measured if found.segment_id in set(ids)] for name, ids in groups.items()}
    return {
        "overall": _measure(measured, seed, parts),
        "groups": {name: _measure(found, seed, parts) for name, found in members.items()},
    }


def _measure(found: Sequence[Recognition], seed: int, parts: Sequence[str]) -> dict[str, Any] | None:
    if not found:
        return None
    videos = [recognition.clip.video_id for recognition in found]
    bootstrap = ClusteredBootstrap(videos, n=RESAMPLES, seed=seed)
    chosen = [_right(recognition, recognition.action) for recognition in found]
    first = [_right(recognition, recognition.candidates[0]) for recognition in found]
    two_stage, specialist = _columns(chosen), _columns(first)
    offered = np.array([recognition.truth in recognition.candidates for recognition in found])
    return {
        "two_stage": {part: bootstrap.interval(two_stage[part]).rounded() for part in parts},
        "specialist": {part: bootstrap.interval(specialist[part]).rounded() for part in parts},
        "specialist_top_k": bootstrap.interval(offered).rounded(),
        "difference": {
            part: _rounded(asdict(paired_comparison(specialist[part], two_stage[part], videos, RESAMPLES, seed)))
            for part in parts
        },
        **(_of_stages(found, bootstrap, parts) if all(item.scores for item in found) else {}),
    }


def _of_stages(
    recognitions: Sequence[Recognition], bootstrap: ClusteredBootstrap, parts: Sequence[str]
) -> dict[str, Any]:
    right = [item.action == item.truth for item in recognitions]
    return {
        "stages": stage_accuracy(recognitions, bootstrap, parts),
        "calibration": calibration([item.confidence or 0.0 for item in recognitions], right),
    }


def stage_accuracy(
    recognitions: Sequence[Recognition], bootstrap: ClusteredBootstrap, parts: Sequence[str] = PARTS
) -> dict[str, Any]:
    """Top-1 and top-5 of each stage by itself, and of all joined, among the candidates.

    Verbs and nouns are ranked by the sums over the candidates they are part of.

    Args:
        recognitions: of segments whose action is known, all by the same stages.
        bootstrap: over their videos.
        parts: what is measured.

    Returns:
        Stage, and "joined", to part to "top-1" and "top-5", with intervals.
    """
    stages = [stage for stage in recognitions[0].scores if all(stage in item.scores for item in recognitions)]
    shares = {stage: [np.exp(np.array(item.scores[stage])) for item in recognitions] for stage in stages}
    shares["joined"] = [np.array(item.probabilities) for item in recognitions]
    table = {}
    for stage, rows in shares.items():
        ranks = np.array([_ranks(item, row) for item, row in zip(recognitions, rows, strict=True)])
        table[stage] = {
            part: {f"top-{k}": bootstrap.interval(ranks[:, PARTS.index(part)] < k).rounded() for k in KS}
            for part in parts
        }
    return table


def _ranks(item: Recognition, shares: NDArray[np.float64]) -> tuple[float, float, float]:
    """How many verbs, nouns and actions come before the right one; infinite where it is no candidate's."""
    assert item.truth is not None  # those without are not measured
    ranks = [float("inf")] * 3
    for column, wanted in enumerate((item.truth[0], item.truth[1], item.truth)):
        totals: dict[Any, float] = {}
        for action, share in zip(item.candidates, shares, strict=True):
            label = action if column == 2 else action[column]
            totals[label] = totals.get(label, 0.0) + float(share)
        if wanted in totals:
            ranks[column] = sorted(totals, key=lambda label: -totals[label]).index(wanted)  # ties as they are ranked
    return ranks[0], ranks[1], ranks[2]


def _right(recognition: Recognition, action: tuple[int, int] | None) -> tuple[bool, bool, bool]:
    """Whether verb, noun and both are the annotated ones."""
    assert recognition.truth is not None and action is not None  # those without are not measured
    verb, noun = action[0] == recognition.truth[0], action[1] == recognition.truth[1]
    return verb, noun, verb and noun


def _columns(rows: Sequence[tuple[bool, bool, bool]]) -> dict[str, NDArray[np.bool_]]:
    return dict(zip(PARTS, np.array(rows, dtype=bool).T, strict=True))


def _rounded(values: Mapping[str, float | int | None]) -> dict[str, float | int | None]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}
