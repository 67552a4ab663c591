"""Asks a backend every question of a benchmark; can be killed at any moment and started again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llavaction.backends.asking import (
    Answers,
    captioned_scores,
    check_capability,
    check_prompt,
    choose,
    free_keys,
    keep_in,
    option_scores,
    pace_of,
    resolve,
    written_answers,
)
from llavaction.backends.base import Backend
from llavaction.base.collection import no_collection
from llavaction.base.errors import InputError
from llavaction.base.records import to_line
from llavaction.base.seeding import hashed_seed
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.metrics import compute_metrics
from llavaction.evaluation.names import ActionNames
from llavaction.evaluation.predictions import PREDICTIONS, Prediction, failed, generated, scored
from llavaction.evaluation.reading import readable, reader_of
from llavaction.questions.asked import Asked
from llavaction.questions.schema import Benchmark, Question
from llavaction.questions.subtitles import said_between
from llavaction.runs.folder import RunFolder, go_through
from llavaction.video.decoded import Clips, Library


@dataclass(frozen=True)
class RunResult:
    """What came out of :func:`run`.

    Attributes:
        folder: the run folder.
        predictions: all of them, in the benchmark's order.
        metrics: as in ``metrics.json``.
        asked_now: questions dealt with by this call; the others were on disk already.
        seconds: what this call took.
        from_cache: answers of this call that came from the cache.
    """

    folder: Path
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Any]
    asked_now: int
    seconds: float
    from_cache: int = 0


def run(
    config: RunConfig,
    benchmark: Benchmark,
    backend: Backend,
    library: Library | None,
    folder: str | Path,
    *,
    vocabulary: ActionNames | None = None,
    groups: Mapping[str, Collection[str]] | None = None,
    retry_failed: bool = False,
) -> RunResult:
    """Ask every question once and write the run folder.

    The folder can be the one of a run that was killed: what is on disk is kept, the rest is done in the same batches as
    without the interruption, so a backend that gives equal scores for equal batches leaves equal bytes.

    Args:
        config: the settings; written resolved to ``config.yaml``.
        benchmark: the questions.
        backend: who is asked.
        library: where the frames come from; None for backends that do not look.
        folder: the run folder.
        vocabulary: names for the tables; the benchmark's own by default.
        groups: name to question ids, for a breakdown of the accuracy; the benchmark's own by default.
        retry_failed: ask those again that failed last time, for instance because a video was missing.

    Raises:
        InputError: the run was started with other settings; the backend needs videos and there are none; or none of the
            first questions can be asked.
        RunLockedError: another process writes the folder.
        LlavactionError: the backend does not keep to its protocol.
    """
    begun, hits = time.perf_counter(), getattr(backend, "hits", 0)
    config = readable(config, benchmark.card)
    questions = asked_questions(benchmark, config.limit)
    if config.decision != "likelihood":
        check_capability(backend, "generate")
    if config.decision != "generation":
        check_capability(backend, "score")
        check_prompt(backend, config.prompt)
    pace = pace_of(config, backend, library, retry_failed)
    asked, true = asked_of(benchmark, questions, config), {question.question_id: question for question in questions}
    with RunFolder(folder) as home:
        audited = home.measured().get("audit")
        journal = home.journal(PREDICTIONS, Prediction, "question_id")
        digest = hashlib.sha256("".join(map(to_line, questions)).encode()).hexdigest()
        facts: dict[str, Any] = {"questions": len(questions), "questions_sha256": digest}
        if pace.frames and (shown := getattr(library, "shown", None)) is not None:
            facts["shown"] = shown
        home.settle(
            resolve(config, backend, pace.frames, **facts),
            started=bool(journal.done),
            free=free_keys(backend, "benchmark", "videos"),
            videos=pace.facts(asked),
            defaults=config.defaults(),
        )
        keep_in(home, backend)

        def answer(batch: Sequence[Asked], clips: Clips) -> list[Prediction]:
            return _predict([true[one.query_id] for one in batch], batch, clips, config, backend)

        predictions, asked_now = go_through(home, journal, asked, answer, pace, f"asking {backend.name}")
        metrics = compute_metrics(benchmark, predictions, vocabulary, groups=groups, seed=config.seed)
        if audited is not None and not asked_now:
            metrics["audit"] = audited  # of these very predictions
        home.complete(metrics)
    from_cache = getattr(backend, "hits", 0) - hits
    return RunResult(home.path, predictions, metrics, asked_now, time.perf_counter() - begun, from_cache)


def asked_questions(benchmark: Benchmark, limit: int | None) -> list[Question]:
    """The questions of a run, in the benchmark's order.

    A limit draws by the hash of the question's id: spread over all videos, the same for every run, and a larger limit
    contains a smaller one.
    """
    questions = list(benchmark.questions)
    if limit is None or limit >= len(questions):
        return questions
    drawn = sorted(questions, key=lambda question: hashed_seed("limit", question.question_id))[:limit]
    kept = {question.question_id for question in drawn}
    return [question for question in questions if question.question_id in kept]


@no_collection()
def asked_of(benchmark: Benchmark, questions: Sequence[Question], config: RunConfig) -> list[Asked]:
    """What is asked of each question: with the benchmark's own prompt, and the subtitles that are to be told.

    Raises:
        InputError: the settings ask for an official prompt or for subtitles that the benchmark has not.
    """
    template = None if benchmark.card.source is None else benchmark.card.source.prompt
    if config.prompt == "official" and template is None:
        raise InputError(
            f"benchmark '{benchmark.card.name}' has no official prompt",
            hint="take --prompt letters, or name one in its description under source.prompt",
        )
    if config.subtitles == "none":
        return [replace(question.asked, template=template) for question in questions]
    if not benchmark.subtitles:
        raise InputError(
            f"benchmark '{benchmark.card.name}' has no subtitles",
            hint="name their folder in its description with the key 'subtitles'",
        )
    at_frames = config.subtitles == "frames"
    told = []
    for question in questions:
        clip = question.clip
        said = said_between(benchmark.subtitles.get(clip.video_id, ()), clip.start, clip.stop)
        told.append(replace(question.asked, template=template, subtitles=said, subtitles_at_frames=at_frames))
    return told


def _predict(
    questions: Sequence[Question], batch: Sequence[Asked], clips: Clips, config: RunConfig, backend: Backend
) -> list[Prediction]:
    """One prediction per question of a batch: the backend sees what is asked, the record gets what is true."""
    rule = config.decision_rule(backend)
    fields: list[dict[str, Any]] = [{} if clip is None else clip.record_fields for clip in clips]
    predictions: dict[int, Prediction] = {}
    answers: Answers[Any]
    if config.decision == "generation":
        read = reader_of(config.parsing, config.parser)
        answers = written_answers(backend, batch, clips, config.prompt, config.perspective)
        for i, text in answers.by_place.items():
            reading = read(text, list(batch[i].options), questions[i].answer)
            predictions[i] = generated(questions[i], text, reading.parsed, rule, credit=reading.credit, **fields[i])
    else:
        score = captioned_scores if config.decision == "caption_then_answer" else option_scores
        answers = score(backend, batch, clips, config.prompt, config.perspective, config.option_orders)
        for i, scores in answers.by_place.items():
            choice = choose(scores.log_probabilities)
            fields[i]["text"] = scores.caption
            predictions[i] = scored(questions[i], choice, rule, letter_mass=scores.letter_mass, **fields[i])
    return [predictions.get(i) or failed(q, rule, answers.refused[i]) for i, q in enumerate(questions)]
