"""Two-stage recognition: a specialist proposes candidates, a video-language model chooses among them by letters."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.backends.asking import (
    DECIMALS,
    check_capability,
    check_prompt,
    choose,
    free_keys,
    option_scores,
    pace_of,
    resolve,
)
from llavaction.backends.base import Backend, OptionScores
from llavaction.backends.letter_mass import letter_mass_summary
from llavaction.recognition.accuracy import PARTS, summary
from llavaction.recognition.config import RecognitionConfig
from llavaction.recognition.offers import Offer
from llavaction.recognition.records import RECOGNITIONS, Recognition
from llavaction.runs.folder import RunFolder, go_through
from llavaction.specialists.predictions import Predictions
from llavaction.video.decoded import Clips, Library


@dataclass(frozen=True)
class RecognitionResult:
    """What came out of :func:`recognise`.

    Attributes:
        folder: holds ``recognitions.jsonl``, ``metrics.json``, ``config.yaml`` and ``environment.json``.
        recognitions: in the order of the segments, those that could not be asked included.
        metrics: as in ``metrics.json``, see :func:`llavaction.recognition.accuracy.summary`.
        asked_now: segments dealt with by this call; the others were on disk already.
        seconds: what this call took.
    """

    folder: Path
    recognitions: Sequence[Recognition]
    metrics: Mapping[str, Any]
    asked_now: int
    seconds: float


def recognise(
    config: RecognitionConfig,
    segments: Sequence[Segment],
    predictions: Predictions,
    vocabulary: ActionVocabulary,
    backend: Backend,
    library: Library | None,
    folder: str | Path,
    *,
    groups: Mapping[str, Collection[str]] | None = None,
    retry_failed: bool = False,
) -> RecognitionResult:
    """Recognise every segment for which the specialist has a prediction, and measure it.

    The folder can be the one of a run that was killed: what is on disk is kept and the rest is done in the same batches
    as without the interruption. Segments without prediction are skipped and counted; those whose video cannot be read
    are kept with their error, count in no accuracy, and are counted too.

    Args:
        config: the settings; written resolved to ``config.yaml``.
        segments: what to recognise.
        predictions: the specialist's, by segment id.
        vocabulary: names the classes in the options.
        backend: who chooses.
        library: where the frames come from; None for backends that do not look.
        folder: the run folder.
        groups: name to segment ids, for a breakdown ("unseen participants").
        retry_failed: ask those again whose video could not be read last time.

    Raises:
        InputError: no segment has a prediction; a prediction has classes that the vocabulary lacks, or is of another
            clip; the run was started with other settings; there are no videos, or none of the first can be read.
        RunLockedError: another process writes the folder.
        LlavactionError: the backend does not keep to its protocol.
    """
    begun = time.perf_counter()
    offers = config.offers(segments, predictions, vocabulary)
    check_capability(backend, "score")
    check_prompt(backend, config.prompt)
    pace = pace_of(config, backend, library, retry_failed)
    with RunFolder(folder) as home:
        journal = home.journal(RECOGNITIONS, Recognition, "segment_id")
        home.settle(
            resolve(config, backend, pace.frames, segments=len(offers.of), **offers.digests),
            started=bool(journal.done),
            free=free_keys(backend, "annotations", "videos", "predictions"),
            videos=pace.facts(offers.of),
        )

        def answer(batch: Sequence[Offer], clips: Clips) -> list[Recognition]:
            return _choose(batch, clips, config, backend)

        recognitions, asked_now = go_through(home, journal, offers.of, answer, pace, f"asking {backend.name}")
        counts = {
            "segments": offers.segments,
            "recognised": sum(found.error is None for found in recognitions),
            "without_prediction": offers.segments - len(offers.of),
            "failed": sum(found.error is not None for found in recognitions),
            "with_note": sum(found.note is not None for found in recognitions),
            "stand_ins": sum(len(found.stand_ins) for found in recognitions),
        }
        metrics: dict[str, Any] = {"schema_version": 1, "candidates": config.candidates, "counts": counts}
        metrics["letter_mass"] = letter_mass_summary(found.letter_mass for found in recognitions)
        parts = ("action",) if vocabulary.one_label else PARTS
        metrics |= summary(recognitions, groups or {}, seed=config.seed, parts=parts)
        home.complete(metrics)
    return RecognitionResult(home.path, recognitions, metrics, asked_now, time.perf_counter() - begun)


def _choose(batch: Sequence[Offer], clips: Clips, config: RecognitionConfig, backend: Backend) -> list[Recognition]:
    """One recognition per offer of a batch; of equal scores the specialist's better candidate wins."""
    asked = [offer.asked for offer in batch]
    answers = option_scores(backend, asked, clips, config.prompt, config.perspective, config.option_orders)
    return [
        Recognition(
            segment_id=offer.query_id,
            clip=offer.clip,
            candidates=offer.candidates,
            candidate_names=offer.names,
            specialist_scores=offer.specialist_scores,
            truth=offer.segment.action if offer.segment.labelled else None,
            decision_rule=config.decision_rule(backend),
            **({} if clip is None else clip.record_fields),
            **({"error": answers.refused[i]} if i in answers.refused else _chosen(offer, answers.by_place[i], config)),
        )
        for i, (offer, clip) in enumerate(zip(batch, clips, strict=True))
    ]


def _chosen(offer: Offer, scores: OptionScores, config: RecognitionConfig) -> dict[str, Any]:
    """The fields of a recognition that the model decides."""
    added = config.specialist_weight * offer.log_scores if config.specialist_weight else None
    choice = choose(offer.ranked(scores.log_probabilities), added)
    verb, noun = offer.candidates[choice.place]
    return {
        "verb": verb,
        "noun": noun,
        "name": offer.names[choice.place],
        "confidence": round(float(choice.shares[choice.place]), DECIMALS),
        "option_scores": choice.scores,
        "letter_mass": None if scores.letter_mass is None else round(scores.letter_mass, DECIMALS),
    }
