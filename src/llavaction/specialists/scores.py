"""Scores of a specialist for a whole table, and the rankings of pairs made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from llavaction.actions.segments import Clip
from llavaction.actions.vocabulary import Action
from llavaction.base.archives import MOST_ARRAY_BYTES
from llavaction.base.errors import InputError
from llavaction.base.files import whole
from llavaction.specialists.classifier import Specialist
from llavaction.specialists.clip_cache import ClipCache
from llavaction.specialists.labels import SpecialistLabels
from llavaction.specialists.predictions import CLIPS, SpecialistPrediction
from llavaction.specialists.score_parts import ScoreParts
from llavaction.specialists.training import device

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SpecialistScores:
    """Log probabilities of every class, for some segments.

    Attributes:
        labels: what the columns stand for.
        segment_ids: one per row.
        verbs: [segments, verbs].
        nouns: [segments, nouns].
        actions: [segments, actions met in training]; None without action head.
        share: weight of the action head in a pair's score.
        clips: which video and times each row is; empty where that is not known.
    """

    labels: SpecialistLabels
    segment_ids: tuple[str, ...]
    verbs: Floats
    nouns: Floats
    actions: Floats | None
    share: float
    clips: tuple[Clip, ...] = ()

    @classmethod
    def joined(cls, parts: Sequence[SpecialistScores]) -> SpecialistScores:
        """Scores of several specialists with the same labels, one after the other."""
        actions = [part.actions for part in parts if part.actions is not None]
        return cls(
            labels=parts[0].labels,
            segment_ids=tuple(name for part in parts for name in part.segment_ids),
            verbs=np.concatenate([part.verbs for part in parts]),
            nouns=np.concatenate([part.nouns for part in parts]),
            actions=np.concatenate(actions) if actions else None,
            share=parts[0].share,
            clips=tuple(clip for part in parts for clip in part.clips),
        )

    def pairs(self, candidates: Sequence[Action]) -> Iterator[Floats]:
        """Scores of the given pairs [candidates], segment by segment.

        (1 - share) · (log p(verb) + log p(noun)) + share · log p(action); a pair not met in training gets the lowest
        log p(action) there is.

        Args:
            candidates: the pairs.

        Raises:
            InputError: a pair's verb or noun is not among the labels.
        """
        labels = self.labels
        for verb, noun in candidates:
            if verb not in labels.verb_columns or noun not in labels.noun_columns:
                raise InputError(f"action class {(verb, noun)} is not of this specialist's verbs and nouns")
        verbs = [labels.verb_columns[verb] for verb, _ in candidates]
        nouns = [labels.noun_columns[noun] for _, noun in candidates]
        met = np.array([labels.action_columns.get(pair, -1) for pair in candidates])
        for row in range(len(self.segment_ids)):
            parts = self.verbs[row, verbs] + self.nouns[row, nouns]
            if self.actions is not None:
                action_scores = np.where(met >= 0, self.actions[row, met], self.actions[row].min())
                parts = (1 - self.share) * parts + self.share * action_scores
            yield parts

    def rankings(
        self, candidates: Sequence[Action], top_k: int, fold: int | None = None
    ) -> Iterator[SpecialistPrediction]:
        """The ``top_k`` best pairs of every segment, best first; ties go to the candidate listed first.

        Args:
            candidates: the pairs to rank.
            top_k: how many to keep.
            fold: what the predictions say of their fold.

        Raises:
            InputError: ``top_k`` is less than 1, or a candidate's verb or noun is not among the labels.
        """
        if top_k < 1:
            raise InputError(f"at least 1 candidate must be kept, found {top_k}")
        clips = self.clips or (None,) * len(self.segment_ids)
        for name, clip, scores in zip(self.segment_ids, clips, self.pairs(candidates), strict=True):
            lowest = np.partition(scores, -top_k)[-top_k] if top_k < len(scores) else scores.min()
            near = np.flatnonzero(scores >= lowest)
            best = near[np.argsort(-scores[near], kind="stable")][:top_k]
            yield SpecialistPrediction(
                segment_id=name,
                actions=tuple(candidates[i] for i in best),
                scores=tuple(round(float(scores[i]), 5) for i in best),
                fold=fold,
                clip=clip,
            )

    def save(self, path: str | Path) -> None:
        """Write all verb and noun scores in the challenge's dict format (``.npz``: verb_output, noun_output,
        narration_id; columns are class ids, those of no class hold the lowest float), with the clips of the rows and
        the names of the columns beside them.

        Raises:
            InputError: the file cannot be written, or a class id is so large that the columns below it fill the memory.
        """
        path = Path(path)
        arrays: dict[str, Any] = {"narration_id": np.array(self.segment_ids)}
        if self.clips:
            parts = zip(*((clip.video_id, clip.start, clip.stop) for clip in self.clips), strict=True)
            arrays |= {key: np.array(part) for key, part in zip(CLIPS, parts, strict=True)}
        classes = self.labels.classes
        for key, called, scores, names in (
            ("verb_output", "verb_names", self.verbs, classes.verbs),
            ("noun_output", "noun_names", self.nouns, classes.nouns),
        ):
            ids = list(names)
            if 4 * len(scores) * (max(ids) + 1) > MOST_ARRAY_BYTES:
                raise InputError(
                    f"a column for each class id up to {max(ids):,} takes more than {MOST_ARRAY_BYTES >> 20} MiB",
                    file=path,
                    hint="number the classes from 0 without gaps",
                )
            arrays[key] = np.full((len(scores), max(ids) + 1), np.finfo(np.float32).min, dtype=np.float32)
            arrays[key][:, ids] = scores
            arrays[called] = np.array([names.get(column, "") for column in range(max(ids) + 1)])
        with whole(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)


def score_segments(
    specialist: Specialist,
    cache: ClipCache,
    places: Sequence[int] | None = None,
    batch_size: int = 32,
    parts: ScoreParts | None = None,
) -> SpecialistScores:
    """Run a specialist on segments; those that cannot be decoded are left out (``cache.faults`` names them).

    Args:
        specialist: trained.
        cache: the segments' frames, of the specialist's own frames and size.
        places: which segments; all by default.
        batch_size: segments at once; changes memory and speed, and scores in their last digits only.
        parts: where every batch is kept; those that are there are not made again. The batches are the same as without
            an interruption, and so are the scores.

    Raises:
        InputError: nothing could be decoded, or scores are NaN or infinite.
    """
    places = list(range(len(cache.segments))) if places is None else list(places)
    plan = [places[i : i + batch_size] for i in range(0, len(places), batch_size)]
    part_of = {n: part for n in range(len(plan)) if parts is not None and (part := parts.load(n, cache)) is not None}
    todo = [n for n in range(len(plan)) if n not in part_of]
    specialist.eval().to(device())
    with torch.inference_mode():
        for n, (clip_places, frames) in zip(todo, cache.batches([plan[n] for n in todo], "specialist"), strict=True):
            heads = specialist(frames.to(device())) if clip_places else ()
            scores = [head.log_softmax(-1).cpu().numpy() for head in heads]
            part_of[n] = [cache.segments[place].segment_id for place in clip_places], scores
            if parts is not None and len(clip_places) == len(plan[n]):
                parts.save(n, *part_of[n], cache)
    names = [name for n in range(len(plan)) for name in part_of[n][0]]
    clip_of = {segment.segment_id: segment.clip for segment in cache.segments}
    columns = [part_of[n][1] for n in range(len(plan)) if part_of[n][0]]
    if not names:
        raise InputError("no segment could be decoded", hint=cache.faults.summary(len(places)))
    verbs, nouns, *actions = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in (verbs, nouns, *actions)])
    if not finite.all():
        first = names[int(np.flatnonzero(~finite)[0])]
        raise InputError(
            f"the specialist's scores of {int((~finite).sum())} segments are not finite, the first '{first}'",
            hint="its training diverged; train it again with a lower learning_rate",
        )
    share = specialist.config.action_share
    clips = tuple(clip_of[name] for name in names)
    whole_actions = actions[0] if actions else None
    return SpecialistScores(specialist.labels, tuple(names), verbs, nouns, whole_actions, share, clips)
