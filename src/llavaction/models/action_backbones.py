"""Backbones with an action token: the library's own classes, each joined to the token by one statement.

To add a backbone, write its two classes below and its line in ``models.registry.MODELS``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from llavaction.base.errors import InputError
from llavaction.models.action_model import ActionTokenMixin, initialise_action_parts
from llavaction.models.action_token import TOKENS, ActionTokenConfig
from llavaction.models.registry import MODELS


@strict
class LlavaOnevisionActionConfig(LlavaOnevisionConfig):
    """LLaVA-OneVision as the library has it, with an action token (``action``: fields of ``ActionTokenConfig``)."""

    model_type = "llava_onevision_action"
    action: dict | None = None


class LlavaOnevisionActionForConditionalGeneration(ActionTokenMixin, LlavaOnevisionForConditionalGeneration):
    """LLaVA-OneVision with an action token."""

    config_class = LlavaOnevisionActionConfig


@strict
class Qwen25VLActionConfig(Qwen2_5_VLConfig):
    """Qwen2.5-VL with an action token (``action``: fields of ``ActionTokenConfig``)."""

    model_type = "qwen2_5_vl_action"
    action: dict | None = None


class Qwen25VLActionForConditionalGeneration(ActionTokenMixin, Qwen2_5_VLForConditionalGeneration):
    """Qwen2.5-VL with an action token."""

    config_class = Qwen25VLActionConfig


@strict
class Qwen3VLActionConfig(Qwen3VLConfig):
    """Qwen3-VL with an action token (``action``: fields of ``ActionTokenConfig``)."""

    model_type = "qwen3_vl_action"
    action: dict | None = None


class Qwen3VLActionForConditionalGeneration(ActionTokenMixin, Qwen3VLForConditionalGeneration):
    """Qwen3-VL with an action token."""

    config_class = Qwen3VLActionConfig


def action_type(model_type: str) -> str:
    """The model type with an action token that belongs to a backbone's own.

    Raises:
        InputError: there is none.
    """
    for kind in (model_type, f"{model_type}_action"):
        if kind in MODELS:
            return kind
    raise InputError(
        f"no action token for models of type '{model_type}'",
        hint=f"known are {', '.join(kind.removesuffix('_action') for kind in MODELS)}",
    )


def add_action_token(model: PreTrainedModel, tokenizer: Any, settings: ActionTokenConfig, seed: int = 0) -> Any:
    """Give a plain model an action token and heads, freshly drawn.

    Args:
        model: a backbone of ``models.registry.MODELS`` without action token; its modules become part of the result.
        tokenizer: its tokenizer, which gets the tokens of ``TOKENS``.
        settings: the supervision and the classes; ``token_ids`` are set from the tokenizer.
        seed: of the new weights.

    Raises:
        InputError: the model has no counterpart with an action token, has one already, or its video ends in no newline
            though the heads are to read one.
    """
    kind = action_type(model.config.model_type)
    if getattr(model.config, "action", None) is not None:
        raise InputError("the model has an action token already")
    if settings.supervision == "newline" and kind != "llava_video":
        raise InputError(f"models of type '{model.config.model_type}' have no newline that the heads could read")
    tokens = TOKENS[settings.supervision]
    tokenizer.add_special_tokens({"extra_special_tokens": list(tokens)}, replace_extra_special_tokens=False)
    ids = tuple(tokenizer.convert_tokens_to_ids(list(tokens)))
    settings = ActionTokenConfig.from_mapping(settings.model_dump() | {"token_ids": ids})
    home, config_name, model_name = MODELS[kind]
    values = model.config.to_dict() | {"model_type": kind, "action": settings.model_dump(mode="json")}
    classes = import_module(home)
    joined = _assemble(getattr(classes, model_name), getattr(classes, config_name).from_dict(values), model)
    initialise_action_parts(joined, seed)
    return joined


def _assemble(model_class: Any, config: Any, model: PreTrainedModel) -> Any:
    """An instance of ``model_class`` around the modules of ``model``: no weight is copied."""
    with torch.device("meta"):
        joined = model_class._from_config(config, attn_implementation=model.config._attn_implementation)
    for name, child in model.named_children():
        setattr(joined, name, child)
    joined.add_action_parts()
    joined.tie_weights()
    joined.generation_config = model.generation_config
    return joined.train(model.training)


for config_class, model_class in (
    (LlavaOnevisionActionConfig, LlavaOnevisionActionForConditionalGeneration),
    (Qwen25VLActionConfig, Qwen25VLActionForConditionalGeneration),
    (Qwen3VLActionConfig, Qwen3VLActionForConditionalGeneration),
):
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    for auto_class in (AutoModelForImageTextToText, AutoModelForMultimodalLM):
        auto_class.register(config_class, model_class, exist_ok=True)
