"""Two-stage recognition: a specialist proposes candidates, a video-language model chooses among them by letters."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.backends.asking import ask_all, backend_settings, check_prompt, frames_wanted, option_scores
from llavaction.backends.base import Backend
from llavaction.backends.letter_mass import letter_mass_summary
from llavaction.backends.looks import Batch, Library, Look
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.journal import Journal
from llavaction.base.records import Strict, to_line, write_json
from llavaction.base.run_folder import METRICS
from llavaction.base.seeding import hashed_rng, hashed_seed
from llavaction.base.text import same_when_read
from llavaction.questions.prompts import QUESTION, Perspective, PromptStyle
from llavaction.questions.schema import LETTERS, Option, Provenance, Question
from llavaction.recognition.accuracy import PARTS, summary
from llavaction.recognition.records import RECOGNITIONS, Recognition
from llavaction.specialists.agreement import Agreement, Expected
from llavaction.specialists.predictions import Predictions, SpecialistPrediction, check_classes

DECIMALS = 6
FLOOR = -1e6
"""Stands for a log-probability of minus infinity, which JSON cannot hold."""
LEAST = 1e-12
"""Stands for a probability of 0."""
FREE_KEYS = ("workers", "annotations", "videos", "predictions")
"""May change between start and restart: segments, candidates and videos are known by their content."""


class RecognitionConfig(Strict):
    """How segments are recognised."""

    annotations: str = Field(description="folder of the annotations")
    split: str = Field(description="split whose segments are recognised")
    predictions: str = Field(description="file of the specialist's predictions")
    backend: str = Field(description="name of the backend that chooses, e.g. 'bundled' or a checkpoint folder")
    backend_options: Mapping[str, Any] = Field(default_factory=dict, description="what the backend was made with")
    videos: str | None = Field(default=None, description="folder of the videos; for backends that look")
    candidates: int = Field(
        default=5,
        ge=2,
        le=len(LETTERS),
        description="the specialist's best actions that are offered, 5 as in the paper",
    )
    frames: int | None = Field(default=None, ge=1, description="frames per clip; None: as many as the backend asks for")
    prompt: PromptStyle = Field(default="letters", description="style of the prompt, see questions/prompts.py")
    perspective: Perspective = Field(default="first_person", description="for the published prompt only")
    option_orders: int = Field(
        default=1, ge=1, description="cyclic orders of the candidates to ask in, log-probabilities averaged"
    )
    specialist_weight: float = Field(
        default=0.0,
        ge=0,
        description="times this the specialist's log-probabilities are added to the model's; 0, as in the paper, "
        "leaves the choice to the model. Choose it on a validation split",
    )
    limit: int | None = Field(
        default=None, ge=1, description="recognise only this many segments, the same for every backend"
    )
    batch_size: int = Field(default=4, ge=1, description="segments per call of the backend")
    workers: int = Field(default=2, ge=1, description="threads that decode ahead; does not change the result")
    seed: int = Field(default=0, description="of the candidates' order and of the bootstrap intervals")


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
    folder = Path(folder)
    check_classes(predictions, vocabulary, Path(config.predictions))
    drawn = _limited(segments, config.limit)
    known = [segment for segment in drawn if segment.segment_id in predictions]
    if not known:
        raise InputError(
            f"the specialist has no prediction for any of the {len(drawn)} segments",
            file=config.predictions,
            hint="are these predictions of this split?",
        )
    _check_clips(known, predictions, Path(config.predictions))
    if config.specialist_weight and all(_are_ranks(predictions[s.segment_id]) for s in known):
        raise InputError(
            "holds rankings without scores, which cannot be weighed against a model's",
            file=config.predictions,
            hint="leave specialist_weight at 0, or give predictions with scores",
        )
    stage_one = {s.segment_id: (s, _without_twins(predictions[s.segment_id], vocabulary)) for s in known}
    questions = [_question(*pair, vocabulary, config) for pair in stage_one.values()]
    check_prompt(backend, config.prompt)
    count = frames_wanted(backend, config.frames, library)
    with Journal(folder / RECOGNITIONS, Recognition, "segment_id") as journal:
        recognitions, asked_now = ask_all(
            folder,
            questions,
            journal,
            lambda batch, looks: _choose(batch, looks, stage_one, config, backend),
            config=_resolve(config, questions, [stage_one[q.question_id][1] for q in questions], backend, count),
            free=FREE_KEYS,
            backend=backend,
            library=library,
            frames=count,
            batch_size=config.batch_size,
            workers=config.workers,
            retry_failed=retry_failed,
        )
        counts = {
            "segments": len(drawn),
            "recognised": sum(found.error is None for found in recognitions),
            "without_prediction": len(drawn) - len(known),
            "failed": sum(found.error is not None for found in recognitions),
            "with_note": sum(found.note is not None for found in recognitions),
            "stand_ins": sum(len(found.stand_ins) for found in recognitions),
        }
        metrics: dict[str, Any] = {"schema_version": 1, "candidates": config.candidates, "counts": counts}
        metrics["letter_mass"] = letter_mass_summary(found.letter_mass for found in recognitions)
        parts = ("action",) if vocabulary.one_label else PARTS
        metrics |= summary(recognitions, groups or {}, seed=config.seed, parts=parts)
        write_json(folder / METRICS, metrics)
    return RecognitionResult(folder, recognitions, metrics, asked_now, time.perf_counter() - begun)


def _check_clips(segments: Sequence[Segment], predictions: Predictions, path: Path) -> None:
    """Refuse predictions that say they are of other videos or times; those that do not say are let through."""
    clips = {segment.segment_id: segment.clip for segment in segments}
    agreement = Agreement(path, Expected(clips, {}, {}), say=lambda _: None)
    for name in clips:
        agreement.place(name, predictions[name].clip)
    agreement.settle()


def _are_ranks(prediction: SpecialistPrediction) -> bool:
    """Whether the scores only count down from 0, as they do where a file has none."""
    return prediction.scores == tuple(-float(rank) for rank in range(len(prediction.scores)))


def _without_twins(prediction: SpecialistPrediction, vocabulary: ActionVocabulary) -> SpecialistPrediction:
    """The ranking without actions whose names read like that of a better one: nobody could choose between them."""
    better: dict[str, int] = {}
    for place, action in enumerate(prediction.actions):
        better.setdefault(same_when_read(vocabulary.action_name(action)), place)
    if len(better) == len(prediction.actions):
        return prediction
    kept = [(prediction.actions[place], prediction.scores[place]) for place in better.values()]
    actions, scores = zip(*kept, strict=True)
    return prediction.model_copy(update={"actions": actions, "scores": scores})


def _limited(segments: Sequence[Segment], limit: int | None) -> list[Segment]:
    """The first ``limit`` by the hash of the id, in the order given; a larger limit contains a smaller one."""
    if limit is None or limit >= len(segments):
        return list(segments)
    kept = set(sorted((s.segment_id for s in segments), key=lambda name: hashed_seed("limit", name))[:limit])
    return [segment for segment in segments if segment.segment_id in kept]


def _question(
    segment: Segment, prediction: SpecialistPrediction, vocabulary: ActionVocabulary, config: RecognitionConfig
) -> Question:
    """The candidates as a question whose letters do not tell their rank; its provenance keeps the ranks.

    A single candidate is joined by a text that stands for no class and is never chosen: a question has two options.
    """
    candidates = prediction.actions[: config.candidates]
    order = [
        int(i) for i in hashed_rng("candidate order", config.seed, segment.segment_id).permutation(len(candidates))
    ]
    options = [Option(text=vocabulary.action_name(candidates[i]), action=candidates[i]) for i in order]
    if len(options) == 1:
        options.append(Option(text="something else"))
    return Question(
        question_id=segment.segment_id,
        clip=segment.clip,
        question=QUESTION,
        options=tuple(options),
        answer=order.index(candidates.index(segment.action)) if segment.action in candidates else 0,
        provenance=Provenance(miner="specialist", rank=tuple(order), text_pool="clean", seed=config.seed),
    )


def _choose(
    batch: Batch,
    looks: Sequence[Look],
    stage_one: Mapping[str, tuple[Segment, SpecialistPrediction]],
    config: RecognitionConfig,
    backend: Backend,
) -> list[Recognition]:
    """One recognition per question of a batch."""
    answers = option_scores(backend, batch, looks, config.prompt, config.perspective, config.option_orders)
    found = []
    for i, (question, seen) in enumerate(zip(batch, looks, strict=True)):
        segment, prediction = stage_one[question.question_id]
        known: dict[str, Any] = {
            "segment_id": segment.segment_id,
            "clip": segment.clip,
            "candidates": prediction.actions[: config.candidates],
            "candidate_names": _names(question),
            "specialist_scores": prediction.scores[: config.candidates],
            "truth": segment.action if segment.labelled else None,
            "decision_rule": _rule(config, backend),
            **seen.kept,
        }
        own = np.array(known["specialist_scores"])
        weighed = config.specialist_weight * _as_logs(own) if config.specialist_weight else np.zeros(len(own))
        if i in answers.found:
            made = _choice(question, answers.found[i].log_probabilities, weighed)
            if (mass := answers.found[i].letter_mass) is not None:
                made["letter_mass"] = round(mass, DECIMALS)
        else:
            made = {"error": answers.error(i, seen)}
        found.append(Recognition(**known, **made))
    return found


def _choice(question: Question, scores: NDArray[np.float64], weighed: NDArray[np.float64]) -> dict[str, Any]:
    """The fields of a recognition that the model decides; of equal scores the specialist's better candidate wins.

    Args:
        question: the candidates as options.
        scores: the model's, in the order of the options.
        weighed: what the specialist adds, in the order of its candidates.

    Raises:
        LlavactionError: the backend gave a different number of scores than there are options.
    """
    if scores.shape != (len(question.options),):
        raise LlavactionError(
            f"the backend gave scores of shape {scores.shape} for segment '{question.question_id}', "
            f"which has {len(question.options)} candidates"
        )
    if np.isnan(scores).any() or np.isposinf(scores).any():
        return {"error": f"the backend's scores are not all numbers: {scores.tolist()}"}
    places = np.argsort(question.provenance.rank)  # of each candidate among the options
    ranked = np.round(np.maximum(scores[places], FLOOR), DECIMALS) + 0.0
    joined = ranked + weighed
    shares = np.exp(joined - np.logaddexp.reduce(joined))
    best = int(joined.argmax())
    action = question.options[places[best]].action
    assert action is not None  # only the text beside a single candidate has none, and it has no rank
    return {
        "verb": action[0],
        "noun": action[1],
        "name": question.options[places[best]].text,
        "confidence": round(float(shares[best]), DECIMALS),
        "option_scores": tuple(ranked.tolist()),
    }


def _names(question: Question) -> tuple[str, ...]:
    """The candidates in words, as the specialist ranked them."""
    return tuple(question.options[place].text for place in np.argsort(question.provenance.rank))


def _as_logs(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """A specialist's scores as log-probabilities; those that are not negative are probabilities (challenge formats)."""
    return np.log(np.maximum(scores, LEAST)) if (scores >= 0).all() else scores


def _rule(config: RecognitionConfig, backend: Backend) -> str:
    orders = f", mean of {config.option_orders} option orders" if config.option_orders > 1 else ""
    weight = f", specialist's scores times {config.specialist_weight:g} added" if config.specialist_weight else ""
    return backend.decision_rule + orders + weight


def _digest(predictions: Sequence[SpecialistPrediction]) -> str:
    """Of rankings; their clips are those of the questions."""
    return hashlib.sha256("".join(to_line(found, ("clip",)) for found in predictions).encode()).hexdigest()


def _resolve(
    config: RecognitionConfig,
    questions: Sequence[Question],
    predictions: Sequence[SpecialistPrediction],
    backend: Backend,
    frames: int,
) -> dict[str, Any]:
    """The complete configuration: every key of ``config``, and under ``resolved`` what follows from the inputs."""
    return {
        "schema_version": 1,
        **config.model_dump(mode="json"),
        "resolved": {
            "kind_of_backend": backend.name.partition(":")[0],
            "backend": backend.name,
            "backend_settings": backend_settings(backend),
            "decision_rule": _rule(config, backend),
            "frames": frames,
            "segments": len(questions),
            "questions_sha256": hashlib.sha256("".join(map(to_line, questions)).encode()).hexdigest(),
            "predictions_sha256": _digest(predictions),
        },
    }
