"""The action token over backbones that are built otherwise: joined rightly, or refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    InternVLConfig,
    InternVLForConditionalGeneration,
)

from llavaction.base.errors import InputError
from llavaction.models.action_model import ActionTokenMixin

TEXT = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
ACTION = {"supervision": "one_token", "token_ids": [96], "verbs": 3, "nouns": 4, "actions": 5}


class GemmaWithAction(ActionTokenMixin, Gemma3ForConditionalGeneration):
    """Its word vectors are scaled."""


class InternVLWithAction(ActionTokenMixin, InternVLForConditionalGeneration):
    """Its videos are written with the token of an image."""


def internvl_config() -> Any:
    config = InternVLConfig(
        vision_config={"image_size": [28, 28], "patch_size": [14, 14], **TOWER},
        text_config={"model_type": "qwen2", **TEXT, "tie_word_embeddings": False},
        image_token_id=95,
        tie_word_embeddings=False,
    )
    config.action = ACTION
    return config


def test_a_backbone_that_scales_its_word_vectors_is_refused() -> None:
    config = Gemma3Config(
        text_config={**TEXT, "head_dim": 16}, vision_config={**TOWER, "image_size": 28, "patch_size": 14}
    )
    config.action = ACTION
    with pytest.raises(InputError, match=r"ScaledWordEmbedding of models of type 'gemma3' is no plain table"):
        GemmaWithAction(config)


def test_a_backbone_without_a_token_for_videos_reads_as_before() -> None:
    config = internvl_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = InternVLForConditionalGeneration(config).eval()
        joined = InternVLWithAction(config).eval()
    missing, surplus = joined.load_state_dict(plain.state_dict(), strict=False)
    assert not surplus
    assert sorted(name.split(".")[-2] for name in missing) == ["action_head", "action_token", "noun_head", "verb_head"]
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        assert torch.equal(joined(input_ids=ids).logits, plain(input_ids=ids).logits)
        ids[0, 8] = 96  # the action token, beyond the table
        outputs = joined(input_ids=ids, action_labels=torch.tensor([[1, 2, 4]]), labels=ids.clamp(max=94))
    assert outputs.verb_logits.shape == (1, 3)
    assert bool(outputs.loss.isfinite())
