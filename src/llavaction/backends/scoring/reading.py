"""A clip that a model has read once, and all that is asked about it: heads, letters, label texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from llavaction.backends.base import HeadScores, OptionScores, Query, QuestionError
from llavaction.backends.scoring.label_texts import TextScorer
from llavaction.backends.scoring.prefix import Prefix, PrefixScorer, beginning
from llavaction.models.families.base import ModelInputs


class ClipReading:
    """What a model keeps of a clip, up to and with its action tokens; see :class:`llavaction.backends.base.Reading`.

    Args:
        opening: a prompt about the clip, laid out.
        length: how many of its tokens are read once: those up to the last that belongs to the clip.
        behind: scores what may follow.
        lay_out: lays out a further prompt about the same clip.
        letters: the tokens between the opened turn and a letter, and those of the letters.
        text_scorer: scores texts as answers.
        read_heads: what the action heads say of a prefix; None for a model without them.
    """

    def __init__(
        self,
        opening: ModelInputs,
        length: int,
        behind: PrefixScorer,
        lay_out: Callable[[Query], ModelInputs],
        letters: tuple[tuple[int, ...], Sequence[int]],
        text_scorer: TextScorer,
        read_heads: Callable[[Prefix], HeadScores] | None,
    ) -> None:
        self._behind, self._lay_out, self._letters, self._texts = behind, lay_out, letters, text_scorer
        self._ids, self._visual = opening.ids[:length], opening.visual
        self._prefix = behind.read(beginning(opening, length))
        self.heads = None if read_heads is None else read_heads(self._prefix)

    def letters(self, queries: Sequence[Query]) -> list[OptionScores]:
        """How likely the letter of each option is; the queries are branches behind what was read.

        Raises:
            QuestionError: a query is about another clip, does not fit the model, or has more options than letters.
        """
        lead, ids = self._letters
        for query in queries:
            if len(query.options) > len(ids):
                raise QuestionError(
                    f"question '{query.query_id}' has {len(query.options)} options, but there are {len(ids)} letters",
                    question_id=query.query_id,
                    hint="score them as texts",
                )
        rests = [(*self._rest(query), *lead) for query in queries]
        endings = [[(letter,) for letter in ids[: len(query.options)]] for query in queries]
        scores = []
        for values in self._behind.score_behind(self._prefix, rests, endings):
            mass = np.logaddexp.reduce(values)
            scores.append(OptionScores(values - mass, float(np.exp(mass))))
        return scores

    def texts(self, query: Query, texts: Sequence[str]) -> TextLikelihoods:
        """Log-likelihood of each text as the whole answer to a query.

        Raises:
            QuestionError: as :meth:`letters`; or a text is empty.
        """
        rest, written = self._rest(query), tuple(texts)
        answers = self._texts.tokens(query, written, len(self._ids) + len(rest), self._visual)
        (raw,) = self._behind.score_behind(self._prefix, [rest], [answers])
        lengths = np.array([len(answer) for answer in answers])
        return TextLikelihoods(raw, lengths, lambda: self._texts.prior(query.prompt, written))

    def _rest(self, query: Query) -> tuple[int, ...]:
        ids = self._lay_out(query).ids
        if ids[: len(self._ids)] != self._ids:
            raise QuestionError(
                f"question '{query.query_id}' does not begin with the clip that was read", question_id=query.query_id
            )
        return ids[len(self._ids) :]


class TextLikelihoods:
    """Log-likelihoods of texts as whole answers; see :class:`llavaction.backends.base.TextScores`.

    Args:
        raw: float64 [texts], in nats.
        lengths: int64 [texts], tokens of each text, the one that ends the turn included.
        prior: computes the same without the clip.
    """

    def __init__(
        self, raw: NDArray[np.float64], lengths: NDArray[np.int64], prior: Callable[[], NDArray[np.float64]]
    ) -> None:
        self.raw, self._lengths, self._prior = raw, lengths, prior

    @property
    def per_token(self) -> NDArray[np.float64]:
        """See the protocol."""
        return np.asarray(self.raw / self._lengths)

    @property
    def prior_corrected(self) -> NDArray[np.float64]:
        """See the protocol."""
        return self.raw - self._prior()
