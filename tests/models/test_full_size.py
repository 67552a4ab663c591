"""The published sizes without their weights: exactly the published tensors, by name and shape."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from helpers.published_checkpoints import HALF_B, SEVEN_B, Sizes, published_settings, published_shapes
from llavaction.models.llava_video import LlavaVideoForConditionalGeneration
from llavaction.models.published import our_config, published_name, tensor_shapes
from llavaction.models.towers import TowerConfig

PLAIN: dict[str, Any] = {}
ONE = {"vision_supervision": "one_token", "action_types": "97,300,3806"}
THREE = {"vision_supervision": "three_tokens", "action_types": "97,300,3806"}


def _settings(sizes: Sizes, changes: dict[str, Any]) -> dict[str, Any]:
    return published_settings(sizes, tie_word_embeddings=sizes is HALF_B, torch_dtype="bfloat16", **changes)


@pytest.mark.parametrize("changes", [PLAIN, ONE, THREE], ids=["plain", "one_token", "three_tokens"])
@pytest.mark.parametrize("sizes", [SEVEN_B, HALF_B], ids=["7B", "0.5B"])
def test_names_and_shapes_are_the_published_ones(sizes: Sizes, changes: dict[str, Any]) -> None:
    settings = _settings(sizes, changes)
    tower = TowerConfig.known(settings["mm_vision_tower"])
    assert tower is not None
    config = our_config(settings, tower)
    with torch.device("meta"):
        model = LlavaVideoForConditionalGeneration(config)
    ours = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert ours == tensor_shapes(config)
    assert {published_name(name): shape for name, shape in ours.items()} == published_shapes(sizes, settings)
    assert config.patches_per_side**2 == 729
    assert config.visual_tokens(16) == 16 * 14 * 15


# by hand: the tower's 26 layers, projector, Qwen2, newline; the heads of 97 + 300 + 3806 classes; 1 or 3 vectors
_TOWER = 26 * (4 * (1152**2 + 1152) + 2 * 1152 * 4304 + 4304 + 1152 + 4 * 1152) + (3 * 196 + 1 + 729 + 2) * 1152
_SEVEN_B = {
    "layers": 28 * (2 * 3584**2 + 3584 + 2 * (512 * 3584 + 512) + 3 * 3584 * 18944 + 2 * 3584),
    "words": 2 * 152064 * 3584,
    "projector": 1152 * 3584 + 3584**2 + 2 * 3584,
    "norm and newline": 2 * 3584,
}
_HALF_B = {
    "layers": 24 * (2 * 896**2 + 896 + 2 * (128 * 896 + 128) + 3 * 896 * 4864 + 2 * 896),
    "words": 151936 * 896,
    "projector": 1152 * 896 + 896**2 + 2 * 896,
    "norm and newline": 2 * 896,
}


@pytest.mark.parametrize(
    ("sizes", "parts", "total"),
    [(SEVEN_B, _SEVEN_B, 8_030_348_832), (HALF_B, _HALF_B, 893_618_208)],
    ids=["7B", "0.5B"],
)
def test_parameter_counts(sizes: Sizes, parts: dict[str, int], total: int) -> None:
    def count(changes: dict[str, Any]) -> int:
        config = our_config(settings := _settings(sizes, changes), TowerConfig.known(settings["mm_vision_tower"]))
        return sum(math.prod(shape) for shape in tensor_shapes(config).values())

    assert count(PLAIN) == _TOWER + sum(parts.values()) == total
    assert count(ONE) - count(PLAIN) == (97 + 300 + 3806 + 1) * sizes.hidden
    assert count(THREE) - count(ONE) == 2 * sizes.hidden
