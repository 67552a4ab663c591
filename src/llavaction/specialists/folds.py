"""Out-of-fold predictions: every training segment is predicted by a specialist that never saw its video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_seed
from llavaction.specialists.clip_cache import ClipCache
from llavaction.specialists.labels import SpecialistLabels
from llavaction.specialists.predictions import SpecialistPrediction
from llavaction.specialists.scores import SpecialistScores, score_segments
from llavaction.specialists.training import train_specialist


@dataclass(frozen=True)
class FoldPlan:
    """Which fold each video belongs to.

    Attributes:
        count: number of folds.
        of_video: fold by video id.
    """

    count: int
    of_video: dict[str, int]

    @classmethod
    def draw(cls, segments: Sequence[Segment], count: int, seed: int = 0) -> FoldPlan:
        """Deal out whole videos, those of most segments first, each to the fold with fewest segments so far.

        Videos of equally many segments are dealt in an order drawn by ``seed``.

        Raises:
            InputError: fewer than two folds, or more than there are videos.
        """
        sizes = Counter(segment.video_id for segment in segments)
        if not 2 <= count <= len(sizes):
            raise InputError(f"{count} folds of {len(sizes)} videos: there must be at least 2, and a video for each")
        fold_sizes = [0] * count
        of_video = {}
        for video in sorted(sizes, key=lambda name: (-sizes[name], hashed_seed("specialist fold", seed, name))):
            fold = min(range(count), key=lambda index: (fold_sizes[index], index))
            of_video[video] = fold
            fold_sizes[fold] += sizes[video]
        return cls(count, of_video)

    def places(self, segments: Sequence[Segment], fold: int) -> tuple[list[int], list[int]]:
        """Places of the segments to train on for a fold, and of those it holds out."""
        train: list[int] = []
        held_out: list[int] = []
        for place, segment in enumerate(segments):
            (held_out if self.of_video[segment.video_id] == fold else train).append(place)
        return train, held_out


def predict_folds(
    cache: ClipCache,
    labels: SpecialistLabels,
    plan: FoldPlan,
    output: str | Path,
    *,
    top_k: int,
    facts: dict[str, Any] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[SpecialistScores, list[SpecialistPrediction]]:
    """Train one specialist per fold, in ``output/fold-0``, ``output/fold-1``, ..., and predict what it did not see.

    A stopped call is continued by the next; finished folds are not trained again.

    Args:
        cache: frames of the training segments, and the settings of every fold's specialist.
        labels: of the whole training split, so that all folds rank the same classes.
        plan: the folds.
        output: the folder.
        top_k: pairs kept per segment.
        facts: kept in each specialist's configuration.
        log: is given a line now and then.

    Returns:
        Scores of all segments, fold after fold; and predictions in the order of the segments, each with its
        fold. Segments whose video cannot be decoded have none.

    Raises:
        InputError: see :func:`train_specialist`.
    """
    parts: list[SpecialistScores] = []
    predictions: dict[str, SpecialistPrediction] = {}
    for fold in range(plan.count):
        train, held_out = plan.places(cache.segments, fold)
        log(f"fold {fold}: {len(train)} segments to train on, {len(held_out)} held out")
        about = (facts or {}) | {"fold": fold, "folds": plan.count}
        specialist = train_specialist(cache, labels, Path(output) / f"fold-{fold}", places=train, facts=about, log=log)
        parts.append(score_segments(specialist, cache, held_out))
        for prediction in parts[-1].rankings(labels.actions, top_k, fold):
            predictions[prediction.segment_id] = prediction
    names = [segment.segment_id for segment in cache.segments]
    return SpecialistScores.joined(parts), [predictions[name] for name in names if name in predictions]
