"""The protocol every backend speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.questions.schema import OpenQuestion, Question


@dataclass(frozen=True)
class Query:
    """One question as a backend gets it.

    Attributes:
        question: the question record; its ``answer`` is for the oracle alone.
        prompt: the complete user text, options included.
        frames: uint8 [frames, height, width, 3] RGB, or None for backends that do not look.
        times: float64 [frames], seconds from the clip's start at which the frames were taken; None stands for the
            centres of equal parts of the clip.
    """

    question: Question | OpenQuestion
    prompt: str
    frames: NDArray[np.uint8] | None = None
    times: NDArray[np.float64] | None = None

    @property
    def choice(self) -> Question:
        """The question, if it has options to choose from.

        Raises:
            InputError: it is an open one.
        """
        if isinstance(self.question, OpenQuestion):
            raise InputError(f"question '{self.question.question_id}' has no options", hint="give --options")
        return self.question


@runtime_checkable
class Backend(Protocol):
    """A way of asking a model.

    Attributes:
        name: what the result is filed under.
        needs_frames: frames per clip it wants decoded; 0 if it does not look.
        decision_rule: how ``score_options`` scores, named in every prediction ("option letters", "label texts, ...").
    """

    name: str
    needs_frames: int
    decision_rule: str

    def score_options(self, queries: Sequence[Query]) -> list[NDArray[np.float64]]:
        """Log-probability of each option, one array of [number of options] per query; larger is better.

        Queries with the same question id and the same frames are one question with its options in several orders; a
        backend may read their video once.
        """
        ...

    def generate(self, queries: Sequence[Query]) -> list[str]:
        """The model's free text for each query."""
        ...

    def encode(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """One vector per query, [queries, hidden size]."""
        ...
