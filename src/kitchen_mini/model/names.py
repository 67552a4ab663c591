"""Heads that start from words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from llavaction.base.errors import InputError


@torch.no_grad()
def name_heads(
    model: Any, tokenizer: Any, verbs: Sequence[str], nouns: Sequence[str], actions: Sequence[tuple[int, int]]
) -> None:
    """Start the heads from the word vectors of the classes' names.

    A state that the heads read right is then one in which the language model finds the words themselves.

    Args:
        model: a model with an action token.
        tokenizer: its tokenizer.
        verbs, nouns: names of all classes, in the order of their ids; the vector of an empty name is 0.
        actions: verb and noun of the action classes, in the order of their ids; the head may have room for more.

    Raises:
        InputError: there are not as many names as the head has classes, or more actions.
    """
    table = model.get_input_embeddings().weight
    for head, names in zip((model.verb_head, model.noun_head), (verbs, nouns), strict=True):
        if len(names) != len(head.weight):
            raise InputError(f"{len(names)} class names for a head of {len(head.weight)} classes")
        for row, name in zip(head.weight, names, strict=True):
            ids = tokenizer(f" {name}", add_special_tokens=False)["input_ids"] if name else []
            row.copy_(table[ids].sum(0))
    if len(actions) > len(model.action_head.weight):
        raise InputError(f"{len(actions)} action classes for a head of {len(model.action_head.weight)}")
    for row, (verb, noun) in zip(model.action_head.weight, actions, strict=False):
        row.copy_(model.verb_head.weight[verb] + model.noun_head.weight[noun])
