"""The conditions of a full audit: the same questions to the same backend, each time with something taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llavaction.backends.base import Backend
from llavaction.backends.blind import blind
from llavaction.base.errors import InputError
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.predictions import Prediction
from llavaction.evaluation.runner import run
from llavaction.questions.option_orders import order_turns
from llavaction.questions.schema import Benchmark, Question
from llavaction.video.alterations import AlteredLibrary
from llavaction.video.decoded import Library

AUDIT = "audit"
"""Folder of the conditions' runs in a run's folder."""
MOST_ORDERS = 10
"""Orders of the options that each question is asked in; where it has more options, they are evenly spread."""

TITLES = {
    "blind": "no clip",
    "middle": "one frame: the middle",
    "first": "one frame: the first",
    "last": "one frame: the last",
    "shuffled": "frames shuffled",
    "reversed": "frames reversed",
}
"""What each condition on the clip is called."""


@dataclass(frozen=True)
class Condition:
    """One way of asking all questions again.

    Attributes:
        name: of its folder.
        config: as the run's, but for the number of frames.
        questions: what is asked.
        backend: who is asked.
        library: where clips come from.
    """

    name: str
    config: RunConfig
    questions: Sequence[Question]
    backend: Backend
    library: Library | None

    def run(self, benchmark: Benchmark, folder: Path, retry_failed: bool) -> Sequence[Prediction]:
        """Ask, or go on asking; the predictions in the order of the questions.

        Raises:
            InputError: as :func:`llavaction.evaluation.runner.run`.
        """
        asked = replace(benchmark, questions=self.questions)
        home = folder / AUDIT / self.name
        return run(self.config, asked, self.backend, self.library, home, retry_failed=retry_failed).predictions


def of_clips(
    config: RunConfig, questions: Sequence[Question], backend: Backend, library: Library | None, frames: int
) -> tuple[list[Condition], dict[str, str]]:
    """The conditions on what is seen, and why others are left out.

    Args:
        config: of the ordinary run.
        questions: that it asked.
        backend: who was asked.
        library: where clips came from.
        frames: how many of each.
    """
    if not frames or library is None:
        return [], dict.fromkeys(TITLES, "the backend does not look at clips")
    left_out: dict[str, str] = {}
    conditions = []
    try:
        conditions.append(Condition("blind", config, questions, blind(backend), None))
    except InputError as error:
        left_out["blind"] = error.problem
    if frames == 1:
        return conditions, left_out | {name: "clips have one frame" for name in TITLES if name != "blind"}
    one = config.model_copy(update={"frames": 1})
    conditions.append(Condition("middle", one, questions, backend, library))
    for name in ("first", "last", "shuffled", "reversed"):
        shown = AlteredLibrary(library, name, config.seed)
        conditions.append(Condition(name, config, questions, backend, shown))
    return conditions, left_out


def of_orders(
    config: RunConfig, questions: Sequence[Question], backend: Backend, library: Library | None
) -> list[Condition]:
    """The other cyclic orders of the options; a question with few options is asked in no order twice."""
    conditions = []
    for order in range(1, min(MOST_ORDERS, max(len(question.options) for question in questions))):
        turned = [turned_question(question, order) for question in questions if order < orders_of(question)]
        conditions.append(Condition(f"order-{order}", config, turned, backend, library))
    return conditions


def orders_of(question: Question) -> int:
    """In how many orders a question is asked, the stored one included."""
    return min(MOST_ORDERS, len(question.options))


def turn_of(question: Question, order: int) -> int:
    """How many of a question's first options are put last in an order."""
    return order_turns(len(question.options), orders_of(question))[order]


def turned_question(question: Question, order: int) -> Question:
    """A question with its options in another order; the answer is the same."""
    turn = turn_of(question, order)
    options = question.options[turn:] + question.options[:turn]
    answer = None if question.answer is None else (question.answer - turn) % len(options)
    return question.model_copy(update={"options": options, "answer": answer})
