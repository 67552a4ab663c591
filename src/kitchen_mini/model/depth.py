"""Making a language model deeper, or running a part of it: how a small model learns in lessons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def add_layers_below(model: Any, layers: int, seed: int = 0) -> None:
    """Put new layers under a language model's own that change nothing until they are trained.

    What they would write is zero at first, so the outputs stay the same bit for bit (the expansion of "LLaMA Pro",
    Wu et al., ACL 2024, here below instead of in between).

    Args:
        model: a model whose language model is a stack of Qwen2's layers.
        layers: how many.
        seed: of the new weights.
    """
    text = model.config.text_config
    stack = model.model.language_model.layers
    first = stack[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new = [type(first)(text, 0) for _ in range(layers)]  # they get their numbers below
        for layer in new:
            for name, weight in layer.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight", "bias")):
                    nn.init.zeros_(weight)
                elif weight.dim() > 1:
                    nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    place = first.self_attn.q_proj.weight
    model.model.language_model.layers = nn.ModuleList([*(layer.to(place) for layer in new), *stack])
    for number, layer in enumerate(model.model.language_model.layers):
        layer.self_attn.layer_idx = number
    text.num_hidden_layers += layers
    if getattr(text, "layer_types", None):
        text.layer_types = [text.layer_types[0]] * layers + list(text.layer_types)


@contextmanager
def first_layers(model: Any, layers: int | None) -> Iterator[None]:
    """Within the block, run only the first so many layers of a language model (all where None).

    Args:
        model: a model whose language model is a stack of layers with a norm behind them.
        layers: how many.
    """
    language = model.model.language_model
    stack = language.layers
    try:
        language.layers = stack[:layers]
        yield
    finally:
        language.layers = stack
