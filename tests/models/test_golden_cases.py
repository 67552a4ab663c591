"""How golden rows become model inputs: by the project's own processor, whatever the case is like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.golden_cases import GoldenCase
from llavaction.models.llava_video import LlavaVideoConfig
from llavaction.testing.tiny_families import FAMILIES

VISUAL, IGNORED = -200, -100
IDS = {"<image>": 50, "<video>": 51, "<|action|>": 52}
VIDEO_TOKENS, IMAGE_TOKENS = 2 * 3 * (3 + 1), 25 + 1
"""A video of two frames of 3 x 3 tokens with newlines between the rows, an image of 5 x 5 tokens with one newline."""


def config() -> LlavaVideoConfig:
    values = FAMILIES["llava_video"].config(IDS, 50, 512)
    return LlavaVideoConfig(**{name: value for name, value in values.items() if name != "model_type"})


def case(**settings: Any) -> GoldenCase:
    """A row with a video, a longer one with a still image stored as [3, height, width]."""
    ids = torch.tensor([[7, VISUAL, 8, 9, 0], [5, 6, VISUAL, 3, 4]])
    return GoldenCase(
        Path("made"),
        settings,
        {
            "input_ids": ids,
            "labels": torch.where(ids == VISUAL, IGNORED, ids),
            "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1] * 5]).bool(),
            "actions": torch.tensor([[3, 8, 17], [-1, -1, -1]]),
            "images.0": torch.randn(2, 3, 70, 70, generator=torch.Generator().manual_seed(0)),
            "images.1": torch.randn(3, 70, 70, generator=torch.Generator().manual_seed(1)),
            "gen_input_ids.0": torch.tensor([[5, VISUAL, 3]]),
        },
        {
            "modalities": ["video", "image"],
            "image_token_index": VISUAL,
            "pad_token_id": 0,
            "generate": [{"images": [1]}],
        },
        {},
        {},
    )


VIDEO_ROW = [7, *[51] * VIDEO_TOKENS, 52, 8, 9]
IMAGE_ROW = [5, 6, *[50] * IMAGE_TOKENS, 3, 4]


@pytest.mark.parametrize("side", ["right", "left"])
def test_rows_are_expanded_and_filled_up(side: str) -> None:
    golden = case(tokenizer_padding_side=side)
    inputs = golden.batch(config())
    fill = len(IMAGE_ROW) - len(VIDEO_ROW)
    assert fill == 2
    for values, own, filler in (
        (inputs["input_ids"], VIDEO_ROW, 0),
        (inputs["attention_mask"], [1] * len(VIDEO_ROW), 0),
        (inputs["labels"], [7, *[IGNORED] * (VIDEO_TOKENS + 1), 8, 9], IGNORED),
    ):
        filling = [filler] * fill
        assert values[0].tolist() == ([*filling, *own] if side == "left" else [*own, *filling])
    assert inputs["input_ids"][1].tolist() == IMAGE_ROW
    assert inputs["labels"][1].tolist() == [5, 6, *[IGNORED] * IMAGE_TOKENS, 3, 4]
    assert inputs["action_labels"].tolist() == [[3, 8, 17], [-1, -1, -1]]
    assert torch.equal(inputs["pixel_values_videos"], golden.inputs["images.0"][None])
    assert torch.equal(inputs["pixel_values"].view(3, 70, 70), golden.inputs["images.1"])


def test_what_is_cut_off_is_not_seen() -> None:
    inputs = case(tokenizer_model_max_length=2).batch(config())
    assert inputs["input_ids"].tolist() == [[7, 51], [5, 6]]
    assert len(inputs["pixel_values_videos"]) == 1
    assert "pixel_values" not in inputs


def test_a_still_image_in_a_prompt() -> None:
    golden = case()
    inputs = golden.prompt(config(), 0)
    assert inputs["input_ids"].tolist() == [[5, *[50] * IMAGE_TOKENS, 3]]
    assert torch.equal(inputs["pixel_values"].view(3, 70, 70), golden.inputs["images.1"])
    assert "labels" not in inputs
