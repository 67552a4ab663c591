"""Heads that start from the words of their classes' names."""

from __future__ import annotations

import pytest
import torch

from helpers.small_models import action_values, small_model
from kitchen_mini.model.names import name_heads
from llavaction.base.errors import InputError


class Splitting:
    """A tokenizer that knows a number for every word; a hyphen makes two tokens of one."""

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        assert text.startswith(" ") and not add_special_tokens
        return {"input_ids": [int(piece) for piece in text.split("-")]}


def test_heads_named_by_words() -> None:
    model = small_model(action=action_values())
    table, last = model.get_input_embeddings().weight.detach(), model.action_head.weight[7:].clone()
    verbs, nouns = ["10", "11-12", "13", "14", "15"], ["20", "21", "22", "23", "24-25-26", "27"]
    actions = [(0, 0), (1, 4), (4, 5), (1, 0), (2, 2), (3, 3), (0, 5)]
    name_heads(model, Splitting(), verbs, nouns, actions)
    torch.testing.assert_close(model.verb_head.weight[1], table[11] + table[12])
    torch.testing.assert_close(model.noun_head.weight[4], table[24] + table[25] + table[26])
    assert torch.equal(model.verb_head.weight[0], table[10]) and torch.equal(model.noun_head.weight[5], table[27])
    torch.testing.assert_close(model.action_head.weight[1], table[[11, 12, 24, 25, 26]].sum(0))
    for row, (verb, noun) in zip(model.action_head.weight, actions, strict=False):
        assert torch.equal(row, model.verb_head.weight[verb] + model.noun_head.weight[noun])
    assert torch.equal(model.action_head.weight[7:], last)  # room for more classes
    assert model.verb_head.weight.requires_grad and model.verb_head.weight.is_leaf
    for changed, message in (
        ((verbs[:4], nouns, actions), "4 class names for a head of 5 classes"),
        ((verbs, [*nouns, "28"], actions), "7 class names for a head of 6 classes"),
        ((verbs, nouns, actions + actions), "14 action classes for a head of 9"),
    ):
        with pytest.raises(InputError, match=message):
            name_heads(model, Splitting(), *changed)
