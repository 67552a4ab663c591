"""An action token for a plain model: the library's own classes, each joined to the token by one statement."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from llavaction.base.errors import InputError
from llavaction.models.action_config import TOKENS, ActionTokenConfig
from llavaction.models.action_model import initialise_action_parts
from llavaction.models.registry import FAMILIES, family_class


def add_action_token(model: PreTrainedModel, tokenizer: Any, settings: ActionTokenConfig, seed: int = 0) -> Any:
    """Give a plain model an action token and heads, freshly drawn.

    Args:
        model: a backbone without action token, of a family with an ``action_model``; its modules become part of the
            result.
        tokenizer: its tokenizer, which gets the tokens of ``TOKENS``.
        settings: the supervision and the classes; ``token_ids`` are set from the tokenizer.
        seed: of the new weights.

    Raises:
        InputError: the model has no counterpart with an action token, has one already, or its video ends in no newline
            though the heads are to read one.
    """
    model_class = family_class(model.config.model_type).action_model
    if model_class is None:
        kinds = [kind for kind in FAMILIES if family_class(kind).action_model is not None]
        raise InputError(
            f"no action token for models of type '{model.config.model_type}'", hint=f"known are {', '.join(kinds)}"
        )
    kind = model_class.config_class.model_type
    if getattr(model.config, "action", None) is not None:
        raise InputError("the model has an action token already")
    if settings.supervision == "newline" and kind != "llava_video":
        raise InputError(f"models of type '{model.config.model_type}' have no newline that the heads could read")
    tokens = TOKENS[settings.supervision]
    tokenizer.add_special_tokens({"extra_special_tokens": list(tokens)}, replace_extra_special_tokens=False)
    ids = tuple(tokenizer.convert_tokens_to_ids(list(tokens)))
    settings = ActionTokenConfig.from_mapping(settings.model_dump() | {"token_ids": ids})
    values = model.config.to_dict() | {"model_type": kind, "action": settings.model_dump(mode="json")}
    joined = _assemble(model_class, model_class.config_class.from_dict(values), model)
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
