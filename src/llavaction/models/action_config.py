"""The settings of an action token; without PyTorch, so that they can be listed and checked at once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from llavaction.base.errors import InputError
from llavaction.base.records import Strict

TOKENS = {"one_token": ("<|action|>",), "three_tokens": ("<|verb|>", "<|noun|>", "<|action|>"), "newline": ()}
"""The tokens each kind of supervision puts behind a video."""

CLASSES = ("verb", "noun", "action")
"""What the heads name, in the order of ``action_labels``."""

HEADS = ("verb_head", "noun_head", "action_head")
"""The heads' names in a model, and so in a checkpoint."""


TRAINED_WHOLE = ("action_token", *HEADS)
"""What LoRA must train as it is (``modules_to_save`` of PEFT): the token's row and the heads, no other embedding."""


class ActionTokenConfig(Strict):
    """How actions are supervised (arXiv 2503.18712; names of the modes as in the published checkpoints)."""

    supervision: Literal["one_token", "three_tokens", "newline"] = Field(
        default="one_token",
        description="What the heads read: one action token, one token for each head, or the newline that ends the "
        "video.",
    )
    training: Literal["all_layers", "last_layer", "first_layer", "normal_distillation", "reverse_distillation"] = Field(
        default="all_layers",
        description="Hidden states that are supervised. Distillation supervises those of all layers and draws them "
        "towards the last one, or in reverse towards the embedding.",
    )
    verbs: int = Field(ge=1, description="Number of verb classes, 97 in EPIC-KITCHENS-100.")
    nouns: int = Field(ge=1, description="Number of noun classes, 300 in EPIC-KITCHENS-100.")
    actions: int = Field(ge=1, description="Number of action classes, 3806 in EPIC-KITCHENS-100.")
    token_ids: tuple[int, ...] = Field(
        default=(), description="Consecutive ids of the action tokens; empty until a tokenizer has them."
    )
    head_weight: float = Field(default=0.1, ge=0, description="Weight of the heads' loss, 0.1 as published.")
    distillation_weight: float = Field(
        default=0.1, ge=0, description="Weight of the distillation loss, 0.1 as published."
    )

    word_noise: float = Field(
        default=0.0,
        ge=0,
        description="Noise on words that stand in for a clip in training, as a share of the word vectors' own spread.",
    )

    @model_validator(mode="after")
    def _ids_fit(self) -> ActionTokenConfig:
        count = len(TOKENS[self.supervision])
        if self.token_ids and self.token_ids != tuple(range(self.token_ids[0], self.token_ids[0] + count)):
            raise ValueError(f"token_ids are {self.token_ids}; '{self.supervision}' needs {count} consecutive ids")
        return self

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Classes of the verb, noun and action head."""
        return self.verbs, self.nouns, self.actions


def action_settings(config: Any) -> ActionTokenConfig | None:
    """The action token of a model's configuration, or None where it has none.

    Raises:
        InputError: the stored settings are malformed.
    """
    stored = getattr(config, "action", None)
    if stored is None:
        return None
    settings = ActionTokenConfig.from_mapping(dict(stored))
    if len(settings.token_ids) != len(TOKENS[settings.supervision]):
        raise InputError(f"the configuration's action token '{settings.supervision}' has no token_ids")
    return settings
