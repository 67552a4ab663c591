"""A model behind an OpenAI-compatible server: letters by log-probability where it tells them, written answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llavaction.backends.base import LETTERS_RULE, Capability, OptionScores, Query, QuestionError
from llavaction.backends.endpoint.config import OPERATIONAL, EndpointConfig
from llavaction.backends.endpoint.dispatcher import Dispatcher
from llavaction.backends.endpoint.ledger import LEDGER, Ledger
from llavaction.backends.endpoint.letters import Dialect
from llavaction.backends.endpoint.loop import LoopThread
from llavaction.backends.endpoint.probe import ServedModel, find_letters, served_model
from llavaction.backends.endpoint.requests import Request, chat_request
from llavaction.backends.endpoint.server import Server
from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.questions.asked import LETTERS

Reply = Mapping[str, Any]


class EndpointBackend:
    """Asks a server many questions at once.

    Attributes:
        at_once: questions that it wants per call; each is a request of its own, so that results do not depend on it.
        free_keys: what of a run's configuration may change between start and restart.

    Args:
        config: the server, and how it is asked.

    Raises:
        InputError: no model is named and the server lists several; the letters are not offered in the way that was
            named; a budget has nothing to reckon with.
        BackendStoppedError: the server is not there, or refuses the key.
    """

    decision_rule = LETTERS_RULE
    free_keys = ("backend", "backend_options")

    def __init__(self, config: EndpointConfig) -> None:
        self.config, self.needs_frames = config, config.frames
        self.at_once = 2 * config.concurrency
        self._loop, self._server = LoopThread(), Server(config)
        self.model: ServedModel = self._loop.run(served_model(self._server, config))
        self.name = f"endpoint:{self.model.name}"
        self.ledger = Ledger(config, self.model.context)
        if config.budget is not None and self.ledger.most_input is None:
            raise InputError(
                "a budget has to reckon with the longest prompt, and the server does not tell the model's context",
                hint="--set most_input_tokens=N",
            )
        self.dispatcher = Dispatcher(config, self._server, self.ledger, self.model.name)
        self.dialect: Dialect | None = self._loop.run(find_letters(self.dispatcher, self._server, config, self.model))
        self._failed: dict[str, QuestionError] = {}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Written answers, and scores where the server tells log-probabilities."""
        return frozenset({"generate"} if self.dialect is None else {"generate", "score"})

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the answers, for the record; nothing of keys, prices and patience."""
        kept = self.config.model_dump(mode="json", exclude=set(OPERATIONAL))
        letters = "none" if self.dialect is None else self.dialect.name
        return {**kept, "model": self.model.name, "letters": letters, "served": dict(self.model.facts or {})}

    @property
    def fingerprint(self) -> str:
        """What answers are kept by: the server's address, the model's name there and how it is asked.

        What lies behind the name is not known: where a server's model changes under it, ``--no-cache`` asks anew.
        """
        known_by = {"address": self.config.url, **self.settings}
        return hashlib.sha256(json.dumps(known_by, sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_spec(cls, argument: str | None, **options: Any) -> EndpointBackend:
        """For ``endpoint:URL``; the options are the fields of :class:`EndpointConfig`.

        Raises:
            InputError: no address was given, or an option is unknown or wrong.
        """
        if not argument:
            raise InputError("which server?", hint="write endpoint:http://localhost:8000/v1")
        return cls(EndpointConfig.of(argument, options))

    @contextmanager
    def in_folder(self, folder: Path) -> Iterator[None]:
        """Keep what is answered in ``ledger.jsonl`` of a run's folder; what is there is not asked again.

        Raises:
            InputError: the ledger is damaged, or cannot be written.
        """
        with self.ledger.opened(folder):
            try:
                yield
            finally:
                note(f"{self.name}: {self.ledger.summary()} ({LEDGER})")

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        """See :class:`llavaction.backends.base.Backend`; ``letter_mass`` as the dialect knows it.

        Raises:
            QuestionError: a question is refused, or there are more options than letters.
            InputError: the server tells no log-probabilities.
            BackendStoppedError: nothing more can be asked.
        """
        dialect = self.dialect
        if dialect is None:
            raise InputError(
                f"'{self.name}' tells no log-probabilities", hint="eval reads what it writes with --decision generation"
            )
        for query in queries:
            if len(query.options) > len(LETTERS):
                problem = f"question '{query.query_id}' has {len(query.options)} options, but there are 26 letters"
                raise QuestionError(problem, question_id=query.query_id)
        requests = [dialect.requests(query, self.config, self.model.name) for query in queries]
        replies = self._replies([one for group in requests for one in group])
        scores = [
            dialect.scores(query, [replies[one.digest] for one in group])
            for query, group in zip(queries, requests, strict=True)
        ]
        self.ledger.forget_replies()
        return scores

    def generate(self, queries: Sequence[Query]) -> list[str]:
        """Text of at most ``max_new_tokens`` tokens, without surrounding blanks.

        Raises:
            QuestionError: a question is refused.
            BackendStoppedError: nothing more can be asked.
        """
        length = self.config.max_new_tokens
        requests = [chat_request(query, self.config, self.model.name, length) for query in queries]
        replies = self._replies(requests)
        texts = [_text(replies[request.digest]) for request in requests]
        self.ledger.forget_replies()
        return texts

    def _replies(self, requests: Sequence[Request]) -> dict[str, Reply]:
        """The reply to each request by its digest; only what has none yet is sent.

        Raises:
            QuestionError: one of them has none; what is known of the others is kept for the call without it.
        """
        known, failed = self.ledger.replies, self._failed
        fresh = {one.digest: one for one in requests if one.digest not in known and one.digest not in failed}
        if fresh:
            try:
                outcomes = self._loop.run(self.dispatcher.replies(list(fresh.values())))
            except BaseException:
                failed.clear()
                raise
            for digest, outcome in zip(fresh, outcomes, strict=True):
                if isinstance(outcome, QuestionError):
                    failed[digest] = outcome
        for one in requests:
            if one.digest in failed:
                raise failed.pop(one.digest)
        return {one.digest: known[one.digest] for one in requests}


def _text(reply: Reply) -> str:
    """What was written; a refusal in its own field is an answer, too."""
    message = reply["message"]
    said = message.get("content", message.get("refusal"))
    if isinstance(said, list):
        said = "".join(str(part.get("text", "")) for part in said if isinstance(part, Mapping))
    return str(said or "").strip()
