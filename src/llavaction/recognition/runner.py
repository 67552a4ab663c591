"""A run of recognition: stages score the actions of a clip, the best become candidates, and one of them is chosen."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.backends.asking import check_capability, check_prompt, free_keys, keep_in, pace_of, resolve
from llavaction.backends.base import LETTERS_RULE, Backend, Reads
from llavaction.backends.letter_mass import letter_mass_summary
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.records import to_line
from llavaction.recognition.accuracy import PARTS, summary
from llavaction.recognition.challenge import challenge_accuracy
from llavaction.recognition.config import FROM_READING, LABEL_SET, OVER_CANDIDATES, RecognitionConfig
from llavaction.recognition.fusion import Fusion, equal_weights
from llavaction.recognition.offers import ClassTexts, limited, listed_actions, predicted_segments, sha256
from llavaction.recognition.prior import PriorActions, turns_of_videos
from llavaction.recognition.recogniser import Recogniser, SegmentItem
from llavaction.recognition.records import RECOGNITIONS, Recognition
from llavaction.recognition.stages import StageScorer, StageSettings
from llavaction.runs.folder import RunFolder, go_through
from llavaction.specialists.predictions import Predictions
from llavaction.video.decoded import Library

KEPT = 100
"""Candidates that a record keeps, where nothing is said."""


@dataclass(frozen=True)
class RecognitionResult:
    """What came out of :func:`recognise`.

    Attributes:
        folder: holds ``recognitions.jsonl``, ``metrics.json``, ``config.yaml`` and ``environment.json``.
        recognitions: in the order of the segments, those that could not be asked included.
        metrics: as in ``metrics.json``, see :func:`llavaction.recognition.accuracy.summary`; where the challenge's
            groups are known "challenge", see :func:`llavaction.recognition.challenge.challenge_accuracy`.
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
    """Recognise the segments, those for which the specialist has a prediction where it is asked, and measure it.

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
    plan = _Plan.of(config, segments, predictions, vocabulary, Path(folder))
    _check_backend(config, backend, plan.scorer)
    pace = pace_of(config, backend, library, retry_failed)
    batches = turns_of_videos(plan.items, config.batch_size) if config.prior_actions == "own" else None
    with RunFolder(folder) as home:
        journal = home.journal(RECOGNITIONS, Recognition, "segment_id")
        home.settle(
            resolve(config, backend, pace.frames, segments=len(plan.items), **plan.digests),
            started=bool(journal.done),
            free=free_keys(backend, "annotations", "videos", "predictions", "fusion"),
            videos=pace.facts(plan.items),
        )
        keep_in(home, backend)
        if config.fusion is not None:
            plan.fusion.save(home.path / "fusion.json")
        prior = PriorActions(config.prior_actions, segments, vocabulary, journal.done)
        answer = Recogniser(
            plan.scorer,
            plan.fusion,
            backend,
            vocabulary,
            config.decision_rule(backend),
            prior,
            KEPT if config.kept is None else config.kept,
        )
        recognitions, asked_now = go_through(
            home, journal, plan.items, answer, pace, f"asking {backend.name}", batches=batches
        )
        counts = {
            "segments": plan.segments,
            "recognised": sum(item.error is None for item in recognitions),
            "without_prediction": plan.segments - len(plan.items),
            "failed": sum(item.error is not None for item in recognitions),
            "with_note": sum(item.note is not None for item in recognitions),
            "stand_ins": sum(len(item.stand_ins) for item in recognitions),
        }
        metrics: dict[str, Any] = {"schema_version": 1, "candidates": config.candidates, "counts": counts}
        if config.ranking_stages != ("specialist",):
            metrics["ranked_by"] = list(config.ranking_stages)
        metrics["letter_mass"] = letter_mass_summary(item.letter_mass for item in recognitions)
        parts = ("action",) if vocabulary.one_label else PARTS
        metrics |= summary(recognitions, groups or {}, seed=config.seed, parts=parts)
        measured = limited(segments, config.limit)
        if official := challenge_accuracy(recognitions, measured, vocabulary, groups or {}):
            metrics["challenge"] = official
        home.complete(metrics)
    return RecognitionResult(home.path, recognitions, metrics, asked_now, time.perf_counter() - begun)


def _check_backend(config: RecognitionConfig, backend: Backend, scorer: StageScorer) -> None:
    """Refuse, before anything is decoded, a backend that cannot score the stages.

    Raises:
        InputError: it does not read, or has no heads or other ones, or does not compare letters as it is to.
    """
    stages = config.all_stages
    if "letters" in stages:
        check_capability(backend, "score")
        check_prompt(backend, config.prompt)
    if any(stage in FROM_READING for stage in stages):
        check_capability(backend, "read")
        if not isinstance(backend, Reads):
            raise LlavactionError(f"backend '{backend.name}' says that it can read and lacks what reading takes")
        scorer.check_heads(backend.head_sizes)
    compares = config.stages is not None and "letters" in stages and "read" in backend.capabilities
    if compares and backend.decision_rule != LETTERS_RULE:
        raise InputError(
            f"stage 'letters' compares letters, and the backend is to decide by {backend.decision_rule}",
            hint="leave rule at letters, or take stage 'texts'",
        )


@dataclass(frozen=True)
class _Plan:
    """What a run deals with.

    Attributes:
        items: the segments, in their order.
        segments: how many there were to be recognised, those without prediction included.
        scorer: the stages.
        fusion: joins them.
        digests: what the items and all that ranks them beforehand are known by.
    """

    items: Sequence[SegmentItem]
    segments: int
    scorer: StageScorer
    fusion: Fusion
    digests: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        config: RecognitionConfig,
        segments: Sequence[Segment],
        predictions: Predictions,
        vocabulary: ActionVocabulary,
        folder: Path,
    ) -> _Plan:
        if "specialist" not in config.all_stages:
            predictions = {}
        wording = config.option_text or "label"
        if config.offers_beforehand:
            offers = config.offers(segments, predictions, vocabulary)
            items = [SegmentItem(offer.segment, offer) for offer in offers.of]
            number, digests = offers.segments, offers.digests
        else:
            drawn = limited(segments, config.limit)
            chosen = drawn
            if "specialist" in config.all_stages:
                chosen = predicted_segments(drawn, predictions, vocabulary, Path(config.predictions or "predictions"))
                config.check_weighable(chosen, predictions)
            items, number = [SegmentItem(segment) for segment in chosen], len(drawn)
            digests = _digests(config, chosen, predictions)
        with_text = any(stage in LABEL_SET for stage in config.all_stages)
        listed = set() if with_text or not predictions else listed_actions([i.segment for i in items], predictions)
        offered = {action for item in items if item.offer is not None for action in item.offer.candidates}
        known = ClassTexts.of(vocabulary, wording, sorted(listed | offered))
        settings = StageSettings(
            config.all_stages, config.candidates or None, config.ranking_stages, config.option_orders, config.prompt,
            config.perspective, config.seed,
        )  # fmt: skip
        scorer = StageScorer(settings, known, predictions, vocabulary.actions)
        fusion, facts = _fusion(config), dict[str, Any](digests)
        if with_text or not config.offers_beforehand:
            facts["classes_sha256"] = sha256("\n".join(known.texts))
        if config.fusion is not None:
            facts["fusion"] = fusion.model_dump(mode="json")
        return cls(items, number, scorer, fusion, facts)


def _fusion(config: RecognitionConfig) -> Fusion:
    """The weights given; else the model chooses among candidates, the specialist added as far as it has a weight."""
    if config.fusion is not None:
        fusion = Fusion.load(config.fusion)
        if absent := [stage for stage, weight in fusion.weights.items() if weight and stage not in config.all_stages]:
            raise InputError(
                f"weighs '{absent[0]}', which is none of the stages {', '.join(config.all_stages)}",
                file=config.fusion,
                hint=f"it was fitted on: {', '.join(fusion.weights)}; name these with --stages",
            )
        return fusion
    comparing = [stage for stage in config.all_stages if stage in OVER_CANDIDATES]
    if not comparing:
        return equal_weights(config.all_stages)
    weighed = {"specialist": config.specialist_weight} if config.specialist_weight else {}
    return Fusion(weights=dict.fromkeys(comparing, 1.0) | weighed)


def _digests(config: RecognitionConfig, segments: Sequence[Segment], predictions: Predictions) -> dict[str, str]:
    lines = "".join(to_line(segment, ("extra",)) for segment in segments)
    digests = {"segments_sha256": sha256(lines)}
    if "specialist" in config.all_stages:
        rankings = "".join(to_line(predictions[segment.segment_id], ("clip",)) for segment in segments)
        digests["predictions_sha256"] = sha256(rankings)
    return digests
