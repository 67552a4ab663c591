"""What the commands do: train on a split, predict a split, predict a training split fold by fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.base.records import write_json
from llavaction.datasets.base import AnnotatedDataset
from llavaction.datasets.registry import open_annotations
from llavaction.specialists.accuracy import KS, measure
from llavaction.specialists.challenge import SupervisionLevels, verdict, write_challenge
from llavaction.specialists.classifier import Specialist, fingerprint
from llavaction.specialists.clip_cache import ClipCache
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.folds import FoldPlan, predict_folds
from llavaction.specialists.labels import SpecialistLabels
from llavaction.specialists.networks import with_checkpoint
from llavaction.specialists.predictions import write_predictions
from llavaction.specialists.score_parts import score_parts
from llavaction.specialists.scores import score_segments
from llavaction.specialists.training import train_specialist
from llavaction.video.rates import Rates

Log = Callable[[str], None]
PREDICTIONS, FOLDS = "predictions.jsonl", "folds.json"


@dataclass(frozen=True)
class Source:
    """A split and where its videos are.

    Attributes:
        annotations: folder in the EPIC-KITCHENS-100 form, or with a table of labels.
        videos: folder of the videos, in any layout.
        split: which split.
        workers: processes that decode.
        fps: frame rate of folders of extracted frames, where there are such; see :class:`VideoLibrary`.
        unlabelled: segments without classes will do, see :meth:`AnnotatedDataset.segments`.
    """

    annotations: Path
    videos: Path
    split: str
    workers: int = 0
    fps: Rates | None = None
    unlabelled: bool = False

    @cached_property
    def dataset(self) -> AnnotatedDataset:
        """The annotations."""
        return open_annotations(self.annotations)

    @cached_property
    def segments(self) -> list[Segment]:
        """The split's segments.

        Raises:
            InputError: a row has a class that is not in the class files.
        """
        segments = list(self.dataset.segments(self.split, unlabelled=self.unlabelled))
        for remark in self.dataset.refused(self.split)[0]:
            if "class file" in remark.what:
                raise InputError(
                    remark.what,
                    file=self.dataset.folder / remark.file,
                    line=remark.line,
                    hint="a specialist's label set is closed: correct the row, or add the class to the class file",
                )
        return segments

    def report(self, log: Log) -> int:
        """Name the rows of the split's table that cannot be used; how many there are."""
        _ = self.segments
        refused, _ = self.dataset.refused(self.split)
        for remark in (*refused, *self.dataset.notes):
            log(f"note: {remark}")
        return len(refused)

    def coverage(self, without: int) -> dict[str, Any]:
        """How much of the split could be used, where ``without`` segments had no frames.

        Returns:
            "segments" of the split; how many were "used"; "rows_left_out" of its table, which may hold other splits,
            too; and "lost", the share of the split that could not be used for either reason.
        """
        refused, rows = self.dataset.refused(self.split)
        covered = (1 - len(refused) / max(rows, 1)) * (1 - without / max(len(self.segments), 1))
        return {
            "segments": len(self.segments),
            "used": len(self.segments) - without,
            "rows_left_out": len(refused),
            "lost": round(1 - covered, 6),
        }

    @property
    def labels(self) -> SpecialistLabels:
        """What a specialist of this split tells apart."""
        return SpecialistLabels.of_training(self.dataset.vocabulary, self.segments)

    @property
    def facts(self) -> dict[str, Any]:
        """Where a specialist comes from."""
        sources = self.dataset.sources(self.split)
        return {"dataset": self.dataset.name, "licence": self.dataset.licence, "split": self.split, "sources": sources}

    def cache(self, config: SpecialistConfig) -> ClipCache:
        """The frames of the segments."""
        return ClipCache(self.segments, self.videos, config, self.workers, self.fps)


def train_split(source: Source, config: SpecialistConfig, output: Path, *, log: Log) -> dict[str, Any]:
    """Train a specialist on a split; see :func:`train_specialist`.

    Returns:
        Facts for a report: "output", what :meth:`Source.coverage` says, "seconds", "loss" by epoch, "left_out" (ids
        of segments without frames), "faults", "fingerprint".
    """
    source.report(log)
    cache = source.cache(with_checkpoint(config))
    specialist = train_specialist(cache, source.labels, output, facts=source.facts, log=log)
    facts = specialist.facts
    return {
        "output": str(output),
        **source.coverage(len(facts["left_out"])),
        "seconds": facts["seconds"],
        "loss": facts["loss"],
        "left_out": facts["left_out"],
        "faults": cache.faults.summary(len(cache.segments)),
        "fingerprint": fingerprint(output),
    }


def predict_split(
    folder: Path,
    source: Source,
    output: Path,
    *,
    top_k: int = 50,
    all_pairs: bool = False,
    scores: Path | None = None,
    challenge: Path | None = None,
    levels: SupervisionLevels | None = None,
    log: Log,
) -> dict[str, Any]:
    """Predict a split, write what is asked for and measure it; a call that was killed is continued by the next.

    Args:
        folder: of the specialist.
        source: the split.
        output: file of predictions (JSON Lines) to write.
        top_k: pairs kept per segment.
        all_pairs: rank every verb with every noun instead of the pairs met in training.
        scores: file for every class's score, see :meth:`SpecialistScores.save`.
        challenge: file for a submission, see :func:`write_challenge`.
        levels: declared with it; their defaults by default.
        log: is given a line now and then.

    Raises:
        InputError: the folder is no specialist's, the dataset's classes are not its own, or the output was made
            otherwise (see :func:`score_parts`).
    """
    specialist = Specialist.load(folder)
    refused = source.report(log)
    specialist.labels.check(source.dataset.vocabulary, str(source.annotations))
    cache = source.cache(specialist.config.model_copy(update={"cache_gb": 0.0}))  # every clip is seen once
    made_by: dict[str, Any] = {"fingerprint": {"specialist": fingerprint(folder)}, "split": source.split}
    made_by |= {"top_k": top_k, "all_pairs": all_pairs, "fps": source.fps}
    with score_parts(output, cache, made_by) as parts:
        segment_scores = score_segments(specialist, cache, parts=parts)
        candidates = specialist.labels.pairs if all_pairs else specialist.labels.actions
        predictions = list(segment_scores.rankings(candidates, top_k))
        write_predictions(output, predictions, specialist.labels.classes)
        if scores is not None:
            segment_scores.save(scores)
        if challenge is not None:
            write_challenge(challenge, segment_scores, levels)
    measured = predictions if top_k >= max(KS) else list(segment_scores.rankings(candidates, max(KS)))
    if challenge is not None:
        ids, labels = [segment.segment_id for segment in source.segments], specialist.labels
        for line in verdict(challenge, ids, labels.verb_columns.keys(), labels.noun_columns.keys(), refused):
            log(line)
    return {
        "output": str(output),
        "specialist": fingerprint(folder),
        "predicted": len(predictions),
        **source.coverage(len(source.segments) - len(predictions)),
        "faults": cache.faults.summary(len(source.segments)),
        "accuracy": measure(segment_scores, measured, source.segments, source.dataset.groups(source.split)),
    }


def train_folds(
    source: Source, config: SpecialistConfig, output: Path, *, folds: int, top_k: int, log: Log
) -> dict[str, Any]:
    """Write out-of-fold predictions of a split to ``predictions.jsonl``, and which video is in which fold.

    Args:
        source: the split.
        config: of every fold's specialist.
        output: the folder; a stopped call is continued by the next.
        folds: how many.
        top_k: pairs kept per segment.
        log: is given a line now and then.
    """
    source.report(log)
    cache = source.cache(with_checkpoint(config))
    plan = FoldPlan.draw(source.segments, folds, config.seed)
    scores, predictions = predict_folds(cache, source.labels, plan, output, top_k=top_k, facts=source.facts, log=log)
    write_json(output / FOLDS, dict(sorted(plan.of_video.items())))
    write_predictions(output / PREDICTIONS, predictions, source.labels.classes)
    measured = predictions if top_k >= max(KS) else list(scores.rankings(source.labels.actions, max(KS)))
    return {
        "output": str(output / PREDICTIONS),
        "folds": folds,
        "predicted": len(predictions),
        **source.coverage(len(source.segments) - len(predictions)),
        "faults": cache.faults.summary(len(source.segments)),
        "accuracy": measure(scores, measured, source.segments, source.dataset.groups(source.split)),
    }
