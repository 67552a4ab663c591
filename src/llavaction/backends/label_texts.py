"""Label texts: what a model would write as an answer, as tokens, and how their log-likelihoods are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llavaction.backends.base import Query
from llavaction.backends.chat import Chat
from llavaction.backends.families import Prepared
from llavaction.backends.prefix import PrefixScorer
from llavaction.base.errors import InputError

Normalisation = Literal["raw", "length", "prior"]
"""``raw``: log-likelihood; ``length``: divided by the tokens, the closing one counted; ``prior``: minus the same text's
log-likelihood behind the same prompt without the video."""

RULES: dict[str, str] = {
    "raw": "label texts, raw",
    "length": "label texts, length-normalised",
    "prior": "label texts, prior-corrected",
}
"""Each normalisation as predictions name it."""

_PROBE = "what is asked"
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
        self._tokenizer = chat.tokenizer
        stops = [stop] if isinstance(stop, int) else list(stop or ())
        own = self._tokenizer.eos_token_id
        end = own if own is not None else next(iter(stops), None)
        if end is None:
            raise InputError(
                "neither its tokenizer nor its generation settings name the token that ends an answer",
                hint="set eos_token in tokenizer_config.json; or ask for rule=letters",
            )
        self._end = int(end)
        self._special = frozenset(self._tokenizer.all_special_ids)
        opening = chat.render(_PROBE).rpartition(_PROBE)[2]
        fresh = opening[-1:].isspace() or any(opening.endswith(token) for token in self._tokenizer.all_special_tokens)
        self._opening, self._blank = opening, "" if fresh else " "
        self.tokens = lru_cache(maxsize=4)(self._tokens)  # a label set is asked about every clip

    def _tokens(self, texts: tuple[str, ...]) -> list[tuple[int, ...]]:
        """Token ids of each text behind the opened turn, the closing token last.

        Raises:
            InputError: a text is empty or contains a special token.
        """
        before = self._ids([self._opening])[0]
        written = []
        for text, joined in zip(texts, self._ids([self._opening + self._blank + text for text in texts]), strict=True):
            apart = joined[: len(before)] == before  # else the text has merged with what precedes it
            ids = joined[len(before) :] if apart else self._ids([text])[0]
            if not ids:
                raise InputError("an empty text cannot be scored", hint="give every label a text")
            if found := self._special.intersection(ids):
                token = self._tokenizer.convert_ids_to_tokens(min(found))
                raise InputError(f"the text {text!r} contains '{token}', which has a meaning of its own for this model")
            written.append((*ids, self._end))
        return written

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [list(ids) for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []


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
        without_video: Callable[[str], Prepared],
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
        prepared: Sequence[Prepared],
        texts: Sequence[tuple[str, ...]],
        units: Sequence[Sequence[int]],
    ) -> list[NDArray[np.float64]]:
        """Normalised log-likelihood of each query's texts.

        Args:
            queries, prepared: what is asked, in words and as laid out.
            texts: the possible answers to each.
            units: which queries begin with the same video and are read behind one prefix, by index.

        Raises:
            InputError: a text is empty, contains a special token, or does not fit behind its prompt.
        """
        answers = [self._label_texts.tokens(own) for own in texts]
        for query, prompt, own, tokens in zip(queries, prepared, texts, answers, strict=True):
            self._check_room(query, prompt, own, tokens)
        scores: list[NDArray[np.float64]] = [np.empty(0)] * len(queries)
        for unit in units:
            found = self._behind.score([prepared[index] for index in unit], [answers[index] for index in unit])
            for index, raw in zip(unit, found, strict=True):
                scores[index] = self._normalised(raw, queries[index].prompt, texts[index], answers[index])
        return scores

    def _normalised(
        self, raw: NDArray[np.float64], prompt: str, texts: tuple[str, ...], answers: Sequence[tuple[int, ...]]
    ) -> NDArray[np.float64]:
        if self._normalisation == "length":
            return raw / np.array([len(tokens) for tokens in answers], np.float64)
        if self._normalisation == "prior":
            return raw - self._prior(prompt, texts, answers)
        return raw

    def _prior(self, prompt: str, texts: tuple[str, ...], answers: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        """The texts' log-likelihoods behind the prompt without the video, computed once."""
        key = (prompt, texts)
        if key not in self._priors:
            if len(self._priors) == _PRIORS:
                self._priors.pop(next(iter(self._priors)))
            self._priors[key] = self._behind.score([self._without_video(prompt)], [answers])[0]
        return self._priors[key]

    def _check_room(
        self, query: Query, prompt: Prepared, texts: Sequence[str], answers: Sequence[tuple[int, ...]]
    ) -> None:
        longest = max(map(len, answers), default=0)
        if self._context is not None and len(prompt.ids) + longest > self._context:
            text = texts[next(index for index, tokens in enumerate(answers) if len(tokens) == longest)]
            raise InputError(
                f"question '{query.question.question_id}': the text {text!r:.60} takes {longest} tokens and the prompt "
                f"{len(prompt.ids)} ({prompt.visual} of them visual), the model's context holds {self._context}",
                hint="take fewer frames or shorter texts",
            )
