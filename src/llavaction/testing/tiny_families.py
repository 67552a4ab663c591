"""What sets the families of tiny checkpoints apart: configuration, special tokens, settings of the processors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llavaction.models.tokenisation import CHAT_TEMPLATE


def _template(video: str, image: str) -> str:
    """A ChatML template that writes ``video`` and ``image`` for the parts of a message."""
    return (
        "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
        "{%- if message.content is string %}{{ message.content }}{%- else %}"
        "{%- for part in message.content %}"
        f"{{%- if part.type == 'video' %}}{{{{ '{video}' }}}}{{%- elif part.type == 'image' %}}{{{{ '{image}' }}}}"
        "{%- else %}{{ part.text }}{%- endif %}"
        "{%- endfor %}{%- endif %}{{ '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
    )


Config = Callable[[dict[str, int], int, int], dict[str, Any]]


@dataclass(frozen=True)
class Family:
    """What sets one family's folder apart.

    Attributes:
        special: special tokens besides those of the chat turns.
        template: the chat template.
        config: builds the configuration from (token ids, entries of the vocabulary, context length).
        image_settings: ``preprocessor_config.json``.
        video_settings: ``video_preprocessor_config.json``; empty where the family has no video processor.
        processor_settings: ``processor_config.json``; empty where none is needed.
        named_tokens: special tokens the family's own processor finds by attribute name.
    """

    special: tuple[str, ...]
    template: str
    config: Config
    image_settings: dict[str, Any]
    video_settings: dict[str, Any] = field(default_factory=dict)
    processor_settings: dict[str, Any] = field(default_factory=dict)
    named_tokens: dict[str, str] = field(default_factory=dict)


def _text(model_type: str, entries: int, context: int, **more: Any) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "vocab_size": entries,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": context,
        "bos_token_id": None,
        "eos_token_id": None,
        "tie_word_embeddings": False,
    } | more


_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
_SQUARE = {"size": {"height": 70, "width": 70}, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255} | _HALF


def _llava_onevision(ids: dict[str, int], entries: int, context: int) -> dict[str, Any]:
    # 70 px are 5 x 5 patches, pooled to 3 x 3: an odd side like the 27 of the real tower
    return {
        "model_type": "llava_onevision",
        "vision_config": {
            "model_type": "siglip_vision_model",
            "image_size": 70,
            "patch_size": 14,
            "vision_use_head": False,
            **_TOWER,
        },
        "text_config": _text("qwen2", entries, context),
        "image_token_index": ids["<image>"],
        "video_token_index": ids["<video>"],
        "image_grid_pinpoints": [[70, 70], [70, 140], [140, 70]],
    }


def _llava_video(ids: dict[str, int], entries: int, context: int) -> dict[str, Any]:
    values = _llava_onevision(ids, entries, context)
    del values["image_grid_pinpoints"]
    # heads for the classes of kitchen_mini: 14 verbs, 22 nouns, and room for every action it can show
    action = {"supervision": "one_token", "token_ids": [ids["<|action|>"]], "verbs": 14, "nouns": 22, "actions": 150}
    return values | {"model_type": "llava_video", "newline_position": "grid", "action": action}


def _llava(ids: dict[str, int], entries: int, context: int) -> dict[str, Any]:
    tower = {"model_type": "clip_vision_model", "image_size": 70, "patch_size": 14, "projection_dim": 32, **_TOWER}
    return {
        "model_type": "llava",
        "vision_config": tower,
        "text_config": _text("qwen2", entries, context),
        "image_token_index": ids["<image>"],
        "image_seq_length": 25,
    }


def _qwen_ids(ids: dict[str, int]) -> dict[str, int]:
    return {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }


def _qwen2_vl(ids: dict[str, int], entries: int, context: int) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    return {
        "model_type": "qwen2_vl",
        "vision_config": {
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "mlp_ratio": 2,
            "num_heads": 2,
            "patch_size": 14,
        },
        "text_config": _text("qwen2_vl_text", entries, context, rope_parameters=rope),
        **_qwen_ids(ids),
    }


def _qwen2_5_vl(ids: dict[str, int], entries: int, context: int) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    return {
        "model_type": "qwen2_5_vl",
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
            "out_hidden_size": 64,
        },
        "text_config": _text("qwen2_5_vl_text", entries, context, rope_parameters=rope),
        **_qwen_ids(ids),
    }


def _qwen3_vl(ids: dict[str, int], entries: int, context: int) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    return {
        "model_type": "qwen3_vl",
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "out_hidden_size": 64,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        "text_config": _text("qwen3_vl_text", entries, context, head_dim=16, rope_parameters=rope),
        **_qwen_ids(ids),
    }


def _qwen3_vl_moe(ids: dict[str, int], entries: int, context: int) -> dict[str, Any]:
    values = _qwen3_vl(ids, entries, context)
    experts = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 1}
    text = values["text_config"] | {"model_type": "qwen3_vl_moe_text", "mlp_only_layers": []} | experts
    return values | {"model_type": "qwen3_vl_moe", "text_config": text}


def _internvl(ids: dict[str, int], entries: int, context: int) -> dict[str, Any]:
    # 56 px are 4 x 4 patches, of which 2 x 2 become one token
    return {
        "model_type": "internvl",
        "vision_config": {"image_size": [56, 56], "patch_size": [14, 14], **_TOWER},
        "text_config": _text("qwen2", entries, context),
        "image_token_id": ids["<IMG_CONTEXT>"],
        "image_seq_length": 4,
        "tie_word_embeddings": False,
    }


def _qwen(config: Config, patch: int, video_tokens: int) -> Family:
    """A family of patches of ``patch`` pixels, 2 x 2 of them a token, a video within 4 to ``video_tokens`` tokens."""
    release = "Qwen2VL" if patch == 14 else "Qwen3VL"

    def settings(kind: str, processor: str, most: int) -> dict[str, Any]:
        limits = {"shortest_edge": 4 * (2 * patch) ** 2, "longest_edge": most * (2 * patch) ** 2}
        shape = {"patch_size": patch, "temporal_patch_size": 2, "merge_size": 2}
        return {f"{kind}_processor_type": processor, "size": limits} | shape | _HALF

    return Family(
        special=("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
        template=_template(
            "<|vision_start|><|video_pad|><|vision_end|>", "<|vision_start|><|image_pad|><|vision_end|>"
        ),
        config=config,
        image_settings=settings("image", "Qwen2VLImageProcessor", 16),
        video_settings=settings("video", f"{release}VideoProcessor", video_tokens),
    )


_INTERNVL_NAMED = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}

FAMILIES: dict[str, Family] = {
    "llava_onevision": Family(
        special=("<image>", "<video>"),
        template=_template("<video>\\n", "<image>\\n"),
        config=_llava_onevision,
        image_settings={"image_processor_type": "LlavaOnevisionImageProcessor", **_SQUARE},
        video_settings={"video_processor_type": "LlavaOnevisionVideoProcessor", **_SQUARE},
        processor_settings={
            "processor_class": "LlavaOnevisionProcessor",
            "num_image_tokens": 25,
            "vision_feature_select_strategy": "full",
        },
    ),
    "llava_video": Family(
        special=("<image>", "<video>", "<|action|>"),
        template=CHAT_TEMPLATE,
        config=_llava_video,
        image_settings={"image_processor_type": "SiglipImageProcessor", **_SQUARE},
        processor_settings={
            "processor_class": "LlavaVideoProcessor",
            "frame_tokens": 3 * (3 + 1),
            "end_tokens": 0,
            "image_tokens": 25 + 1,
            "action_tokens": ["<|action|>"],
        },
    ),
    "qwen2_vl": _qwen(_qwen2_vl, 14, 16),
    "qwen2_5_vl": _qwen(_qwen2_5_vl, 14, 16),
    # the limits of these count the pixels of all frames together
    "qwen3_vl": _qwen(_qwen3_vl, 16, 64),
    "qwen3_vl_moe": _qwen(_qwen3_vl_moe, 16, 64),
    "internvl": Family(
        special=("<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
        template=_template("<video>\\n", "<IMG_CONTEXT>\\n"),
        config=_internvl,
        image_settings={
            "image_processor_type": "GotOcr2ImageProcessor",
            **_SQUARE,
            "size": {"height": 56, "width": 56},
        },
        video_settings={
            "video_processor_type": "InternVLVideoProcessor",
            **_SQUARE,
            "size": {"height": 56, "width": 56},
        },
        processor_settings={"processor_class": "InternVLProcessor", "image_seq_length": 4},
        named_tokens=_INTERNVL_NAMED,
    ),
    "llava": Family(
        special=("<image>",),
        template=_template("", "<image>\\n"),
        config=_llava,
        image_settings={"image_processor_type": "CLIPImageProcessor", **_SQUARE, "do_center_crop": False},
        processor_settings={
            "processor_class": "LlavaProcessor",
            "patch_size": 14,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        },
    ),
}
"""The families :func:`write_tiny` knows, by their Hugging Face ``model_type``."""
