"""The protocol every backend speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.video.decoded import DecodedClip

LETTERS_RULE = "option letters"
"""The decision rule of backends that score the letters of listed options."""

Capability = Literal["score", "generate", "read"]
"""``score``: it says how likely each option is. ``generate``: it answers in words. ``read``: it reads a clip once and
is then asked several things about it, see :class:`Reads`."""

CAPABILITIES: frozenset[Capability] = frozenset({"score", "generate"})
"""Of a backend that answers in either way; one that reads has one more."""


class QuestionError(InputError):
    """One question that cannot be asked; the others of the call can be.

    Args:
        problem, place: as for :class:`InputError`.
        question_id: the question.
    """

    def __init__(self, problem: str, *, question_id: str = "", **place: Any) -> None:
        super().__init__(problem, **place)
        self.question_id = question_id

    @classmethod
    def about(cls, question_id: str, error: InputError) -> QuestionError:
        """An error as that of a question, which it then names."""
        problem = f"question '{question_id}': {error.problem}"
        return cls(problem, question_id=question_id, file=error.file, line=error.line, hint=error.hint)


@dataclass(frozen=True)
class OptionScores:
    """What a backend says of one question's options.

    Attributes:
        log_probabilities: of each option, [number of options]; larger is better.
        letter_mass: the probability, among all tokens, that the answer begins with one of the question's option letters
            at all; None where it is not known. Small values tell that the answer does not begin where it is read.
        caption: what it had written of the clip before; None where it was not asked to.
    """

    log_probabilities: NDArray[np.float64]
    letter_mass: float | None = None
    caption: str | None = None


@dataclass(frozen=True)
class HeadScores:
    """What a model's action heads say of a clip, each a log-probability over its classes.

    Attributes:
        verb: float64 [verbs].
        noun: float64 [nouns].
        action: float64 [actions].
    """

    verb: NDArray[np.float64]
    noun: NDArray[np.float64]
    action: NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """One question as a backend gets it; nothing in it tells the right answer.

    Attributes:
        query_id: what the answer is filed under.
        prompt: the complete user text, options included.
        options: texts to choose among; none where the answer is to be in free words.
        clip: what is seen; None for backends that do not look.
    """

    query_id: str
    prompt: str
    options: tuple[str, ...] = ()
    clip: DecodedClip | None = None


@runtime_checkable
class Backend(Protocol):
    """A way of asking a model.

    A question that cannot be asked is said by a :class:`QuestionError`: it fails, and the rest of the call is asked
    again without it. A backend may have one more method, ``check_frames(count)``, which raises an InputError where so
    many frames a clip can never be looked at; it is called before anything is decoded. It may also have ``at_once``, a
    number of questions that it wants per call where a batch has fewer; ``in_folder(path)``, a context manager in which
    it keeps something of its own in a run's folder; and ``free_keys``, settings of a run that decide no answer.

    Further attributes that a backend may have: ``fingerprint`` (text, or None), all that its answers hang on beside the
    query, so that they can be kept, see :mod:`llavaction.backends.cached`; ``joint`` (bool), whether what is asked in
    one call moves the answers; ``without_clips()``, the same backend that does not look, see
    :mod:`llavaction.backends.blind`.

    Attributes:
        name: what the result is filed under.
        needs_frames: frames per clip it wants decoded; 0 if it does not look.
        decision_rule: how ``score_options`` scores, named in every prediction ("option letters", "label texts, ...").
        capabilities: what it can be asked for, see :data:`Capability`; of "read", :class:`Reads` has the method.
    """

    name: str
    needs_frames: int
    decision_rule: str
    capabilities: frozenset[Capability]

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        """How likely each option of each query is.

        Queries with the same id and the same frames are one question with its options in several orders; a backend may
        read their video once.
        """

    def generate(self, queries: Sequence[Query]) -> list[str]:
        """The model's free text for each query."""


class TextScores(Protocol):
    """Log-likelihoods of texts as whole answers, in nats, each float64 [texts].

    Attributes:
        raw: sums over the tokens of each text, the one that ends the turn included.
        per_token: divided by how many that are.
        prior_corrected: minus the same text's behind the same prompt without the clip.
    """

    raw: NDArray[np.float64]

    @property
    def per_token(self) -> NDArray[np.float64]:
        """See above."""

    @property
    def prior_corrected(self) -> NDArray[np.float64]:
        """See above."""


class Reading(Protocol):
    """A clip that was read once.

    Attributes:
        heads: what the action heads say; None for a model without them.
    """

    heads: HeadScores | None

    def letters(self, queries: Sequence[Query]) -> list[OptionScores]:
        """How likely the letter of each option of each query is; all are about the clip."""

    def texts(self, query: Query, texts: Sequence[str]) -> TextScores:
        """How likely each text is as the whole answer to a query about the clip."""


@runtime_checkable
class Reads(Protocol):
    """A backend of capability ``read``.

    Attributes:
        head_sizes: classes of its verb, noun and action head; None for a model without heads, or one that does not
            look.
    """

    head_sizes: tuple[int, int, int] | None

    def read(self, query: Query) -> Reading:
        """Read the clip of a query, once for all that is asked about it.

        Raises:
            QuestionError: the clip is missing or malformed, or does not fit the model.
        """
