"""How likely each option letter is, by what servers tell of the first token of an answer."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from llavaction.backends.base import OptionScores, Query, QuestionError
from llavaction.backends.endpoint.config import EndpointConfig
from llavaction.backends.endpoint.requests import Request, Unreadable, chat_request, digest_of
from llavaction.questions.asked import LETTERS

_AT_ONCE = 19
"""Letters per request of ``vllm``: a server lists 20 tokens at most, one of them what it wrote."""
_UNLISTED = -9000.0
"""At or below this a server means that it does not say; OpenAI writes -9999."""
_BY_ID = re.compile(r"token_id:(\d+)")
_BEFORE = " \u2581\u0120\t\n"
"""What may stand before a letter in the name of a token: blanks as text, as SentencePiece and as byte-level BPE."""


class Dialect(ABC):
    """A way of asking for the log-probabilities of letters."""

    name: ClassVar[str]

    @abstractmethod
    def requests(self, query: Query, config: EndpointConfig, model: str) -> list[Request]:
        """What is sent for one query."""

    @abstractmethod
    def scores(self, query: Query, replies: Sequence[Mapping[str, Any]]) -> OptionScores:
        """What the replies say of the options.

        Raises:
            QuestionError: they do not say it.
        """


class VllmLetters(Dialect):
    """vLLM's ``logprob_token_ids``: the very log-probabilities of the letters' tokens, however unlikely they are.

    Args:
        ids: token of each letter, A first, see :func:`llavaction.backends.endpoint.probe.letter_ids`.
    """

    name = "vllm"

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = tuple(ids)

    def requests(self, query: Query, config: EndpointConfig, model: str) -> list[Request]:
        """One for every 19 letters."""
        ids = self._ids[: len(query.options)]
        parts = [ids[i : i + _AT_ONCE] for i in range(0, len(ids), _AT_ONCE)]
        return [chat_request(query, config, model, 1, self.fields(part)) for part in parts]

    @staticmethod
    def fields(ids: Sequence[int]) -> dict[str, Any]:
        """What asks for tokens by their ids; without ``top_logprobs`` the server would list none."""
        return {
            "logprobs": True,
            "top_logprobs": len(ids) + 1,
            "logprob_token_ids": list(ids),
            "return_tokens_as_token_ids": True,
        }

    def scores(self, query: Query, replies: Sequence[Mapping[str, Any]]) -> OptionScores:
        """See :class:`Dialect`."""
        found: dict[int, float] = {}
        for reply in replies:
            found |= listed_ids(reply)
        ids = self._ids[: len(query.options)]
        if any(number not in found for number in ids):
            raise _silent(query, "the server did not tell the log-probabilities of all letters")
        return _normalised([found[number] for number in ids])


class TopLetters(Dialect):
    """The letters among the likeliest tokens, as OpenAI's ``top_logprobs`` lists them.

    A letter with and without a blank before it is the same letter. One that is not listed is at most as likely as the
    least token listed, and as all that is left; it gets the smaller of the two. So a listed letter is never overtaken,
    and ``letter_mass`` counts listed letters alone: it is at least that.
    """

    name = "top_logprobs"

    def __init__(self, most: int) -> None:
        self._most = most

    def requests(self, query: Query, config: EndpointConfig, model: str) -> list[Request]:
        """A single one."""
        count = len(query.options)

        def remark(reply: Mapping[str, Any]) -> str | None:
            lacking = count - len(_by_letter(reply, count))
            if not lacking:
                return None
            return f"a letter is not among the {self._most} likeliest tokens, its score is the most it can be"

        return [chat_request(query, config, model, 1, self.fields(), remark)]

    def fields(self) -> dict[str, Any]:
        """What asks for the likeliest tokens."""
        return {"logprobs": True, "top_logprobs": self._most}

    def scores(self, query: Query, replies: Sequence[Mapping[str, Any]]) -> OptionScores:
        """See :class:`Dialect`."""
        tokens = [value for _, value in listed_tokens(replies[0]) if value > _UNLISTED]
        if not tokens:
            raise _silent(query, "the server told no log-probabilities")
        found = _by_letter(replies[0], len(query.options))
        if not found:
            problem = f"none of the letters is among the {self._most} likeliest tokens"
            raise _silent(query, problem, "ask with --decision generation")
        rest = 1.0 - min(math.fsum(math.exp(value) for value in tokens), 1.0)
        bound = min(*tokens, math.log(rest) if rest > 0 else -math.inf, 0.0)
        values = [found.get(letter, bound) for letter in LETTERS[: len(query.options)]]
        return _normalised(values, mass=math.fsum(math.exp(value) for value in found.values()))


class SglangLetters(Dialect):
    """SGLang's ``/v1/score``: probabilities of the letters' tokens behind a text; it takes no clip.

    Args:
        ids: token of each letter, A first.
    """

    name = "sglang"

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = tuple(ids)

    def requests(self, query: Query, config: EndpointConfig, model: str) -> list[Request]:
        """A single one: the prompt in the model's chat format, and nothing behind it."""
        text = (config.score_prompt or "{prompt}").replace("{prompt}", query.prompt)
        ids = list(self._ids[: len(query.options)])
        body = {"model": model, "query": text, "items": [""], "label_token_ids": ids, "apply_softmax": False}

        def keep(value: Any) -> dict[str, Any]:
            scores = value.get("scores") if isinstance(value, dict) else None
            row = scores[0] if isinstance(scores, list) and scores else None
            if not isinstance(row, list) or len(row) != len(ids) or not all(isinstance(s, int | float) for s in row):
                raise Unreadable("the server's answer has no score for every letter")
            return {"scores": row}

        return [Request(query.query_id, digest_of("/score", body), lambda: body, 1, "/score", keep)]

    def scores(self, query: Query, replies: Sequence[Mapping[str, Any]]) -> OptionScores:
        """See :class:`Dialect`."""
        shares = np.array(replies[0]["scores"], np.float64)
        if not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() > 1.001 or not shares.any():
            raise _silent(query, f"the server's scores are no probabilities: {shares.tolist()}")
        with np.errstate(divide="ignore"):
            return _normalised(np.log(shares).tolist())


def listed_tokens(reply: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Tokens that a reply lists for the answer's first place, each with its log-probability; none without them."""
    logprobs = reply.get("logprobs")
    places = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    first = places[0] if isinstance(places, list) and places else None
    if not isinstance(first, Mapping):
        return []
    entries = {}
    for entry in (first, *(first.get("top_logprobs") or ())):
        token, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, Mapping) else (None, None)
        if isinstance(token, str) and isinstance(value, int | float) and not math.isnan(value):
            entries[token] = min(float(value), 0.0)
    return list(entries.items())


def listed_ids(reply: Mapping[str, Any]) -> dict[int, float]:
    """The same of a reply whose tokens are named by their ids."""
    named = ((_BY_ID.fullmatch(token), value) for token, value in listed_tokens(reply))
    return {int(match.group(1)): value for match, value in named if match}


def _by_letter(reply: Mapping[str, Any], count: int) -> dict[str, float]:
    """Log-probability of each of the first letters that is listed, with and without a blank before it."""
    found: dict[str, float] = {}
    for token, value in listed_tokens(reply):
        letter = token.lstrip(_BEFORE)
        if len(letter) == 1 and letter in LETTERS[:count] and value > _UNLISTED:
            found[letter] = float(np.logaddexp(found[letter], value)) if letter in found else value
    return found


def _normalised(values: Sequence[float], mass: float | None = None) -> OptionScores:
    scores = np.array(values, np.float64)
    total = float(np.logaddexp.reduce(scores))
    return OptionScores(scores - total, min(math.exp(total) if mass is None else mass, 1.0))


def _silent(query: Query, problem: str, hint: str | None = None) -> QuestionError:
    return QuestionError(f"question '{query.query_id}': {problem}", question_id=query.query_id, hint=hint)
