"""Asks a backend every question of a benchmark; can be killed at any moment and started again."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Collection, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from llavaction.actions.segments import Clip
from llavaction.backends.base import Backend, Query
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.progress import progress
from llavaction.base.records import Strict, to_line, write_json
from llavaction.base.seeding import hashed_seed
from llavaction.evaluation.metrics import compute_metrics
from llavaction.evaluation.names import ActionNames
from llavaction.evaluation.option_orders import mean_over_orders, order_turns, turned
from llavaction.evaluation.parsing import parse_answer, parse_as_published
from llavaction.evaluation.predictions import Prediction, PredictionJournal, failed, generated, scored
from llavaction.evaluation.runs import record_environment, settle_config
from llavaction.questions.prompts import Perspective, PromptStyle, multiple_choice_prompt
from llavaction.questions.schema import Benchmark, Question

HOPELESS = 32
"""A run stops if none of this many first questions can be asked: then it is not the videos but the folder given."""


class Frames(Protocol):
    """What a library returns for a clip."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """[frames, height, width, 3] RGB; no frames where nothing could be decoded."""
        ...

    @property
    def times(self) -> NDArray[np.float64]:
        """[frames], seconds from the video's first frame."""
        ...

    @property
    def error(self) -> Exception | None:
        """Why not everything could be decoded; other frames then stand in for the missing ones."""
        ...


class Library(Protocol):
    """Where clips come from; :class:`llavaction.video.library.VideoLibrary` is one."""

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> Frames:
        """Decode ``count`` frames of ``clip``."""
        ...


class RunConfig(Strict):
    """How a run is made."""

    benchmark: str = Field(description="folder of the benchmark")
    backend: str = Field(description="name of the backend, e.g. 'chance' or 'transformers'")
    backend_options: Mapping[str, Any] = Field(default_factory=dict, description="what the backend was made with")
    videos: str | None = Field(
        default=None, description="folder of the videos; not needed by backends that do not look"
    )
    frames: int | None = Field(default=None, ge=1, description="frames per clip; None: as many as the backend asks for")
    decision: Literal["likelihood", "generation"] = Field(
        default="likelihood", description="'likelihood': the option with the highest score; 'generation': parsed text"
    )
    parsing: Literal["robust", "published"] = Field(
        default="robust", description="how generated text is read, see evaluation/parsing.py"
    )
    prompt: PromptStyle = Field(default="letters", description="style of the prompt, see questions/prompts.py")
    perspective: Perspective = Field(default="first_person", description="for the published prompt only")
    option_orders: int = Field(
        default=1,
        ge=1,
        description="cyclic orders of its options a question is asked in, log-probabilities averaged; the first is the "
        "stored one, and there are at most as many as options",
    )
    limit: int | None = Field(default=None, ge=1, description="ask only this many, the same for every backend")
    batch_size: int = Field(default=4, ge=1, description="questions per call of the backend")
    workers: int = Field(default=2, ge=1, description="threads that decode ahead; does not change the result")
    seed: int = Field(default=0, description="of the bootstrap intervals")

    @model_validator(mode="after")
    def _orders_have_scores(self) -> RunConfig:
        if self.option_orders > 1 and self.decision == "generation":
            raise ValueError("option_orders averages scores; decision 'generation' has none")
        return self

    def decision_rule(self, backend: Backend) -> str:
        """How choices are made, as predictions name it."""
        if self.decision == "generation":
            return f"generated text, {self.parsing} parsing"
        orders = f", mean of {self.option_orders} option orders" if self.option_orders > 1 else ""
        return backend.decision_rule + orders


@dataclass(frozen=True)
class RunResult:
    """What came out of :func:`run`.

    Attributes:
        folder: the run folder.
        predictions: all of them, in the benchmark's order.
        metrics: as in ``metrics.json``.
        asked_now: questions dealt with by this call; the others were on disk already.
        seconds: what this call took.
    """

    folder: Path
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Any]
    asked_now: int
    seconds: float


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
    begun = time.perf_counter()
    folder = Path(folder)
    questions = asked_questions(benchmark, config.limit)
    resolved = resolve(config, questions, backend)
    count = resolved["resolved"]["frames"]
    if count and library is None:
        raise InputError(
            f"backend '{backend.name}' looks at {count} frames per clip but no videos were given",
            hint="name their folder with --videos",
        )
    with PredictionJournal(folder) as journal:
        settle_config(folder, resolved, started=bool(journal.done))
        record_environment(folder)
        batches = [questions[i : i + config.batch_size] for i in range(0, len(questions), config.batch_size)]
        if retry_failed and any(prediction.error for prediction in journal.done.values()):
            again = {q.question_id for batch in batches if _has_failure(batch, journal.done) for q in batch}
            (folder / "metrics.json").unlink(missing_ok=True)
            journal.rewrite(p for p in journal.done.values() if p.question_id not in again)
        todo = [batch for batch in batches if any(q.question_id not in journal.done for q in batch)]
        before = len(journal.done)
        _work_off(todo, _looks(todo, library if count else None, count, config.workers), config, backend, journal)
        asked_now = len(journal.done) - before
        predictions = [journal.done[question.question_id] for question in questions]
        if list(journal.done.values()) != predictions:
            journal.rewrite(predictions)
        metrics = compute_metrics(benchmark, predictions, vocabulary, groups=groups, seed=config.seed)
        write_json(folder / "metrics.json", metrics)
    return RunResult(folder, predictions, metrics, asked_now, time.perf_counter() - begun)


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


def resolve(config: RunConfig, questions: Sequence[Question], backend: Backend) -> dict[str, Any]:
    """The complete configuration: every key of ``config``, and under ``resolved`` what follows from the inputs.

    A backend's own ``config`` (a :class:`Strict` or a mapping; say, its checkpoint and precision) is recorded too.
    """
    settings = getattr(backend, "config", {})
    return {
        "schema_version": 1,
        **config.model_dump(mode="json"),
        "resolved": {
            "backend": backend.name,
            "backend_settings": settings.model_dump(mode="json") if isinstance(settings, Strict) else dict(settings),
            "decision_rule": config.decision_rule(backend),
            "frames": (config.frames or backend.needs_frames) if backend.needs_frames else 0,
            "questions": len(questions),
            "questions_sha256": hashlib.sha256("".join(map(to_line, questions)).encode()).hexdigest(),
        },
    }


def _has_failure(batch: Sequence[Question], done: Mapping[str, Prediction]) -> bool:
    return any(done[q.question_id].parse_status == "failed" for q in batch if q.question_id in done)


def _work_off(
    todo: Sequence[Sequence[Question]],
    looked: Generator[tuple[Sequence[Question], list[_Look]], None, None],
    config: RunConfig,
    backend: Backend,
    journal: PredictionJournal,
) -> None:
    if todo:
        (journal.path.parent / "metrics.json").unlink(missing_ok=True)
    held: list[Prediction] = []
    try:
        for batch, looks in progress(looked, f"asking {backend.name}", total=len(todo)):
            answers = _ask(batch, looks, config, backend)
            fresh = [answer for answer in answers if answer.question_id not in journal.done]
            held += fresh
            if journal.done or any(answer.parse_status != "failed" for answer in fresh):
                journal.append(held)
                held = []
            elif len(held) >= HOPELESS:
                raise InputError(
                    f"none of the first {len(held)} questions could be asked; the first: {held[0].error}",
                    hint="check the folder of videos and that it belongs to this benchmark",
                )
    finally:
        looked.close()
    if held:
        journal.append(held)


@dataclass(frozen=True)
class _Look:
    images: NDArray[np.uint8] | None = None
    times: NDArray[np.float64] | None = None
    error: str | None = None
    note: str | None = None


def reason(error: Exception) -> str:
    """An error as a prediction keeps it: with the file's name but not its folder, which differs between machines."""
    if isinstance(error, InputError):
        return f"{Path(error.file).name}: {error.problem}" if error.file else error.problem
    return str(error) if isinstance(error, LlavactionError) else f"{type(error).__name__}: {error}"


def _look(library: Library, question: Question, count: int) -> _Look:
    """Decode one clip; whatever goes wrong becomes text, because one bad video must not end a run."""
    try:
        frames = library.read(question.clip, count, segment_id=question.question_id)
    except Exception as problem:  # a decoder may raise anything on a damaged file
        return _Look(error=reason(problem))
    if not len(frames.images):
        return _Look(error=reason(frames.error) if frames.error else "no frame could be decoded")
    times = np.maximum(np.asarray(frames.times, dtype=np.float64) - question.clip.start, 0.0)
    return _Look(frames.images, times, note=None if frames.error is None else reason(frames.error))


def _looks(
    batches: Sequence[Sequence[Question]], library: Library | None, count: int, workers: int
) -> Generator[tuple[Sequence[Question], list[_Look]], None, None]:
    """Batches with their frames, decoded ahead by as many clips as a batch holds and one per worker."""
    if library is None:
        for batch in batches:
            yield batch, [_Look() for _ in batch]
        return
    ahead = max((len(batch) for batch in batches), default=0) + workers
    upcoming = iter([question for batch in batches for question in batch])
    waiting: deque[Future[_Look]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for batch in batches:
            looks = []
            for _ in batch:
                while len(waiting) < ahead and (question := next(upcoming, None)) is not None:
                    waiting.append(pool.submit(_look, library, question, count))
                looks.append(waiting.popleft().result())
            yield batch, looks
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ask(batch: Sequence[Question], looks: Sequence[_Look], config: RunConfig, backend: Backend) -> list[Prediction]:
    """One prediction per question of a batch; only those that could be decoded reach the backend."""
    generation, rule = config.decision == "generation", config.decision_rule(backend)
    ready = [i for i, look in enumerate(looks) if look.error is None]
    turns = {i: order_turns(len(batch[i].options), config.option_orders) for i in ready}
    queries = [_query(turned(batch[i], turn), looks[i], config) for i in ready for turn in turns[i]]
    answers: Sequence[Any] = []
    if queries:
        answers = backend.generate(queries) if generation else backend.score_options(queries)
    if len(answers) != len(queries):
        raise LlavactionError(f"backend '{backend.name}' gave {len(answers)} answers to {len(queries)} questions")
    found, upcoming = {}, iter(answers)
    parse = parse_as_published if config.parsing == "published" else parse_answer
    for i in ready:
        question, note = batch[i], looks[i].note
        own = list(islice(upcoming, len(turns[i])))
        if generation:
            parsed = parse(own[0], [option.text for option in question.options])
            found[i] = generated(question, own[0], parsed, rule, note)
        else:
            found[i] = scored(question, mean_over_orders(own, turns[i]), rule, note)
    return [found[i] if i in found else failed(q, rule, looks[i].error or "") for i, q in enumerate(batch)]


def _query(question: Question, look: _Look, config: RunConfig) -> Query:
    prompt = multiple_choice_prompt(question, config.prompt, perspective=config.perspective)
    return Query(question, prompt, look.images, look.times)
