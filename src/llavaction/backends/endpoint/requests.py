"""A request that is worth sending once: what it is known by, how it is written, and what of its reply is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llavaction.backends.base import Query
from llavaction.backends.endpoint.config import EndpointConfig
from llavaction.backends.endpoint.media import clip_of, content, known_by, media_fields

CHAT = "/chat/completions"


class Unreadable(Exception):  # noqa: N818 - a reply that is none is asked for again
    """A reply lacks what every reply has."""


def chat_reply(value: Any) -> dict[str, Any]:
    """What is kept of a chat completion: its first choice.

    Raises:
        Unreadable: there is no choice with a message.
    """
    choices = value.get("choices") if isinstance(value, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        raise Unreadable("the server's answer has no choices")
    message = first["message"]
    kept = {key: message[key] for key in ("content", "refusal") if message.get(key) is not None}
    return {"message": kept, "logprobs": first.get("logprobs"), "finish_reason": first.get("finish_reason")}


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        query_id: what it is about.
        digest: of all that is sent; requests with the same one are sent once.
        write: makes the body; frames are coded only then.
        tokens_out: the most tokens of the answer.
        path: behind the server's address.
        keep: takes from a reply what is read later, or raises Unreadable.
        remark: what the reader of the ledger should know of a kept reply.
    """

    query_id: str
    digest: str
    write: Callable[[], dict[str, Any]]
    tokens_out: int
    path: str = CHAT
    keep: Callable[[Any], dict[str, Any]] = chat_reply
    remark: Callable[[Mapping[str, Any]], str | None] = field(default=lambda reply: None)


def digest_of(*parts: Any) -> str:
    """What a request is known by, of values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def chat_request(
    query: Query,
    config: EndpointConfig,
    model: str,
    tokens_out: int,
    fields: Mapping[str, Any] | None = None,
    remark: Callable[[Mapping[str, Any]], str | None] = lambda reply: None,
) -> Request:
    """A chat completion that shows a clip and asks about it.

    Args:
        query: what is asked.
        config: how clips are sent, and what every request has.
        model: its name on the server.
        tokens_out: the longest answer.
        fields: further ones of the body.
        remark: see :class:`Request`.

    Raises:
        QuestionError: there are no frames, or they are no pictures.
    """
    clip = clip_of(query, config.frames)
    body: dict[str, Any] = {"model": model, config.token_limit: tokens_out, **(fields or {})}
    if config.temperature is not None:
        body["temperature"] = config.temperature
    body |= media_fields(clip, config) | dict(config.extra_body)
    shown = [config.media, config.image_format, config.jpeg_quality, config.frame_times]
    digest = digest_of(CHAT, body, query.prompt, shown if clip is not None else [], known_by(clip))

    def write() -> dict[str, Any]:
        return {**body, "messages": [{"role": "user", "content": content(query.prompt, clip, config)}]}

    return Request(query.query_id, digest, write, tokens_out, remark=remark)


def text_request(
    words: str, config: EndpointConfig, model: str, tokens_out: int, fields: Mapping[str, Any] | None = None
) -> Request:
    """A chat completion without a clip: a probe."""
    return chat_request(Query("probe", words), config.model_copy(update={"frames": 0}), model, tokens_out, fields)
