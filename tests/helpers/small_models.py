"""Small LLaVA-Video models and batches for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kitchen_mini.model.config import MiniConfig
from llavaction.models.checkpoint import load_model, open_checkpoint
from llavaction.models.llava_video import LlavaVideoConfig, LlavaVideoForConditionalGeneration

WORDS = 100
IMAGE, VIDEO, FIRST_ACTION = WORDS, WORDS + 1, WORDS + 2
SIZES = {"verbs": 5, "nouns": 6, "actions": 9}


def action_values(supervision: str = "one_token", training: str = "all_layers") -> dict[str, Any]:
    number = {"one_token": 1, "three_tokens": 3, "newline": 0}[supervision]
    ids = list(range(FIRST_ACTION, FIRST_ACTION + number))
    return {"supervision": supervision, "training": training, **SIZES, "token_ids": ids}


def small_config(patches: int = 5, **values: Any) -> LlavaVideoConfig:
    """A configuration whose frames have ``patches`` x ``patches`` patches of 14 pixels."""
    tower = {
        "model_type": "siglip_vision_model",
        "image_size": 14 * patches,
        "patch_size": 14,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vision_use_head": False,
    }
    text = {
        "model_type": "qwen2",
        "vocab_size": WORDS,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
    }
    return LlavaVideoConfig(
        vision_config=tower,
        text_config=text | values.pop("text", {}),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        **values,
    )


def small_model(attention: str = "eager", seed: int = 0, **values: Any) -> LlavaVideoForConditionalGeneration:
    """A model with weights large enough that every part of the input matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaVideoForConditionalGeneration._from_config(small_config(**values), attn_implementation=attention)
    return model.eval()


def small_video(frames: int, seed: int, side: int = 70) -> torch.Tensor:
    return torch.randn(frames, 3, side, side, generator=torch.Generator().manual_seed(seed))


def row_of(config: LlavaVideoConfig, *parts: int | list[int]) -> list[int]:
    """Ids of a row: a list stands for words, a number for a video of so many frames."""
    ids: list[int] = []
    for part in parts:
        if isinstance(part, list):
            ids += part
        else:
            ids += [VIDEO] * config.visual_tokens(part) + list((config.action or {}).get("token_ids", ()))
    return ids


def batch_of(rows: list[list[int]], videos: list[torch.Tensor], left: bool = False) -> dict[str, torch.Tensor]:
    """Padded model inputs, with labels for every word."""
    length = max(len(row) for row in rows)

    def padded(values: list[int], filler: int) -> list[int]:
        padding = [filler] * (length - len(values))
        return padding + values if left else values + padding

    inputs = {
        "input_ids": torch.tensor([padded(row, 0) for row in rows]),
        "attention_mask": torch.tensor([padded([1] * len(row), 0) for row in rows]),
        "labels": torch.tensor([padded([i if i < WORDS else -100 for i in row], -100) for row in rows]),
    }
    if videos:
        inputs["pixel_values_videos"] = torch.nn.utils.rnn.pad_sequence(videos, batch_first=True)
        inputs["video_frame_counts"] = torch.tensor([len(video) for video in videos])
    return inputs


MINI = MiniConfig(side=24, patch=12, tower_width=32, tower_layers=1, width=64, layers=2, entries=400, context=512)
MINI_TEXTS = (
    "What is the person doing?\nA. turn-on tap\nB. take plate\nC. wash pan\nAnswer with a letter.",
    "<video>\nWhich is it?\nA. wash plate\nB. turn-on tap\nC. take pan",
) * 3


def mini_model(folder: Path, attention: str | None = None) -> Any:
    """The model of a folder of ``write_mini``, in float32."""
    return load_model(open_checkpoint(folder), device=torch.device("cpu"), dtype=torch.float32, attention=attention)
