"""Baselines: backends that do not look. They show what a score is worth.

A query tells only what is asked: what a baseline knows beyond it, it is given when it is made, by question id.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.vocabulary import Action
from llavaction.backends.base import CAPABILITIES, OptionScores, Query, QuestionError
from llavaction.base.errors import InputError
from llavaction.base.records import to_line
from llavaction.base.seeding import hashed_rng
from llavaction.questions.asked import lettered
from llavaction.questions.keys import OptionClasses, RightAnswers
from llavaction.specialists.predictions import Expected, SpecialistPrediction, load_predictions
from llavaction.specialists.rankings import log_scores

_TIE = 1e-9
"""Size of the draw, fixed by question id, that decides between options of equal score (else the first would win)."""


class Baseline(ABC):
    """What the baselines share: no frames, and text made from the best option.

    Attributes:
        name: what the result is filed under.
        needs_frames: 0, they do not look.
        decision_rule: where the scores come from.
    """

    name: str
    decision_rule: str
    needs_frames = 0
    capabilities = CAPABILITIES

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the answers, for the record."""
        return {}

    @abstractmethod
    def weights(self, query: Query) -> NDArray[np.float64]:
        """Unnormalised log-weight of each option."""

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        """How likely each option of each query is; equal ones are told apart by the question's id.

        Raises:
            InputError: a query has no options.
        """
        return [OptionScores(self._scores(query)) for query in queries]

    def _scores(self, query: Query) -> NDArray[np.float64]:
        if not query.options:
            raise InputError(f"question '{query.query_id}' has no options", hint="give --options")
        tie = _TIE * hashed_rng("tie", query.query_id).random(len(query.options))
        weights = self.weights(query) + tie
        weights -= weights.max()
        return np.asarray(weights - math.log(np.exp(weights).sum()), dtype=np.float64)

    def generate(self, queries: Sequence[Query]) -> list[str]:
        """The best option as "B. wash plate".

        Raises:
            QuestionError: there are no options.
        """
        return [self._written(query) for query in queries]

    def _written(self, query: Query) -> str:
        if not query.options:
            raise QuestionError(
                f"'{self.name}' chooses among options, and question '{query.query_id}' has none",
                question_id=query.query_id,
            )
        return lettered(query.options)[int(self._scores(query).argmax())]


class ChanceBackend(Baseline):
    """Guesses: every option is equally likely to be chosen; the guess depends on the question's id and the seed.

    Args:
        seed: another seed guesses anew.
    """

    name = "chance"
    decision_rule = "random guess"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    @classmethod
    def from_spec(cls, argument: str | None, **options: Any) -> ChanceBackend:
        """For ``chance`` or ``chance:SEED``."""
        if argument is None:
            return cls(**options)
        if not argument.lstrip("-").isdigit():
            raise InputError(f"'{argument}' is not a seed", hint="write chance or chance:1")
        return cls(seed=int(argument), **options)

    @property
    def settings(self) -> dict[str, Any]:
        """See :attr:`Baseline.settings`."""
        return {"seed": self._seed}

    def weights(self, query: Query) -> NDArray[np.float64]:
        """Independent uniform draws in (0, 1]: the largest is any option's with equal probability."""
        draws = hashed_rng("chance", self._seed, query.query_id).random(len(query.options))
        return np.asarray(np.log(1.0 - draws))


class PriorBackend(Baseline):
    """Takes the option whose action class is the most frequent one in training, whatever the clip shows.

    Args:
        counts: (verb class, noun class) to number of training segments.
        classes: those of the options.
        smoothing: added to every count, so that an unseen class keeps a little probability.

    Raises:
        InputError: a count is negative, there are no counts, or the smoothing is not positive.
    """

    name = "prior"
    decision_rule = "class prior"

    def __init__(self, counts: Mapping[Action, int], classes: OptionClasses, smoothing: float = 0.5) -> None:
        if not counts or min(counts.values()) < 0:
            raise InputError("the prior needs the number of training segments of each action class, none negative")
        if not isinstance(smoothing, int | float) or smoothing <= 0:
            raise InputError(f"smoothing must be positive, got {smoothing!r}")
        self._counts, self._classes, self._smoothing = dict(counts), classes, smoothing

    @classmethod
    def from_spec(cls, argument: str | None, **options: Any) -> PriorBackend:
        """For ``prior``; the caller gives ``counts`` and ``classes``."""
        _no_argument("prior", argument)
        if "counts" not in options:
            raise InputError(
                "the prior backend needs the action counts of a training split", hint="annotations with a train file"
            )
        _needs("prior", "the action classes of the options", "classes", options)
        return cls(**options)

    @property
    def settings(self) -> dict[str, Any]:
        """See :attr:`Baseline.settings`."""
        segments = sum(self._counts.values())
        counts = hashlib.sha256(repr(sorted(self._counts.items())).encode()).hexdigest()
        facts = {"smoothing": self._smoothing, "classes": len(self._counts), "training segments": segments}
        return {**facts, "counts_sha256": counts}

    def weights(self, query: Query) -> NDArray[np.float64]:
        """Log of the smoothed counts; an option without classes counts as unseen.

        Raises:
            InputError: no option of the question has classes.
        """
        actions = _actions(query, self._classes, self.name)
        counts = [self._counts.get(action, 0) if action else 0 for action in actions]
        return np.asarray(np.log(np.array(counts, dtype=np.float64) + self._smoothing))


class SpecialistBackend(Baseline):
    """Takes the option that a specialist classifier ranks best.

    An option it does not list is placed below its last one.

    Args:
        predictions: question id (the segment's id in benchmarks built here) to prediction.
        classes: those of the options.
        name: what the result is filed under.
        sha256: of the predictions as read, for the record: what a file means may depend on the annotations.
    """

    decision_rule = "specialist scores"

    def __init__(
        self,
        predictions: Mapping[str, SpecialistPrediction],
        classes: OptionClasses,
        name: str = "specialist",
        sha256: str | None = None,
    ) -> None:
        self._predictions, self._classes, self.name, self._sha256 = predictions, classes, name, sha256

    @classmethod
    def from_spec(
        cls,
        argument: str | None,
        *,
        segment_ids: Sequence[str] = (),
        actions: Sequence[Action] = (),
        expected: Expected | None = None,
        **options: Any,
    ) -> SpecialistBackend:
        """For ``specialist:FILE``; the caller gives ``classes``, see ``load_predictions`` for the other arguments."""
        _needs("specialist", "the action classes of the options", "classes", options)
        if "predictions" in options:
            _no_argument("specialist with predictions", argument)
            return cls(**options)
        if not argument:
            raise InputError("which predictions file?", hint="write specialist:FILE")
        predictions = load_predictions(argument, segment_ids, actions, expected=expected)
        content = hashlib.sha256("".join(to_line(item, ("clip",)) for item in predictions.values()).encode())
        return cls(predictions, sha256=content.hexdigest(), **options)

    @property
    def settings(self) -> dict[str, Any]:
        """See :attr:`Baseline.settings`."""
        identity = {"fingerprint": {"specialist's predictions": self._sha256}} if self._sha256 else {}
        return {"predictions": len(self._predictions), **identity}

    def weights(self, query: Query) -> NDArray[np.float64]:
        """The specialist's log-scores.

        Raises:
            InputError: there is no prediction for the question, or no option of it has classes.
        """
        actions = _actions(query, self._classes, self.name)
        prediction = self._predictions.get(query.query_id)
        if prediction is None:
            raise InputError(
                f"no specialist prediction for question '{query.query_id}' "
                f"(there are {len(self._predictions)} predictions)",
                hint="predictions are found by question id, which is the segment's id in benchmarks built here",
            )
        scores = log_scores(prediction)
        listed = dict(zip(prediction.actions, scores.tolist(), strict=True))
        unlisted = float(scores.min()) - 1.0
        return np.array([listed.get(action, unlisted) if action else unlisted for action in actions])


class OracleBackend(Baseline):
    """Knows the answers: the upper bound, and, with an error rate, a model whose accuracy is known in advance.

    Where the right answer is not known or none of the options, it takes the first.

    Args:
        answers: the right ones.
        error_rate: probability of a wrong choice, decided by question id; the wrong option is drawn uniformly.
        seed: another seed errs on other questions.

    Raises:
        InputError: the rate is not between 0 and 1.
    """

    name = "oracle"
    decision_rule = "known answer"

    def __init__(self, answers: RightAnswers, error_rate: float = 0.0, seed: int = 0) -> None:
        if not 0 <= error_rate <= 1:
            raise InputError(f"the oracle's error rate must be between 0 and 1, got {error_rate}")
        self._answers, self._error_rate, self._seed = answers, error_rate, seed

    @classmethod
    def from_spec(cls, argument: str | None, **options: Any) -> OracleBackend:
        """For ``oracle`` or ``oracle:ERROR_RATE``; the caller gives ``answers``."""
        _needs("oracle", "the right answers", "answers", options)
        if argument is None:
            return cls(**options)
        try:
            rate = float(argument)
        except ValueError:
            raise InputError(f"'{argument}' is not an error rate", hint="write oracle or oracle:0.2") from None
        return cls(error_rate=rate, **options)

    @property
    def settings(self) -> dict[str, Any]:
        """See :attr:`Baseline.settings`."""
        return {"error_rate": self._error_rate, "seed": self._seed}

    def _written(self, query: Query) -> str:
        """The right answer itself where there are no options; nothing where it errs or does not know."""
        if query.options:
            return super()._written(query)
        errs = hashed_rng("oracle", self._seed, query.query_id).random() < self._error_rate
        return "" if errs else self._answers.get(query.query_id, "")

    def weights(self, query: Query) -> NDArray[np.float64]:
        """The chosen option has probability 0.9, the others share the rest."""
        rng = hashed_rng("oracle", self._seed, query.query_id)
        answer, count = self._answers.get(query.query_id), len(query.options)
        choice = query.options.index(answer) if answer in query.options else 0
        if rng.random() < self._error_rate:
            choice = (choice + int(rng.integers(1, count))) % count
        weights = np.full(count, math.log(0.1 / (count - 1)))
        weights[choice] = math.log(0.9)
        return weights


def _actions(query: Query, classes: OptionClasses, name: str) -> list[Action | None]:
    """The action class of each option, None for one without."""
    action_of = classes.get(query.query_id, {})
    actions = [action_of.get(text) for text in query.options]
    if all(action is None for action in actions):
        raise InputError(
            f"the options of question '{query.query_id}' have no action classes, which the '{name}' backend needs"
        )
    return actions


def _needs(name: str, needed: str, key: str, options: Mapping[str, Any]) -> None:
    if key not in options:
        raise InputError(f"the {name} backend needs {needed}", hint="eval and recognise give them")


def _no_argument(name: str, argument: str | None) -> None:
    if argument is not None:
        raise InputError(f"the {name} backend takes nothing after a colon, got '{argument}'")
