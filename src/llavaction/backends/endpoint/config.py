"""The settings of a model behind an OpenAI-compatible server; light, so that they can be listed and checked at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from llavaction.base.errors import InputError
from llavaction.base.records import Strict

Media = Literal["images", "video_jpeg", "sglang_video"]
"""How a clip is sent: one ``image_url`` a frame; vLLM's ``video/jpeg`` of all frames; SGLang's images of one video."""

Letters = Literal["auto", "vllm", "sglang", "top_logprobs", "none"]
"""How the log-probabilities of option letters are asked for, see :mod:`llavaction.backends.endpoint.letters`."""

OPERATIONAL = frozenset({
    "url", "timeout", "concurrency", "attempts", "backoff", "max_failures", "budget", "price_in", "price_out",
    "most_input_tokens", "api_key_variable",
})  # fmt: skip
"""Settings that decide no answer: a run may go on with others."""

KEY_VARIABLES = ("LLAVACTION_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key, the first that is set counts."""


class EndpointConfig(Strict):
    """How a model behind a server is asked. The key is no setting: it is read from the environment alone."""

    url: str = Field(description="Base address of the server, such as http://localhost:8000/v1.")
    model: str | None = Field(
        default=None, description="Name of the model. By default it is the only one that /v1/models lists."
    )
    frames: int = Field(default=16, ge=0, description="Frames per clip, 16 as in the paper; 0 asks without the video.")
    media: Media = Field(
        default="images",
        description="How a clip is sent: images is one image_url per frame, which every server takes; video_jpeg is "
        "vLLM's video of single frames, with their times; sglang_video marks SGLang's images as one video.",
    )
    image_format: Literal["png", "jpeg"] = Field(
        default="png",
        description="How frames are coded. With png the model sees the very pixels that were decoded; jpeg is several "
        "times smaller and loses some.",
    )
    jpeg_quality: int = Field(default=95, ge=1, le=100, description="Quality of jpeg; its colours are not thinned out.")
    frame_times: bool = Field(
        default=False, description="Whether a text with its time, such as '1.25 s', stands before each frame of images."
    )
    letters: Letters = Field(
        default="auto",
        description="How letters are scored: vllm (logprob_token_ids), sglang (/v1/score, text only), top_logprobs, "
        "none (written answers only). auto finds out with a small request, which is paid for like any other.",
    )
    top_logprobs: int = Field(
        default=20,
        ge=2,
        le=20,
        description="Likeliest tokens that top_logprobs asks for, in most places 20 at most.",
    )
    score_prompt: str | None = Field(
        default=None,
        description="For sglang: the model's chat format around {prompt}, up to where the answer begins, because "
        "/v1/score applies none.",
    )
    max_new_tokens: int = Field(default=32, ge=1, description="Longest written answer in tokens.")
    temperature: float | None = Field(
        default=0.0, ge=0, description="Sampling temperature, 0 for the likeliest text; null leaves it to the server."
    )
    token_limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="Which field of a request limits the answer; some hosted models refuse one."
    )
    extra_body: Mapping[str, Any] = Field(
        default_factory=dict,
        description="Further fields of each request, such as {chat_template_kwargs: {enable_thinking: false}}; "
        "they are on record.",
    )
    timeout: float = Field(default=120.0, gt=0, description="Seconds that a request may take before it is sent again.")
    concurrency: int = Field(
        default=32, ge=1, description="The most requests at once. There are fewer while the server cannot keep up."
    )
    attempts: int = Field(
        default=6,
        ge=1,
        description="How often a question is sent, where the server fails it and answers others, before it counts as "
        "failed. Answers that it is too busy (429, 503) do not count.",
    )
    backoff: float = Field(
        default=1.0, gt=0, description="Seconds before the first repetition; doubled each time up to 60, and shortened "
        "by up to half at random."
    )  # fmt: skip
    max_failures: int = Field(
        default=12,
        ge=1,
        description="How often in a row all requests may fail before the run stops; it can then be started again.",
    )
    price_in: float | None = Field(default=None, ge=0, description="Price of a million tokens of prompts.")
    price_out: float | None = Field(default=None, ge=0, description="Price of a million tokens of answers.")
    budget: float | None = Field(
        default=None,
        gt=0,
        description="What a run may cost in all its starts, in the unit of the prices; it stops before it is more.",
    )
    most_input_tokens: int | None = Field(
        default=None,
        ge=1,
        description="The most tokens a prompt can have, clip included: what a budget reckons with before the server "
        "tells. By default it is the length of the model's context, where /v1/models says it.",
    )
    api_key_variable: str | None = Field(
        default=None,
        description="Name of the environment variable that holds the key. By default it is LLAVACTION_API_KEY, or "
        "else OPENAI_API_KEY; a server that needs no key is asked without.",
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as http://localhost:8000/v1")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _goes_together(self) -> EndpointConfig:
        if self.budget is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("a budget needs price_in and price_out")
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("price_in and price_out go together")
        if self.letters == "sglang" and (self.score_prompt or "").count("{prompt}") != 1:
            raise ValueError("letters 'sglang' needs a score_prompt with one {prompt} in it")
        if self.letters == "sglang" and self.frames:
            raise ValueError("letters 'sglang' is for frames=0: /v1/score takes texts only; top_logprobs sees clips")
        return self

    @classmethod
    def of(cls, url: str, options: Mapping[str, Any]) -> EndpointConfig:
        """Settings that hold no secret; one that was given in the wrong place is refused and not repeated.

        Raises:
            InputError: an option is unknown or wrong, or there is a key in the address or for a variable's name.
        """
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise InputError(
                "the server's address may hold no user, password or query: it is written into the run's files",
                hint="put the key into the environment variable LLAVACTION_API_KEY",
            )
        name = options.get("api_key_variable")
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", str(name)):
            raise InputError(
                "api_key_variable is not the name of an environment variable",
                hint="put the key into a variable and name that",
            )
        return cls.from_mapping({"url": url, **options})
