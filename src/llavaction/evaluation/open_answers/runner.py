"""Asks a backend questions without options; can be killed at any moment and started again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llavaction.backends.asking import check_capability, free_keys, keep_in, pace_of, resolve, written_answers
from llavaction.backends.base import Backend
from llavaction.base.errors import InputError
from llavaction.base.records import to_line
from llavaction.base.registry import suggestion
from llavaction.base.seeding import hashed_seed
from llavaction.evaluation.open_answers.config import OpenRunConfig
from llavaction.evaluation.open_answers.schema import WRITTEN, OpenBenchmark, OpenQuestion, WrittenAnswer
from llavaction.evaluation.open_answers.scores import SCORES, measure
from llavaction.questions.asked import Asked
from llavaction.runs.folder import RunFolder, go_through
from llavaction.video.decoded import Clips, Library

STYLES = ("official", "open")
"""Prompts that ask without options."""


@dataclass(frozen=True)
class OpenRunResult:
    """What came out of :func:`run_open`.

    Attributes:
        folder: the run folder.
        answers: all of them, in the benchmark's order.
        metrics: as in ``metrics.json``.
        asked_now: questions dealt with by this call.
        seconds: what this call took.
    """

    folder: Path
    answers: Sequence[WrittenAnswer]
    metrics: Mapping[str, Any]
    asked_now: int
    seconds: float


def run_open(
    config: OpenRunConfig,
    benchmark: OpenBenchmark,
    backend: Backend,
    library: Library | None,
    folder: str | Path,
    *,
    retry_failed: bool = False,
) -> OpenRunResult:
    """Ask every question once and write the run folder: as :func:`llavaction.evaluation.runner.run`, but in words.

    Raises:
        InputError: as there; or the benchmark names no way of scoring that is known.
    """
    begun = time.perf_counter()
    check_capability(backend, "generate")
    scorer = scorer_of(benchmark)
    template = None if benchmark.card.source is None else benchmark.card.source.prompt
    if config.prompt not in STYLES:
        raise InputError(f"prompt '{config.prompt}' lists options, and these questions have none", hint="--prompt open")
    style = config.prompt if template is not None else "open"
    questions = _limited(benchmark.questions, config.limit)
    true = {question.question_id: question for question in questions}
    asked = [replace(question.asked, template=template) for question in questions]
    pace = pace_of(config, backend, library, retry_failed)
    with RunFolder(folder) as home:
        journal = home.journal(WRITTEN, WrittenAnswer, "question_id")
        digest = hashlib.sha256("".join(map(to_line, questions)).encode()).hexdigest()
        home.settle(
            resolve(config, backend, pace.frames, questions=len(questions), questions_sha256=digest),
            started=bool(journal.done),
            free=free_keys(backend, "benchmark", "videos"),
            videos=pace.facts(asked),
            defaults=config.defaults(),
        )
        keep_in(home, backend)

        def answer(batch: Sequence[Asked], clips: Clips) -> list[WrittenAnswer]:
            said = written_answers(backend, batch, clips, style)
            seen = [{} if clip is None else clip.record_fields for clip in clips]
            return [
                _written(true[one.query_id], said.by_place.get(i), said.refused.get(i), seen[i])
                for i, one in enumerate(batch)
            ]

        answers, asked_now = go_through(home, journal, asked, answer, pace, f"asking {backend.name}")
        metrics = open_metrics(benchmark, answers, scorer, config.seed)
        home.complete(metrics)
    return OpenRunResult(home.path, answers, metrics, asked_now, time.perf_counter() - begun)


def scorer_of(benchmark: OpenBenchmark) -> str:
    """How a benchmark's answers are scored: as its source says, by default as they read.

    Raises:
        InputError: that way is not known.
    """
    source = benchmark.card.source
    name = "exact_match" if source is None or source.scorer is None else source.scorer
    if name not in SCORES:
        raise InputError(f"answers cannot be scored by '{name}'", hint=suggestion(name, SCORES))
    return name


def open_metrics(
    benchmark: OpenBenchmark, answers: Sequence[WrittenAnswer], scorer: str, seed: int = 0
) -> dict[str, Any]:
    """Everything ``metrics.json`` holds of such a run."""
    card = benchmark.card
    return {
        "schema_version": 1,
        "benchmark": {"name": card.name, "version": card.version, "split": card.split},
        "official": next(iter(SCORES[scorer])),
        "scores": measure(answers, scorer, benchmark.groups, seed),
        "counts": {
            "questions": len(answers),
            "answered": sum(answer.text is not None and answer.text.strip() != "" for answer in answers),
            "empty": sum(answer.text is not None and answer.text.strip() == "" for answer in answers),
            "failed": sum(answer.error is not None for answer in answers),
            "with_note": sum(answer.note is not None for answer in answers),
            "stand_ins": sum(len(answer.stand_ins) for answer in answers),
            "not_asked": len(benchmark.questions) - len(answers),
        },
    }


def _written(question: OpenQuestion, text: str | None, error: str | None, seen: Mapping[str, Any]) -> WrittenAnswer:
    return WrittenAnswer(
        question_id=question.question_id,
        video_id=question.clip.video_id,
        question=question.question,
        answers=question.answers,
        span=question.span,
        kind=question.kind,
        text=text,
        error=error,
        **(seen if error is None else {}),
    )


def _limited(questions: Sequence[OpenQuestion], limit: int | None) -> list[OpenQuestion]:
    """As :func:`llavaction.evaluation.runner.asked_questions` draws."""
    if limit is None or limit >= len(questions):
        return list(questions)
    drawn = sorted(questions, key=lambda question: hashed_seed("limit", question.question_id))[:limit]
    kept = {question.question_id for question in drawn}
    return [question for question in questions if question.question_id in kept]
