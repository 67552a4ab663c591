"""Asking a backend: what it can do and is known by, a batch of which a bad question fails alone, the choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from llavaction.backends.asking_config import AskingConfig
from llavaction.backends.base import LETTERS_RULE, Backend, Capability, OptionScores, Query, QuestionError
from llavaction.base.errors import InputError, LlavactionError, reason
from llavaction.base.records import Strict
from llavaction.questions.asked import Asked
from llavaction.questions.option_orders import mean_over_orders, order_turns
from llavaction.questions.prompts import (
    OPEN_PROMPTS,
    Perspective,
    PromptStyle,
    caption_prompt,
    multiple_choice_prompt,
    with_caption,
)
from llavaction.runs.folder import Pace, RunFolder
from llavaction.video.decoded import DecodedClip, Library

T = TypeVar("T")
QueryOf = Callable[[Asked, DecodedClip | None], Query]

DECIMALS = 6
"""Of scores as records keep them."""
FLOOR = -1e6
"""Stands for a log-probability of minus infinity, which JSON cannot hold."""


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


def check_capability(backend: Backend, capability: Capability) -> None:
    """Refuse, before anything is decoded, to ask a backend for what it cannot do.

    Raises:
        InputError: it cannot.
    """
    if capability in backend.capabilities:
        return
    lacking, hint = {
        "score": ("say how likely options are", "eval reads what it writes with --decision generation"),
        "read": (
            "read a clip once for several stages",
            "take a Hugging Face checkpoint, or the stages 'specialist' and 'letters'",
        ),
        "generate": ("answer in words", "eval takes the likeliest option with --decision likelihood"),
    }[capability]
    raise InputError(f"backend '{backend.name}' does not {lacking}", hint=hint)


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
    settings = getattr(backend, "settings", None) or getattr(backend, "config", {})
    return settings.model_dump(mode="json") if isinstance(settings, Strict) else dict(settings)


def pace_of(config: AskingConfig, backend: Backend, library: Library | None, retry_failed: bool) -> Pace:
    """How a run goes through its clips; as :func:`frames_wanted`."""
    frames = frames_wanted(backend, config.frames, library)
    return Pace(library, frames, config.batch_size, config.workers, retry_failed)


def keep_in(home: RunFolder, backend: Backend) -> None:
    """Let a backend that keeps something of its own in a run's folder (``in_folder``) do so until the run ends.

    Raises:
        InputError: what it kept there before cannot be read.
    """
    in_folder = getattr(backend, "in_folder", None)
    if in_folder is not None:
        home.hold(in_folder(home.path))


def resolve(config: AskingConfig, backend: Backend, frames: int, **inputs: Any) -> dict[str, Any]:
    """The complete configuration: every key, and under ``resolved`` what follows from backend and inputs.

    What the backend says of itself (a model's fingerprint and precision, say) is recorded too; see :func:`free_keys`
    for what may change.
    """
    known = {
        "kind_of_backend": backend.name.partition(":")[0],
        "backend": backend.name,
        "backend_settings": backend_settings(backend),
        "decision_rule": config.decision_rule(backend),
        "frames": frames,
    }
    return {"schema_version": 1, **config.model_dump(mode="json"), "resolved": {**known, **inputs}}


def free_keys(backend: Backend, *known_by_content: str) -> tuple[str, ...]:
    """Keys of the complete configuration that may change between start and restart.

    Where a backend's contents are on record, names do not count: the folder of a model may be spelled in another way.
    Versions and the kind of device are listed in ``environment.json``. Older folders also name a ``pooling`` that no
    answer depends on.

    Args:
        backend: who is asked.
        known_by_content: keys of places whose contents are on record.
    """
    recorded = (f"resolved.backend_settings.{name}" for name in ("device", "torch", "transformers", "pooling"))
    names = ("backend", "backend_options", "resolved.backend") if "fingerprint" in backend_settings(backend) else ()
    return ("workers", *known_by_content, *names, *recorded)


def query(
    asked: Asked, clip: DecodedClip | None, style: PromptStyle, perspective: Perspective = "first_person"
) -> Query:
    """A question as a backend gets it.

    Raises:
        InputError: the prompt cannot be written.
    """
    length = None if clip is None else (clip.duration, len(clip.frames))
    prompt = multiple_choice_prompt(asked, style, perspective=perspective, seen=length)
    return Query(asked.query_id, with_caption(prompt, asked.caption, style), asked.options, clip)


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What came of the questions of a batch, by their places in it.

    Attributes:
        by_place: the answers.
        refused: why a question could not be asked, its clip could not be decoded included.
    """

    by_place: Mapping[int, T]
    refused: Mapping[int, str]


def option_scores(
    backend: Backend,
    batch: Sequence[Asked],
    clips: Sequence[DecodedClip | None],
    style: PromptStyle,
    perspective: Perspective = "first_person",
    orders: int = 1,
) -> Answers[OptionScores]:
    """Log-probability of each option, [options] in the order as stored, and the probability mass on the letters.

    Only questions whose clip could be decoded reach the backend. One that cannot be asked fails alone: the others are
    asked as if it were not there. So does one whose scores are not all numbers.

    Args:
        backend: who is asked.
        batch: the questions.
        clips: what is seen of each.
        style: of the prompt.
        perspective: of the published prompt.
        orders: cyclic orders of its options that each question is asked in, log-probabilities and masses averaged.

    Raises:
        LlavactionError: the backend does not keep to its protocol.
    """
    turns = [order_turns(len(asked.options), orders) for asked in batch]
    forms = [[asked.turned(turn) for turn in row] for asked, row in zip(batch, turns, strict=True)]
    answers = _ask_each(
        backend,
        forms,
        clips,
        lambda asked, clip: query(asked, clip, style, perspective),
        lambda queries: option_answers(backend, queries),
    )
    scores_of, refused = {}, dict(answers.refused)
    for i, order_scores in answers.by_place.items():
        masses = [score.letter_mass for score in order_scores if score.letter_mass is not None]
        mass = float(np.mean(masses)) if len(masses) == len(order_scores) else None
        scores = mean_over_orders([score.log_probabilities for score in order_scores], turns[i])
        if np.isnan(scores).any() or np.isposinf(scores).any():
            refused[i] = f"the backend's scores are not all numbers: {scores.tolist()}"
        else:
            scores_of[i] = OptionScores(scores, mass)
    return Answers(scores_of, refused)


def option_answers(backend: Backend, queries: Sequence[Query]) -> list[OptionScores]:
    """What a backend says of the options of each query.

    Raises:
        LlavactionError: there are not as many scores as options.
    """
    answers = backend.score_options(queries)
    for request, scores in zip(queries, answers, strict=False):  # their number is checked by :func:`answered`
        if scores.log_probabilities.shape != (len(request.options),):
            raise LlavactionError(
                f"the backend gave scores of shape {scores.log_probabilities.shape} for '{request.query_id}', "
                f"which has {len(request.options)} options"
            )
    return answers


def written_answers(
    backend: Backend,
    batch: Sequence[Asked],
    clips: Sequence[DecodedClip | None],
    style: PromptStyle,
    perspective: Perspective = "first_person",
) -> Answers[str]:
    """The text that the backend writes to each question; otherwise as :func:`option_scores`."""
    return _written(backend, batch, clips, lambda asked, clip: query(asked, clip, style, perspective))


def captioned_scores(
    backend: Backend,
    batch: Sequence[Asked],
    clips: Sequence[DecodedClip | None],
    style: PromptStyle,
    perspective: Perspective = "first_person",
    orders: int = 1,
) -> Answers[OptionScores]:
    """As :func:`option_scores`, behind a caption that the backend writes of each clip first; the scores hold it.

    Both turns see the same frames: a clip is decoded and sampled once. A question without a caption fails alone.
    """
    prompt = caption_prompt(style, perspective)
    captions = _written(backend, batch, clips, lambda asked, clip: Query(asked.query_id, prompt, (), clip))
    places = list(captions.by_place)
    captioned = [replace(batch[i], caption=captions.by_place[i].strip()) for i in places]
    answers = option_scores(backend, captioned, [clips[i] for i in places], style, perspective, orders)
    scores_of = {places[k]: replace(scores, caption=captioned[k].caption) for k, scores in answers.by_place.items()}
    return Answers(scores_of, {**captions.refused, **{places[k]: why for k, why in answers.refused.items()}})


def _written(
    backend: Backend, batch: Sequence[Asked], clips: Sequence[DecodedClip | None], query_of: QueryOf
) -> Answers[str]:
    answers = _ask_each(backend, [[asked] for asked in batch], clips, query_of, backend.generate)
    return Answers({i: texts[0] for i, texts in answers.by_place.items()}, answers.refused)


def _ask_each(
    backend: Backend,
    forms: Sequence[Sequence[Asked]],
    clips: Sequence[DecodedClip | None],
    query_of: QueryOf,
    ask: Callable[[Sequence[Query]], Sequence[T]],
) -> Answers[list[T]]:
    """Ask every question in each of its forms, those whose clip could be decoded."""
    queries: dict[int, list[Query]] = {}
    refused: dict[int, str] = {}
    for i, (question_forms, clip) in enumerate(zip(forms, clips, strict=True)):
        if clip is not None and clip.error is not None:
            refused[i] = clip.error
            continue
        try:
            queries[i] = [query_of(form, clip) for form in question_forms]
        except InputError as error:  # the prompt cannot be written
            refused[i] = reason(error)
    answer_of = {}
    for i, answer in zip(queries, _answers(backend, list(queries.values()), ask), strict=True):
        if isinstance(answer, InputError):
            refused[i] = reason(answer)
        else:
            answer_of[i] = answer
    return Answers(answer_of, refused)


def _answers(
    backend: Backend, queries: Sequence[Sequence[Query]], ask: Callable[[Sequence[Query]], Sequence[T]]
) -> list[list[T] | InputError]:
    """The answers to each question's queries, or why it could not be asked.

    A backend that names the question is asked again without it; one that does not is asked question by question.
    """
    results: dict[int, list[T] | InputError] = {}
    while left := [i for i in range(len(queries)) if i not in results]:
        try:
            answers = answered(backend, [request for i in left for request in queries[i]], ask)
            results |= {i: list(islice(answers, len(queries[i]))) for i in left}
        except InputError as error:
            name = error.question_id if isinstance(error, QuestionError) else None
            bad = [i for i in left if queries[i][0].query_id == name]
            if bad or len(left) == 1:
                results |= dict.fromkeys(bad or left, error)
            else:
                results |= {i: _answers(backend, [queries[i]], ask)[0] for i in left}
    return [results[i] for i in range(len(queries))]


def answered(backend: Backend, queries: Sequence[Query], ask: Callable[[Sequence[Query]], Sequence[T]]) -> Iterator[T]:
    """What ``ask`` says to the queries, one answer each.

    Raises:
        LlavactionError: there are more or fewer.
    """
    answers = ask(queries) if queries else []
    if len(answers) != len(queries):
        raise LlavactionError(f"backend '{backend.name}' gave {len(answers)} answers to {len(queries)} questions")
    return iter(answers)


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        scores: of each option, as a record keeps them: rounded, none below :data:`FLOOR`.
        place: of the chosen option.
        joined: float64 [options], what the choice was made by: the scores and what was added to them.
    """

    scores: tuple[float, ...]
    place: int
    joined: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """Probability of each option, float64 [options]; they add up to 1."""
        return np.asarray(np.exp(self.joined - np.logaddexp.reduce(self.joined)))

    @property
    def margin(self) -> float:
        """Score of the choice minus the next best, nats."""
        other_scores = [score for place, score in enumerate(self.scores) if place != self.place]
        return round(self.scores[self.place] - max(other_scores), DECIMALS)


def choose(scores: NDArray[np.float64], added: NDArray[np.float64] | None = None) -> Choice:
    """The option of the largest score; of several equal ones the first.

    Scores are rounded before the choice is made, so that the record alone tells it.

    Args:
        scores: log-probability of each option, [options]; minus infinity is a number here, others have to be finite.
        added: what else speaks for each option, [options].
    """
    rounded = tuple(round(float(score), DECIMALS) + 0.0 for score in np.maximum(scores, FLOOR))
    joined = np.array(rounded) if added is None else np.array(rounded) + added
    return Choice(rounded, int(joined.argmax()), joined)
