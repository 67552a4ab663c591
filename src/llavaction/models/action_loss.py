"""The loss of the action heads and of the distillation between layers (arXiv 2503.18712, section on the action token).

Facts of the published implementation: the heads have no bias and read the hidden states without a further norm. Each
supervised state adds 0.5 verb + 0.5 noun + 0.1 action cross-entropy; the sum is divided by the number of supervised
states plus one. Distillation is the Kullback-Leibler divergence between softmaxes over the hidden dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from llavaction.base.errors import InputError

TERM_WEIGHTS = (0.5, 0.5, 0.1)
"""Of the verb's, the noun's and the action's cross-entropy."""


class ActionLosses(NamedTuple):
    """Both losses before their weights, and the last state's logits.

    Attributes:
        action: scalar, the heads' loss; 0 without a label.
        distillation: scalar; 0 where the mode distils nothing.
        logits: of verb, noun and action, each [videos, classes].
    """

    action: torch.Tensor
    distillation: torch.Tensor
    logits: tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def apply_heads(tokens: torch.Tensor, heads: Sequence[nn.Module]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Verb, noun and action logits, each [videos, classes], from states [videos, tokens, width].

    One token serves all heads; of three, each head reads its own.
    """
    last, dtype = tokens.shape[1] - 1, next(heads[0].parameters()).dtype
    verb, noun, action = (head(tokens[:, min(number, last)].to(dtype)) for number, head in enumerate(heads))
    return verb, noun, action


def action_losses(
    states: Sequence[torch.Tensor], labels: torch.Tensor, heads: Sequence[nn.Module], training: str
) -> ActionLosses:
    """The losses of one batch.

    Args:
        states: the action tokens' hidden states, each [videos, tokens, width]: the input embeddings, every layer's
            output, the last of them after the final norm.
        labels: int64 [videos, 3], -1 where there is none.
        heads: the verb, noun and action head.
        training: a mode of ``ActionTokenConfig.training``.

    Raises:
        InputError: a label is not a class of its head.
    """
    logits = apply_heads(states[-1], heads)
    for name, column, head_logits in zip(("verb", "noun", "action"), labels.unbind(1), logits, strict=True):
        if len(column) and not -1 <= int(column.min()) <= int(column.max()) < head_logits.shape[1]:
            raise InputError(f"{name} label {int(column.max())}, but its head has {head_logits.shape[1]} classes")
    used = {"last_layer": states[-1:], "first_layer": states[:1]}.get(training, states)
    terms = torch.stack([
        torch.stack([_cross_entropy(x, y) for x, y in zip(apply_heads(state, heads), labels.T, strict=True)])
        for state in used
    ])  # fmt: skip
    action = (terms * terms.new_tensor(TERM_WEIGHTS)).sum() / (len(used) + 1)
    distillation = terms.new_zeros(())
    if training.endswith("distillation"):
        order = list(states) if training.startswith("reverse") else list(states)[::-1]
        distillation = torch.stack([_divergence(state, order[0]) for state in order[1:]]).sum() / len(states)
    return ActionLosses(action, distillation, logits)


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over the labelled rows; 0 without any, still joined to the graph so that every process has gradients."""
    total = functional.cross_entropy(logits.float(), labels, ignore_index=-1, reduction="sum")
    return total / (labels != -1).sum().clamp(min=1)


def _divergence(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Summed over tokens and hidden dimension, divided by the number of videos."""
    target = teacher.detach().float().softmax(-1)
    total = functional.kl_div(student.float().log_softmax(-1), target, reduction="sum")
    return total / max(len(student), 1)
