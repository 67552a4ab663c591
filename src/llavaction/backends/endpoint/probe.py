"""What a server is and can do: its models, the tokens of the letters, and whether it tells log-probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llavaction.backends.base import QuestionError
from llavaction.backends.endpoint.config import EndpointConfig
from llavaction.backends.endpoint.dispatcher import Dispatcher
from llavaction.backends.endpoint.letters import (
    Dialect,
    SglangLetters,
    TopLetters,
    VllmLetters,
    listed_ids,
    listed_tokens,
)
from llavaction.backends.endpoint.requests import text_request
from llavaction.backends.endpoint.server import Broken, Refusal, Server
from llavaction.backends.endpoint.stops import BackendStoppedError
from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.questions.asked import LETTERS

WORDS = "Answer with one letter: A, B or C."
"""What the small request asks, see :func:`find_letters`."""
_TRIED = 19
"""Letters that it asks for."""


@dataclass(frozen=True)
class ServedModel:
    """A model as a server lists it.

    Attributes:
        name: by which it is asked for.
        made_by: what the server calls itself ("vllm", "sglang"); "" where it does not say.
        context: tokens of its context; None where it does not say.
        facts: what else tells models of one name apart.
    """

    name: str
    made_by: str = ""
    context: int | None = None
    facts: Mapping[str, Any] | None = None


async def served_model(server: Server, config: EndpointConfig) -> ServedModel:
    """The model that is to be asked.

    Raises:
        InputError: none is named and the server lists several, or none.
        BackendStoppedError: the server is not there, or refuses the key.
    """
    try:
        listed = await server.get("/models")
    except Broken as broken:
        hint = "check the address, and that the server runs; a model takes minutes to load"
        raise BackendStoppedError(f"no server answers at {config.url}: {broken.problem}", hint=hint) from None
    except Refusal as refusal:
        if refusal.status in (401, 403):
            state = "refuses the key" if server.has_key else "wants a key"
            hint = f"the key is read from the variable {' or '.join(server.key_names)}"
            problem = f"{config.url} {state} ({refusal.status}); the server says: {refusal.message}"
            raise BackendStoppedError(problem, hint=hint) from None
        if config.model is None:
            problem = f"{config.url} lists no models ({refusal.status})"
            raise InputError(problem, hint="name the model with --set model=NAME; most addresses end in /v1") from None
        return ServedModel(config.model)
    entries = listed.get("data") if isinstance(listed, dict) else None
    models = {str(entry["id"]): entry for entry in entries or () if isinstance(entry, dict) and entry.get("id")}
    if config.model is not None:
        return _served(config.model, models.get(config.model, {}))
    if len(models) != 1:
        some = ", ".join(list(models)[:10]) or "none"
        raise InputError(
            f"{config.url} lists {len(models)} models, so that one has to be named: {some}",
            hint="name the model with --set model=NAME",
        )
    return _served(*next(iter(models.items())))


def _served(name: str, entry: Mapping[str, Any]) -> ServedModel:
    context = entry.get("max_model_len") or entry.get("context_length")
    facts = {key: entry[key] for key in ("root", "max_model_len") if entry.get(key) is not None}
    return ServedModel(name, str(entry.get("owned_by") or ""), context if isinstance(context, int) else None, facts)


async def find_letters(
    dispatcher: Dispatcher, server: Server, config: EndpointConfig, model: ServedModel
) -> Dialect | None:
    """How letters are scored there; None where only written answers are to be had.

    Only ``auto`` sends requests that are paid for, one or two small ones.

    Raises:
        InputError: the way that was named is not offered.
        BackendStoppedError: the server cannot be asked at all.
    """
    wanted = config.letters
    if wanted == "none":
        return None
    dialect: Dialect | None = None
    if wanted == "top_logprobs":
        return TopLetters(config.top_logprobs)
    ids = await letter_ids(server, model.name)
    if wanted != "auto":
        if ids is None:
            raise InputError(
                f"letters '{wanted}' is not offered: the server's /tokenize does not tell the tokens of the letters",
                hint="letters=auto finds out what is",
            )
        return VllmLetters(ids) if wanted == "vllm" else SglangLetters(ids)
    if ids is not None and await _lists_ids(dispatcher, config, model.name, ids[:_TRIED]):
        dialect = VllmLetters(ids)
    elif await _lists_tokens(dispatcher, config, model.name):
        dialect = TopLetters(config.top_logprobs)
    _say(config, dialect)
    return dialect


def _say(config: EndpointConfig, dialect: Dialect | None) -> None:
    if dialect is None:
        note(f"{config.url} tells no log-probabilities: written answers only, --decision generation")
    elif isinstance(dialect, VllmLetters):
        note(f"{config.url} tells the log-probability of every option letter (letters=vllm)")
    else:
        note(
            f"{config.url} tells the {config.top_logprobs} likeliest tokens (letters=top_logprobs): a letter not "
            "listed gets the most it can have"
        )


async def _lists_ids(dispatcher: Dispatcher, config: EndpointConfig, model: str, ids: Sequence[int]) -> bool:
    reply = await _probed(dispatcher, config, model, VllmLetters.fields(ids))
    return reply is not None and set(ids) <= listed_ids(reply).keys()


async def _lists_tokens(dispatcher: Dispatcher, config: EndpointConfig, model: str) -> bool:
    reply = await _probed(dispatcher, config, model, TopLetters(config.top_logprobs).fields())
    return reply is not None and len(listed_tokens(reply)) > 1


async def _probed(
    dispatcher: Dispatcher, config: EndpointConfig, model: str, fields: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The reply to a small request; None where it is refused for what it asks."""
    (reply,) = await dispatcher.replies([text_request(WORDS, config, model, 1, fields)])
    return None if isinstance(reply, QuestionError) else reply


async def letter_ids(server: Server, model: str) -> tuple[int, ...] | None:
    """The token by which an answer of each letter begins; None where the server does not tell.

    First as vLLM's ``/tokenize`` writes it behind a chat, where the letter's token is what it is in an answer; else
    that of the letter alone.
    """
    turn = [{"role": "user", "content": WORDS}]
    opened = await _tokens(server, {"model": model, "messages": turn, "add_generation_prompt": True})
    if opened:
        rows = await asyncio.gather(*(_tokens(server, _answered(model, turn, letter)) for letter in LETTERS))
        firsts = [row[len(opened)] for row in rows if row and len(row) > len(opened) and row[: len(opened)] == opened]
        if len(set(firsts)) == len(LETTERS):
            return tuple(firsts)
    bodies = [{"model": model, "prompt": letter, "add_special_tokens": False} for letter in LETTERS]
    if await _tokens(server, bodies[0]) is None:
        return None
    alone = await asyncio.gather(*(_tokens(server, body) for body in bodies))
    only = [row[0] for row in alone if row and len(row) == 1]
    return tuple(only) if len(set(only)) == len(LETTERS) else None


def _answered(model: str, turn: list[dict[str, str]], letter: str) -> dict[str, Any]:
    messages = [*turn, {"role": "assistant", "content": letter}]
    return {
        "model": model,
        "messages": messages,
        "add_generation_prompt": False,
        "continue_final_message": True,
    }


async def _tokens(server: Server, body: dict[str, Any]) -> list[int] | None:
    try:
        value = await server.post("/tokenize", body, at_root=True)
    except (Refusal, Broken):
        return None
    tokens = value.get("tokens") if isinstance(value, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        return None
    return tokens
