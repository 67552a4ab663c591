"""Layers that change nothing at first, and a model that runs in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.small_models import MINI, MINI_TEXTS, mini_model
from kitchen_mini.model.depth import add_layers_below, first_layers
from kitchen_mini.model.mini import write_mini

IDS = torch.randint(300, (2, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("mini"), MINI_TEXTS, MINI)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("layers", [1, 3])  # fewer than there are, and more
def test_new_layers_change_nothing_and_survive_saving(folder: Path, tmp_path: Path, layers: int) -> None:
    model = mini_model(folder)
    before, state = logits(model), torch.get_rng_state()
    add_layers_below(model, layers, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(logits(model), before)
    text, stack = model.config.text_config, model.model.language_model.layers
    assert text.num_hidden_layers == len(stack) == len(text.layer_types) == 2 + layers
    assert [layer.self_attn.layer_idx for layer in stack] == list(range(2 + layers))
    for layer in stack[:layers]:
        assert not layer.self_attn.o_proj.weight.any() and not layer.mlp.down_proj.weight.any()
        assert layer.self_attn.v_proj.weight.any() and layer.mlp.up_proj.weight.any()
    with torch.no_grad():
        torch.nn.init.normal_(stack[0].mlp.down_proj.weight, std=0.1)
    changed = logits(model)
    assert (changed - before).abs().max() > 1e-2
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert torch.equal(logits(mini_model(tmp_path)), changed)


def test_new_layers_are_those_of_the_seed(folder: Path) -> None:
    found = []
    for seed in (1, 1, 2):
        model = mini_model(folder)
        add_layers_below(model, 1, seed)
        found.append(model.model.language_model.layers[0].mlp.up_proj.weight)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_with_cache_as_without(folder: Path) -> None:
    model = mini_model(folder)
    add_layers_below(model, 3)
    with torch.no_grad():
        for number, layer in enumerate(model.model.language_model.layers[:3]):
            torch.nn.init.normal_(layer.self_attn.o_proj.weight, std=0.1 + 0.05 * number)
    asked = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "do_sample": False, "min_new_tokens": 6}
    told = [model.generate(**asked, max_new_tokens=6, use_cache=cache).tolist() for cache in (True, False)]
    assert told[0] == told[1] and len(told[0][0]) == 18
    with torch.no_grad():
        first = model(input_ids=IDS[:, :8], use_cache=True)
        rest = model(input_ids=IDS[:, 8:], past_key_values=first.past_key_values).logits
    torch.testing.assert_close(rest, logits(model)[:, 8:], atol=1e-4, rtol=0)


def test_the_first_layers_alone(folder: Path) -> None:
    model = mini_model(folder)

    def states() -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return model(input_ids=IDS, output_hidden_states=True).hidden_states

    whole, stack = states(), model.model.language_model.layers
    with first_layers(model, 1):
        some = states()
    assert (len(whole), len(some)) == (3, 2)
    assert torch.equal(some[0], whole[0])
    assert torch.equal(some[1], model.model.language_model.norm(whole[1]))  # the last is normalised
    with first_layers(model, None):
        assert len(states()) == 3
    with pytest.raises(RuntimeError, match="in between"), first_layers(model, 1):
        assert len(model.model.language_model.layers) == 1
        raise RuntimeError("in between")
    assert model.model.language_model.layers is stack
    assert all(torch.equal(one, other) for one, other in zip(states(), whole, strict=True))
