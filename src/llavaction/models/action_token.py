"""The action token: a learnt token behind a video's visual tokens, and the heads that read its hidden state.

The token has an id in the tokenizer's vocabulary, and the processor puts it behind every video. Its vector is a row of
a small embedding of its own beside the table of the words: tied output weights, frozen embeddings and published
checkpoints stay as they are, and under LoRA that row alone is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from llavaction.models.action_config import HEADS, TOKENS, TRAINED_WHOLE, ActionTokenConfig, action_settings

__all__ = [
    "HEADS",
    "TOKENS",
    "TRAINED_WHOLE",
    "ActionPositions",
    "ActionTokenConfig",
    "TokenEmbedding",
    "action_settings",
]


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
        complete = ids == first
        for step in range(1, number):
            shifted = functional.pad(ids[:, step:], (0, step), value=-1)
            complete = complete & (shifted == first + step)
        rows, columns = complete.nonzero(as_tuple=True)
        before = complete.cumsum(1)[rows, columns] - 1
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
        ids = input
        for index in outside:
            ids = ids.masked_fill(input == index, 0)
        vectors = super().forward(ids)
        if not self.action_ids:
            return vectors
        offset = input - self.action_ids[0]
        is_action = (offset >= 0) & (offset < len(self.action_ids))
        actions = self.action_token(torch.where(is_action, offset, 0))
        return torch.where(is_action.unsqueeze(-1), actions.to(vectors), vectors)
