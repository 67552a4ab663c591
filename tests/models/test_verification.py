"""The verification itself: its published side against recorded logits, and whether it notices what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from helpers.golden_cases import GoldenCase, golden_cases
from helpers.published_checkpoints import HEADS, tower_settings, write_published
from llavaction.base.errors import InputError
from llavaction.models.convert import convert
from llavaction.models.published import PublishedConfig
from llavaction.models.shards import open_weights
from llavaction.models.towers import TowerConfig
from llavaction.models.verification import Clip, available_memory, compare_arithmetic, published_logits


def test_the_published_side_computes_what_the_published_code_did(shared: Path) -> None:
    compared = 0
    for folder in golden_cases(shared / "golden"):
        case = GoldenCase.read(folder)
        config, tower = PublishedConfig.from_mapping(case.settings), TowerConfig.read(folder / "siglip_config.json")
        for row, ids in enumerate(case.rows):
            if ids.count(-200) != 1 or case.notes["modalities"][row] != "video":
                continue
            place = ids.index(-200)
            before, after = torch.tensor(ids[:place]), torch.tensor(ids[place + 1 :])
            clip = Clip(case.inputs[f"images.{row}"], before, after)
            found = published_logits(open_weights(folder), config, tower, clip)
            kept = case.expected["attention_mask"][row]
            torch.testing.assert_close(found["logits"], case.expected["logits"][row][kept], atol=1e-4, rtol=0)
            for head in ("verb", "noun", "action"):
                if f"{head}_logits" in case.expected:
                    expected = case.expected[f"{head}_logits"][row]
                    torch.testing.assert_close(found[head], expected, atol=1e-4, rtol=0)
            compared += 1
    assert compared >= 14


def test_it_fails_when_the_models_differ(tmp_path: Path) -> None:
    published = write_published(tmp_path / "published", vision_supervision="one_token", **HEADS)
    convert(published, tmp_path / "ours")
    tensors = open_weights(published)
    settings, tower = json.loads((published / "config.json").read_text()), TowerConfig.from_mapping(tower_settings())
    assert compare_arithmetic(tensors, settings, tower, tmp_path / "ours") < 2e-5  # type: ignore[operator]
    twisted = dict(tensors)
    first, second = (f"model.layers.1.self_attn.{name}_proj.weight" for name in ("q", "o"))
    twisted[first], twisted[second] = tensors[second], tensors[first]
    with pytest.raises(InputError, match="its logits differ"):
        compare_arithmetic(twisted, settings, tower, tmp_path / "ours")
    for changes in ({"mm_newline_position": "one_token"}, {"mm_spatial_pool_mode": "average"}, {"rope_theta": 500.0}):
        with pytest.raises((InputError, RuntimeError)):  # other lengths, or other logits
            compare_arithmetic(tensors, settings | changes, tower, tmp_path / "ours")


def test_memory_is_known_here() -> None:
    if Path("/proc/meminfo").exists():
        assert 10**7 < available_memory() < 10**14
    else:
        assert available_memory() == 0
