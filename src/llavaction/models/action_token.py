"""The action token: a learnt token behind a video's visual tokens, and the heads that read its hidden state.

The token has an id in the tokenizer's vocabulary, and the processor puts it behind every video. Its vector is a row of
a small embedding of its own beside the table of the words: tied output weights, frozen embeddings and published
checkpoints stay as they are, and under LoRA that row alone is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from llavaction.base.errors import InputError
from llavaction.base.records import Strict

TOKENS = {"one_token": ("<|action|>",), "three_tokens": ("<|verb|>", "<|noun|>", "<|action|>"), "newline": ()}
"""The tokens each kind of supervision puts behind a video."""

HEADS = ("verb_head", "noun_head", "action_head")
"""The heads' names in a model, and so in a checkpoint."""


TRAINED_WHOLE = ("action_token", *HEADS)
"""What LoRA must train as it is (``modules_to_save`` of PEFT): the token's row and the heads, no other embedding."""


class ActionTokenConfig(Strict):
    """How actions are supervised (arXiv 2503.18712; names of the modes as in the published checkpoints)."""

    supervision: Literal["one_token", "three_tokens", "newline"] = Field(
        default="one_token",
        description="what the heads read: one action token, one token each, or the newline that ends the video",
    )
    training: Literal["all_layers", "last_layer", "first_layer", "normal_distillation", "reverse_distillation"] = Field(
        default="all_layers",
        description="which hidden states are supervised; distillation supervises all of them and draws them "
        "towards the last one, or in reverse towards the embedding",
    )
    verbs: int = Field(ge=1, description="verb classes, 97 in EPIC-KITCHENS-100")
    nouns: int = Field(ge=1, description="noun classes, 300 in EPIC-KITCHENS-100")
    actions: int = Field(ge=1, description="action classes, 3806 in EPIC-KITCHENS-100")
    token_ids: tuple[int, ...] = Field(
        default=(), description="consecutive ids of the action tokens; empty until a tokenizer has them"
    )
    head_weight: float = Field(default=0.1, ge=0, description="weight of the heads' loss, 0.1 as published")
    distillation_weight: float = Field(default=0.1, ge=0, description="weight of the distillation, 0.1 as published")

    word_noise: float = Field(
        default=0.0,
        ge=0,
        description="noise on words that stand in for a clip in training, as a share of the word vectors' own spread",
    )

    @model_validator(mode="after")
    def _ids_fit(self) -> ActionTokenConfig:
        wanted = len(TOKENS[self.supervision])
        if self.token_ids and self.token_ids != tuple(range(self.token_ids[0], self.token_ids[0] + wanted)):
            raise ValueError(f"token_ids are {self.token_ids}; '{self.supervision}' needs {wanted} consecutive ids")
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


@dataclass(frozen=True)
class ActionPositions:
    """Where the action tokens of a batch stand; videos whose tokens were cut off are not in it.

    Attributes:
        rows: int64 [videos], the row of each.
        columns: int64 [videos, 1 or 3], positions in the row.
        ordinals: int64 [videos], the how-manyth video of its row each is, from 0.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    ordinals: torch.Tensor

    @classmethod
    def of_tokens(cls, ids: torch.Tensor, token_ids: Sequence[int]) -> ActionPositions:
        """Find the tokens by their ids [rows, length]; of a group that truncation split nothing is taken."""
        first, number = token_ids[0], len(token_ids)
        whole = ids == first
        for step in range(1, number):
            shifted = functional.pad(ids[:, step:], (0, step), value=-1)
            whole = whole & (shifted == first + step)
        rows, columns = whole.nonzero(as_tuple=True)
        before = whole.cumsum(1)[rows, columns] - 1
        return cls(rows, columns[:, None] + torch.arange(number, device=ids.device), before)

    def take(self, states: torch.Tensor) -> torch.Tensor:
        """The tokens' own states, [videos, tokens, width], from those of the sequence [rows, length, width]."""
        rows, columns = self.rows.to(states.device), self.columns.to(states.device)
        return states[rows[:, None], columns]

    def labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Verb, noun and action of every video, [videos, 3].

        Args:
            labels: [rows, 3], where every video of a row carries the row's label, or [rows, videos, 3], each its own;
                -1 stands for no label.
        """
        rows = self.rows.to(labels.device)
        if labels.dim() == 2:
            return labels[rows]
        padded = functional.pad(labels, (0, 0, 0, 1), value=-1)
        return padded[rows, self.ordinals.to(labels.device).clamp(max=labels.shape[1])]


class TokenEmbedding(nn.Embedding):
    """A word table that also knows tokens which are not words.

    Args:
        table: the embedding whose weights are taken over (shared, not copied).
        action_ids: consecutive ids of the action tokens; their vectors are rows of ``action_token``.
        placeholders: ids the model fills with visual features later; they may lie beyond the table.
    """

    def __init__(self, table: nn.Embedding, action_ids: Sequence[int], placeholders: Sequence[int]) -> None:
        rows, width = table.num_embeddings, table.embedding_dim
        # a parameter shared with the old module: weights tied to it stay tied
        super().__init__(rows, width, padding_idx=table.padding_idx, _weight=table.weight)
        self.weight = table.weight
        self.action_ids = tuple(action_ids)
        self.placeholders = tuple(placeholders)
        if action_ids:
            self.action_token = nn.Embedding(
                len(action_ids), width, device=table.weight.device, dtype=table.weight.dtype
            )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Vectors [..., width] of ids [...]."""
        outside = [index for index in (*self.placeholders, *self.action_ids) if index >= self.num_embeddings]
        words = input
        for index in outside:
            words = words.masked_fill(input == index, 0)
        vectors = super().forward(words)
        if not self.action_ids:
            return vectors
        offset = input - self.action_ids[0]
        own = (offset >= 0) & (offset < len(self.action_ids))
        actions = self.action_token(torch.where(own, offset, 0))
        return torch.where(own.unsqueeze(-1), actions.to(vectors), vectors)
