"""Asking a backend many questions: batches kept together, every batch on disk before the next is asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from llavaction.backends.base import LETTERS_RULE, Backend, OptionScores, Query, QuestionError
from llavaction.backends.looks import Batch, Library, Look, looks_ahead, reason
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.fingerprints import FileFacts
from llavaction.base.journal import Journal
from llavaction.base.progress import progress
from llavaction.base.records import AnyRecord, Strict
from llavaction.base.run_folder import METRICS, record_environment, settle_config, settle_videos
from llavaction.questions.option_orders import mean_over_orders, order_turns, turned
from llavaction.questions.prompts import OPEN_PROMPTS, Perspective, PromptStyle, multiple_choice_prompt
from llavaction.questions.schema import Question

HOPELESS = 32
"""A run stops if none of this many first questions can be asked: then it is not the videos but the folder given."""

T = TypeVar("T")


def frames_wanted(backend: Backend, frames: int | None, library: Library | None) -> int:
    """Frames per clip: as many as asked for, else the backend's own number; 0 for one that does not look.

    Raises:
        InputError: the backend looks and there is no library, or can never look at so many frames.
    """
    count = (frames or backend.needs_frames) if backend.needs_frames else 0
    if count and library is None:
        raise InputError(
            f"backend '{backend.name}' looks at {count} frames per clip but no videos were given",
            hint="name their folder with --videos",
        )
    check_frames(backend, count)
    return count


def check_frames(backend: Backend, count: int) -> None:
    """Refuse, before anything is decoded, more frames a clip than the backend can ever look at.

    Raises:
        InputError: a prompt with so many frames does not fit.
    """
    check = getattr(backend, "check_frames", None)
    if count and check is not None:
        check(count)


def check_prompt(backend: Backend, style: PromptStyle) -> None:
    """Refuse a prompt that does not list the options where the answer is one of their letters.

    Raises:
        InputError: it is such a prompt and such a backend.
    """
    if style in OPEN_PROMPTS and backend.decision_rule == LETTERS_RULE:
        raise InputError(
            f"prompt '{style}' does not list the options, so that their letters mean nothing",
            hint="--set rule=texts compares the options' texts; or ask for written answers",
        )


def backend_settings(backend: Backend) -> dict[str, Any]:
    """What decides a backend's answers, for the record: its ``settings``, or else its ``config``.

    A model's settings hold digests of its contents under "fingerprint".
    """
    found = getattr(backend, "settings", None) or getattr(backend, "config", {})
    return found.model_dump(mode="json") if isinstance(found, Strict) else dict(found)


def free_keys(backend: Backend) -> tuple[str, ...]:
    """Keys of a run's configuration that do not tell one backend from another.

    Where its contents are on record, names do not count: the folder of a model may be spelled in another way. Versions
    and the kind of device are listed in ``environment.json``.
    """
    recorded = ("device", "torch", "transformers")
    names = ("backend", "backend_options", "resolved.backend") if "fingerprint" in backend_settings(backend) else ()
    return (*names, *(f"resolved.backend_settings.{name}" for name in recorded))


def video_facts(library: Library, questions: Sequence[Question]) -> dict[str, FileFacts]:
    """What the videos of questions are known by, those that are there; nothing if the library cannot tell."""
    facts_of = getattr(library, "facts", None)
    if facts_of is None:
        return {}
    return dict(facts_of({(question.clip.video_id, question.question_id) for question in questions}))


def ask_all(
    folder: Path,
    questions: Sequence[Question],
    journal: Journal[AnyRecord],
    answer: Callable[[Batch, Sequence[Look]], list[AnyRecord]],
    *,
    config: Mapping[str, Any],
    free: Collection[str],
    backend: Backend,
    library: Library | None,
    frames: int,
    batch_size: int,
    workers: int,
    retry_failed: bool,
) -> tuple[list[AnyRecord], int]:
    """Answer what is not in the journal yet: the part of a run that can be killed and started again.

    The rest is done in the same batches as without an interruption. The folder's metrics are removed before anything is
    asked; writing them is up to the caller.

    Args:
        folder: of the run; gets ``config.yaml`` and ``environment.json``.
        questions: all of them; what is in the journal is filed under their ids.
        journal: open; its records have an ``error`` where the question could not be asked.
        answer: the records of a batch, given what was seen of each question's clip.
        config: complete and resolved.
        free: its keys that may differ from those the run was started with; :func:`free_keys` are added.
        backend: who is asked.
        library: where the frames come from.
        frames: per clip; 0 where nobody looks.
        batch_size: questions at a time.
        workers: threads that decode ahead.
        retry_failed: ask those again that could not be asked last time.

    Returns:
        One record per question, in their order, and how many are new.

    Raises:
        InputError: the run was started with other settings, another model or other videos, or none of the first
            questions can be asked.
    """
    settle_config(folder, config, started=bool(journal.done), free=(*free, *free_keys(backend)))
    if library is not None and frames:
        settle_videos(folder, video_facts(library, questions), started=bool(journal.done))
    record_environment(folder)
    batches = [questions[i : i + batch_size] for i in range(0, len(questions), batch_size)]
    if retry_failed:
        _forget_failures(journal, batches)
    todo = [batch for batch in batches if any(q.question_id not in journal.done for q in batch)]
    before = len(journal.done)
    if todo:
        (folder / METRICS).unlink(missing_ok=True)
    looked = looks_ahead(todo, library if frames else None, frames, workers)
    _work_off(looked, len(todo), answer, journal, f"asking {backend.name}")
    records = [journal.done[question.question_id] for question in questions]
    if list(journal.done.values()) != records:
        journal.rewrite(records)
    return records, len(journal.done) - before


def _forget_failures(journal: Journal[AnyRecord], batches: Sequence[Batch]) -> None:
    """Take from the journal every batch in which a question could not be asked, so that it is asked again."""
    failed = {name for name, record in journal.done.items() if _error(record) is not None}
    again = {q.question_id for batch in batches if any(q.question_id in failed for q in batch) for q in batch}
    if again:
        journal.rewrite(record for name, record in journal.done.items() if name not in again)


def _work_off(
    looked: Generator[tuple[Batch, list[Look]], None, None],
    total: int,
    answer: Callable[[Batch, Sequence[Look]], list[AnyRecord]],
    journal: Journal[AnyRecord],
    what: str,
) -> None:
    """Answer batch after batch; each is on disk before the next is asked, and what is there already stays.

    Args:
        looked: batches with their frames.
        total: how many there are.
        answer: the records of a batch.
        journal: where records go.
        what: for the progress bar.

    Raises:
        InputError: none of the first questions (:data:`HOPELESS`) could be asked.
    """
    held: list[AnyRecord] = []
    try:
        for batch, looks in progress(looked, what, total=total):
            fresh = [record for record in answer(batch, looks) if journal.id_of(record) not in journal.done]
            held += fresh
            if journal.done or any(_error(record) is None for record in fresh):
                journal.append(held)
                held = []
            elif len(held) >= HOPELESS:
                raise InputError(
                    f"none of the first {len(held)} questions could be asked; the first: {_error(held[0])}",
                    hint="check the folder of videos and that it belongs to these questions",
                )
    finally:
        looked.close()
    if held:
        journal.append(held)


def _error(record: Any) -> str | None:
    error: str | None = record.error
    return error


def query(question: Question, seen: Look, style: PromptStyle, perspective: Perspective = "first_person") -> Query:
    """A question as a backend gets it."""
    return Query(question, multiple_choice_prompt(question, style, perspective=perspective), seen.images, seen.times)


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What came of the questions of a batch, by their places in it.

    Attributes:
        found: the answers.
        refused: why a question whose clip could be decoded could not be asked.
    """

    found: Mapping[int, T]
    refused: Mapping[int, str]

    def error(self, place: int, seen: Look) -> str:
        """Why there is no answer to a question."""
        return seen.error or self.refused.get(place, "")


def option_scores(
    backend: Backend,
    batch: Batch,
    looks: Sequence[Look],
    style: PromptStyle,
    perspective: Perspective = "first_person",
    orders: int = 1,
) -> Answers[OptionScores]:
    """Log-probability of each option, [options] in the order as stored, and the probability mass on the letters.

    Only questions whose clip could be decoded reach the backend. One that cannot be asked fails alone: the others are
    asked as if it were not there.

    Args:
        backend: who is asked.
        batch: the questions.
        looks: what was seen of each.
        style: of the prompt.
        perspective: of the published prompt.
        orders: cyclic orders of its options that each question is asked in, log-probabilities and masses averaged.

    Raises:
        LlavactionError: the backend does not keep to its protocol.
    """
    turns = [order_turns(len(question.options), orders) for question in batch]
    asked = [[turned(question, turn) for turn in own] for question, own in zip(batch, turns, strict=True)]
    answers = _ask_each(backend, asked, looks, style, perspective, lambda queries: option_answers(backend, queries))
    found = {}
    for i, given in answers.found.items():
        masses = [one.letter_mass for one in given if one.letter_mass is not None]
        mass = float(np.mean(masses)) if len(masses) == len(given) else None
        found[i] = OptionScores(mean_over_orders([one.log_probabilities for one in given], turns[i]), mass)
    return Answers(found, answers.refused)


def option_answers(backend: Backend, queries: Sequence[Query]) -> list[OptionScores]:
    """What a backend says of the options of each query, with the mass on the letters if it tells."""
    ask = getattr(backend, "score_options_with_mass", backend.score_options)
    return [one if isinstance(one, OptionScores) else OptionScores(np.asarray(one)) for one in ask(queries)]


def written_answers(
    backend: Backend,
    batch: Batch,
    looks: Sequence[Look],
    style: PromptStyle,
    perspective: Perspective = "first_person",
) -> Answers[str]:
    """The text that the backend writes to each question; otherwise as :func:`option_scores`."""
    answers = _ask_each(backend, [[question] for question in batch], looks, style, perspective, backend.generate)
    return Answers({i: texts[0] for i, texts in answers.found.items()}, answers.refused)


def _ask_each(
    backend: Backend,
    asked: Sequence[Sequence[Question]],
    looks: Sequence[Look],
    style: PromptStyle,
    perspective: Perspective,
    ask: Callable[[Sequence[Query]], Sequence[T]],
) -> Answers[list[T]]:
    """Ask every question in each of its forms, those whose clip could be decoded."""
    queries: dict[int, list[Query]] = {}
    refused: dict[int, str] = {}
    for i, (forms, seen) in enumerate(zip(asked, looks, strict=True)):
        if seen.error is not None:
            continue
        try:
            queries[i] = [query(form, seen, style, perspective) for form in forms]
        except InputError as error:  # the prompt cannot be written
            refused[i] = reason(error)
    found = {}
    for i, answer in zip(queries, _answers(backend, list(queries.values()), ask), strict=True):
        if isinstance(answer, InputError):
            refused[i] = reason(answer)
        else:
            found[i] = answer
    return Answers(found, refused)


def _answers(
    backend: Backend, asked: Sequence[Sequence[Query]], ask: Callable[[Sequence[Query]], Sequence[T]]
) -> list[list[T] | InputError]:
    """The answers to each question's queries, or why it could not be asked.

    A backend that names the question is asked again without it; one that does not is asked question by question.
    """
    results: dict[int, list[T] | InputError] = {}
    while left := [i for i in range(len(asked)) if i not in results]:
        try:
            answers = answered(backend, [one for i in left for one in asked[i]], ask)
            results |= {i: list(islice(answers, len(asked[i]))) for i in left}
        except InputError as error:
            name = error.question_id if isinstance(error, QuestionError) else None
            bad = [i for i in left if asked[i][0].question.question_id == name]
            if bad or len(left) == 1:
                results |= dict.fromkeys(bad or left, error)
            else:
                results |= {i: _answers(backend, [asked[i]], ask)[0] for i in left}
    return [results[i] for i in range(len(asked))]


def answered(backend: Backend, queries: Sequence[Query], ask: Callable[[Sequence[Query]], Sequence[T]]) -> Iterator[T]:
    """What ``ask`` says to the queries, one answer each.

    Raises:
        LlavactionError: there are more or fewer.
    """
    answers = ask(queries) if queries else []
    if len(answers) != len(queries):
        raise LlavactionError(f"backend '{backend.name}' gave {len(answers)} answers to {len(queries)} questions")
    return iter(answers)
