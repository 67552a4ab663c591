"""The published format: its configuration in our words and back, its names, its towers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.golden_cases import golden_cases
from helpers.published_checkpoints import HEADS, TINY, TOWER, published_settings, published_shapes, tower_settings
from llavaction.base.errors import InputError
from llavaction.models.llava_video import LlavaVideoConfig
from llavaction.models.published import PublishedConfig, our_config, published_config, published_name, tensor_shapes
from llavaction.models.towers import TowerConfig

TINY_TOWER = TowerConfig.from_mapping(tower_settings())


def _stored_again(config: LlavaVideoConfig, folder: Path) -> LlavaVideoConfig:
    config.save_pretrained(folder)
    return LlavaVideoConfig.from_pretrained(folder)


def test_golden_configurations_come_back_as_they_were(shared: Path, tmp_path: Path) -> None:
    cases = golden_cases(shared / "golden")
    assert len(cases) >= 7
    for case in cases:
        stored = json.loads((case / "config.json").read_text())
        tower = TowerConfig.read(case / "siglip_config.json")
        config = _stored_again(our_config(stored, tower), tmp_path / case.name)
        assert list(published_config(config).items()) == list(stored.items())
        assert config.image_token_id == stored["vocab_size"]
        assert config.vision_config.num_hidden_layers == tower.num_hidden_layers - 1


VARIANTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"newline_position": "grid", "still_newline": True, "pooling": "bilinear", "action": None}),
    ({"mm_newline_position": "frame", "mm_spatial_pool_mode": "average"}, {"newline_position": "frame"}),
    ({"mm_newline_position": "one_token", "mm_spatial_pool_mode": "max"}, {"pooling": "max"}),
    ({"mm_newline_position": "no_token"}, {"newline_position": "none", "still_newline": True}),
    ({"mm_patch_merge_type": "flat"}, {"newline_position": "none", "still_newline": False}),
    ({"mm_patch_merge_type": "spatial", "mm_newline_position": "one_token"}, {"still_newline": False}),
    ({"mm_spatial_pool_mode": None}, {"pooling": "bilinear"}),
    ({"tie_word_embeddings": True}, {"tie_word_embeddings": True}),
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, {}),  # the published code sets it aside, too
    ({"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, {}),
    ({"vision_supervision": "newline", **HEADS}, {}),
    (
        {
            "vision_supervision": "one_token",
            "mm_patch_merge_type": "spatial",
            "mm_newline_position": "no_token",
            **HEADS,
        },
        {"newline_position": "none", "still_newline": False},
    ),
    ({"vision_supervision": "three_tokens", "vision_token_training": "reverse_distillation", **HEADS}, {}),
    ({"vision_supervision": None, "action_types": "97,300,3806"}, {"action": None}),
    ({"some_future_key": {"nested": [1, None]}}, {}),
]


@pytest.mark.parametrize(("changes", "expected"), VARIANTS)
def test_every_setting_comes_back(changes: dict[str, Any], expected: dict[str, Any], tmp_path: Path) -> None:
    stored = published_settings(**changes)
    config = _stored_again(our_config(stored, TINY_TOWER), tmp_path)
    assert published_config(config) == stored
    assert {name: getattr(config, name) for name in expected} == expected


def test_fields_of_the_language_model() -> None:
    stored = published_settings(use_sliding_window=True, sliding_window=64, max_window_layers=1, rope_theta=5000)
    text: Any = our_config(stored, TINY_TOWER).text_config
    assert (text.hidden_size, text.intermediate_size, text.num_hidden_layers) == (32, 48, 2)
    assert (text.num_attention_heads, text.num_key_value_heads, text.vocab_size) == (4, 2, 300)
    assert text.rope_parameters["rope_theta"] == 5000
    assert text.layer_types == ["full_attention", "sliding_attention"]
    assert (text.bos_token_id, text.eos_token_id, text.pad_token_id) == (1, 2, None)


def test_action_settings_and_ids() -> None:
    stored = published_settings(vision_supervision="three_tokens", vision_token_training="last_layer", **HEADS)
    action = our_config(stored, TINY_TOWER).action
    assert action == {
        "supervision": "three_tokens",
        "training": "last_layer",
        "verbs": 3,
        "nouns": 4,
        "actions": 6,
        "token_ids": (302, 303, 304),  # behind the placeholders, which come behind the vocabulary
    }
    config = our_config(stored, TINY_TOWER, [290, 291, 292, 293, 294])
    assert (config.image_token_id, config.video_token_id) == (290, 291)
    assert config.action is not None
    assert config.action["token_ids"] == (292, 293, 294)


@pytest.mark.parametrize("training", ["anything", None])
def test_unknown_training_means_all_layers_and_comes_back(training: str | None) -> None:
    stored = published_settings(vision_supervision="one_token", vision_token_training=training, **HEADS)
    config = our_config(stored, TINY_TOWER)
    assert config.action is not None
    assert config.action["training"] == "all_layers"
    assert published_config(config) == stored


def test_only_what_was_changed_is_written() -> None:
    stored = published_settings(vision_supervision="one_token", vision_token_training="anything", **HEADS)
    config = our_config(stored, TINY_TOWER)
    assert config.action is not None
    config.action = config.action | {"training": "first_layer"}
    config.pooling = "max"
    assert published_config(config) == stored | {
        "vision_token_training": "first_layer",
        "mm_spatial_pool_mode": "max",
    }
    config.action = None
    heads = {"vision_supervision", "vision_token_training", "action_types"}
    assert published_config(config).keys() == stored.keys() - heads


@pytest.mark.parametrize("changes", [variant[0] for variant in VARIANTS])
def test_a_model_that_was_never_published(changes: dict[str, Any]) -> None:
    config = our_config(published_settings(**changes), TINY_TOWER)
    config.published = None
    again = our_config(published_config(config), TowerConfig.of_model(config))
    again.published = None
    assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize("origin", [variant[0] for variant in VARIANTS])
def test_any_change_since_the_conversion_is_written(origin: dict[str, Any]) -> None:
    for changes, _ in VARIANTS:
        config = our_config(published_settings(**changes), TINY_TOWER)
        config.published = published_settings(**origin)
        again = our_config(published_config(config), TINY_TOWER)
        again.published = config.published
        assert again.to_dict() == config.to_dict()


def test_what_the_published_format_cannot_say() -> None:
    config = our_config(published_settings(), TINY_TOWER)
    config.still_newline = False
    with pytest.raises(InputError, match="no newlines in videos without one"):
        published_config(config)
    config = our_config(published_settings(), TINY_TOWER)
    text: Any = config.text_config
    text.rope_parameters["rope_type"] = "yarn"
    with pytest.raises(InputError, match="'yarn'"):
        published_config(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mm_projector_type": "linear"}, "mm_projector_type: Input should be 'mlp2x_gelu'"),
        ({"mm_resampler_type": "perceiver"}, "mm_resampler_type"),
        ({"add_faster_video": True}, "add_faster_video"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"mm_newline_position": "nowhere"}, "mm_newline_position"),
        ({"mm_patch_merge_type": "round"}, "mm_patch_merge_type"),
        ({"mm_patch_merge_type": "spatial"}, "'grid' needs 'unpad'"),
        ({"vision_supervision": "two_tokens"}, "vision_supervision"),
        ({"vision_supervision": "one_token"}, "but not action_types"),
        ({"vision_supervision": "one_token", "action_types": "97,300"}, "action_types"),
        ({"vision_supervision": "one_token", "mm_patch_merge_type": "flat", **HEADS}, "leaves the action token out"),
    ],
)
def test_settings_that_are_not_supported(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        our_config(published_settings(**changes), TINY_TOWER)


def test_missing_settings_are_named() -> None:
    stored = published_settings()
    del stored["num_key_value_heads"]
    with pytest.raises(InputError, match="num_key_value_heads: Field required"):
        PublishedConfig.from_mapping(stored)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True},
        {"vision_supervision": "newline", **HEADS},
        {"vision_supervision": "one_token", **HEADS},
        {"vision_supervision": "three_tokens", "tie_word_embeddings": True, **HEADS},
    ],
)
def test_names_and_shapes(changes: dict[str, Any]) -> None:
    stored = published_settings(**changes)
    ours = tensor_shapes(our_config(stored, TINY_TOWER))
    named = {published_name(name): shape for name, shape in ours.items()}
    assert named == published_shapes(TINY, stored)
    assert len(named) == len(ours)


def test_names_by_example() -> None:
    inner = "encoder.layers.3.mlp.fc1.bias"
    assert published_name(f"model.vision_tower.{inner}") == TOWER + inner
    assert published_name("model.multi_modal_projector.linear_2.bias") == "model.mm_projector.2.bias"
    assert published_name("model.language_model.layers.0.mlp.up_proj.weight") == "model.layers.0.mlp.up_proj.weight"
    assert published_name("model.language_model.embed_tokens.action_token.weight") == "model.action_supervision"
    for same in ("model.image_newline", "lm_head.weight", "verb_head.weight"):
        assert published_name(same) == same
