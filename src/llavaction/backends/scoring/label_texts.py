"""Label texts: what a model would write as an answer, as tokens, and how their log-likelihoods are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from llavaction.backends.base import Query, QuestionError
from llavaction.backends.huggingface_config import Normalisation
from llavaction.backends.scoring.prefix import PrefixScorer
from llavaction.base.errors import InputError
from llavaction.models.families.base import ModelInputs
from llavaction.models.families.chat import Chat
from llavaction.models.user_text import Part

RULES: dict[str, str] = {
    "raw": "label texts, raw",
    "length": "label texts, length-normalised",
    "prior": "label texts, prior-corrected",
}
"""Each normalisation as predictions name it."""

_PRIORS = 64
"""Label sets whose log-likelihoods without video are kept, the latest ones."""


class LabelTexts:
    """Writes texts as complete answers: the tokens of the text and the one that ends the turn.

    Without the closing token every text would be at least as likely as any it begins: "put" always before "put down".

    Args:
        chat: the chat format; a text follows the opened turn as an option letter would, see ``Chat.letter_tokens``.
        stop: the token at which generation stops, where the tokenizer names none.

    Raises:
        InputError: neither names a token that ends a turn.
    """

    def __init__(self, chat: Chat, stop: int | Sequence[int] | None = None) -> None:
        self._encoder = chat.encoder
        stops = [stop] if isinstance(stop, int) else list(stop or ())
        eos = chat.tokenizer.eos_token_id
        end = eos if eos is not None else next(iter(stops), None)
        if end is None:
            raise InputError(
                "neither its tokenizer nor its generation settings name the token that ends an answer",
                hint="set eos_token in tokenizer_config.json; or ask for rule=letters",
            )
        self._end = int(end)
        self._opening, self._blank = chat.opening, chat.blank
        self.tokens = lru_cache(maxsize=4)(self._tokens)  # a label set is asked about every clip

    def _tokens(self, texts: tuple[str, ...]) -> list[tuple[int, ...]]:
        """Token ids of each text behind the opened turn, the closing token last; special tokens in it are spelled out.

        Raises:
            InputError: a text is empty.
        """
        before = self._encoder.ids([Part(self._opening)])
        token_rows = []
        rows = self._encoder.many([[Part(self._opening + self._blank), Part(text, of_user=True)] for text in texts])
        for text, joined in zip(texts, rows, strict=True):
            apart = joined[: len(before)] == before  # else the text has merged with what precedes it
            ids = joined[len(before) :] if apart else self._encoder.ids([Part(text, of_user=True)])
            if not text.strip() or not ids:
                raise InputError(f"the text {text!r} is empty and cannot be scored", hint="give every label a text")
            token_rows.append((*ids, self._end))
        return token_rows


class TextScorer:
    """Scores texts as answers to prompts.

    Args:
        label_texts: writes them as tokens.
        behind: scores tokens behind prompts.
        without_video: lays out a prompt without its video, for the prior.
        context: longest sequence the model accepts in tokens; None if any.
        normalisation: see :data:`Normalisation`.
    """

    def __init__(
        self,
        label_texts: LabelTexts,
        behind: PrefixScorer,
        without_video: Callable[[str], ModelInputs],
        *,
        context: int | None,
        normalisation: Normalisation,
    ) -> None:
        self._label_texts, self._behind, self._without_video = label_texts, behind, without_video
        self._context, self._normalisation = context, normalisation
        self._priors: dict[tuple[str, tuple[str, ...]], NDArray[np.float64]] = {}

    def score(
        self,
        queries: Sequence[Query],
        prepared: Sequence[ModelInputs],
        texts: Sequence[tuple[str, ...]],
        units: Sequence[Sequence[int]],
    ) -> list[NDArray[np.float64]]:
        """Normalised log-likelihood of each query's texts.

        Args:
            queries, prepared: what is asked, in words and as laid out.
            texts: the possible answers to each.
            units: which queries begin with the same video and are read behind one prefix, by index.

        Raises:
            QuestionError: a text is empty, or does not fit behind its prompt.
        """
        answers = [
            self.tokens(query, own, len(prompt.ids), prompt.visual)
            for query, prompt, own in zip(queries, prepared, texts, strict=True)
        ]
        scores: list[NDArray[np.float64]] = [np.empty(0)] * len(queries)
        for unit in units:
            unit_scores = self._behind.score([prepared[index] for index in unit], [answers[index] for index in unit])
            for index, raw in zip(unit, unit_scores, strict=True):
                scores[index] = self._normalised(raw, queries[index].prompt, texts[index], answers[index])
        return scores

    def tokens(self, query: Query, texts: tuple[str, ...], length: int, visual: int) -> list[tuple[int, ...]]:
        """Each text as tokens, the closing one last.

        Raises:
            QuestionError: a text is empty, or the longest does not fit behind a prompt of ``length`` tokens, of which
                ``visual`` are of the clip.
        """
        try:
            answers = self._label_texts.tokens(texts)
        except InputError as error:
            raise QuestionError.about(query.query_id, error) from error
        longest = max(map(len, answers), default=0)
        if self._context is not None and length + longest > self._context:
            text = texts[next(index for index, tokens in enumerate(answers) if len(tokens) == longest)]
            raise QuestionError(
                f"question '{query.query_id}': the text {text!r:.60} takes {longest} tokens and the prompt "
                f"{length} ({visual} of them visual), the model's context holds {self._context}",
                question_id=query.query_id,
                hint="take fewer frames or shorter texts",
            )
        return answers

    def _normalised(
        self, raw: NDArray[np.float64], prompt: str, texts: tuple[str, ...], answers: Sequence[tuple[int, ...]]
    ) -> NDArray[np.float64]:
        if self._normalisation == "length":
            return raw / np.array([len(tokens) for tokens in answers], np.float64)
        if self._normalisation == "prior":
            return raw - self.prior(prompt, texts)
        return raw

    def prior(self, prompt: str, texts: tuple[str, ...]) -> NDArray[np.float64]:
        """The texts' log-likelihoods behind the prompt without the video, computed once, float64 [texts]."""
        key = (prompt, texts)
        if key not in self._priors:
            if len(self._priors) == _PRIORS:
                self._priors.pop(next(iter(self._priors)))
            answers = self._label_texts.tokens(texts)
            self._priors[key] = self._behind.score([self._without_video(prompt)], [answers])[0]
        return self._priors[key]
