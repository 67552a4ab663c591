"""Tiny random video-language checkpoints: the layout and the code path of the real ones, made offline in a second.

They answer at random but see every pixel, so tests and the demo exercise exactly what a real checkpoint would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText, GenerationConfig, PreTrainedTokenizerFast

from llavaction.base.errors import InputError
from llavaction.base.records import write_json
from llavaction.base.registry import suggestion
from llavaction.base.seeding import hashed_rng
from llavaction.models.checkpoint import quiet

VOCABULARY = 512
"""Entries learnt by the tokenizer (256 bytes and the merges); the special tokens come on top."""

_END, _PAD = "<|im_end|>", "<|endoftext|>"
# What the merges are learnt from; any text may be written with them, these words only take fewer tokens.
_CORPUS = (
    "What is the person doing? What action are you performing? The video lasts for seconds.",
    "Answer with the option's letter. Here are the options: A. take plate B. put knife C. open door D. close fridge",
    "E. wash pan F. cut onion G. mix pasta H. pour water I. move cup J. turn-on tap K. turn-off hob L. dry hand",
    "M. peel potato N. throw bag O. remove lid P. insert spoon Q. scoop rice R. stir food S. shake bottle",
    "T. fold cloth U. squeeze sponge V. press button W. scrub board X. empty bowl Y. fill kettle Z. hold glass",
    "You are seeing this video from egocentric view. Your hands are sometimes interacting with objects.",
)
_TEMPLATE = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{ message.content }}{%- else %}"
    "{%- for part in message.content %}"
    "{%- if part.type == 'video' %}{{ 'VIDEO' }}{%- elif part.type == 'image' %}{{ 'IMAGE' }}"
    "{%- else %}{{ part.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}{{ '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)


@dataclass(frozen=True)
class _Family:
    """What sets one family's folder apart.

    Attributes:
        special: special tokens besides those of the chat turns.
        video, image: what the chat template writes for a video and for an image.
        config: builds the configuration from (token ids, entries of the vocabulary, context length).
        image_settings: ``preprocessor_config.json``.
        video_settings: ``video_preprocessor_config.json``; empty where the family has no video processor.
        processor_settings: ``processor_config.json``; empty where none is needed.
        named_tokens: special tokens the family's own processor finds by attribute name.
    """

    special: tuple[str, ...]
    video: str
    image: str
    config: Callable[[dict[str, int], int, int], dict[str, Any]]
    image_settings: dict[str, Any]
    video_settings: dict[str, Any]
    processor_settings: dict[str, Any]
    named_tokens: dict[str, str]


def write_tiny_llava_onevision(folder: str | Path, seed: int = 0, *, context: int = 8192) -> Path:
    """Write a tiny random ``LlavaOnevision`` checkpoint (SigLIP tower, Qwen2 text model); see :func:`write_tiny`."""
    return write_tiny(folder, "llava_onevision", seed, context=context)


def write_tiny(folder: str | Path, family: str = "llava_onevision", seed: int = 0, *, context: int = 8192) -> Path:
    """Write a complete tiny random checkpoint folder that ``AutoModelForImageTextToText`` loads.

    Configuration, safetensors weights, byte-level tokenizer (round-trips any text), chat template and the settings of
    the image and video processors. Equal arguments give equal weights and an equal tokenizer.

    Args:
        folder: where to write; made if need be, files of the same names are replaced.
        family: one of ``FAMILIES``.
        seed: of the weights; the tokenizer does not depend on it.
        context: longest sequence the text model accepts, in tokens.

    Returns:
        The folder.

    Raises:
        InputError: the family is unknown.
    """
    if family not in FAMILIES:
        raise InputError(f"unknown tiny model family '{family}'", hint=suggestion(family, FAMILIES))
    kind = FAMILIES[family]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(kind.special, kind.named_tokens)
    tokenizer.chat_template = _TEMPLATE.replace("VIDEO", kind.video).replace("IMAGE", kind.image)
    tokenizer.model_max_length = context
    tokenizer.save_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    ids = {token: vocabulary[token] for token in (_END, _PAD, *kind.special)}
    entries = -(-len(tokenizer) // 64) * 64  # real checkpoints, too, have more rows than the tokenizer has tokens
    values = kind.config(ids, entries, context)
    config = CONFIG_MAPPING[values.pop("model_type")](**values)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    _fill(model, family, seed)
    model.generation_config = GenerationConfig(eos_token_id=ids[_END], pad_token_id=ids[_PAD])
    with quiet():
        model.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", kind.image_settings)
    for name, settings in (
        ("video_preprocessor_config.json", kind.video_settings),
        ("processor_config.json", kind.processor_settings),
    ):
        if settings:
            write_json(folder / name, settings)
    return folder


def build_tokenizer(
    special: tuple[str, ...] = (), named_tokens: dict[str, str] | None = None
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learnt from a few built-in sentences; decoding gives back any text exactly.

    Args:
        special: special tokens after ``<|endoftext|>``, ``<|im_start|>`` and ``<|im_end|>``.
        named_tokens: attribute name to special token, for processors that look them up on the tokenizer.
    """
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(_CORPUS, trainer)
    named = named_tokens or {}
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=_END,
        pad_token=_PAD,
        additional_special_tokens=["<|im_start|>", *(token for token in special if token not in named.values())],
        **named,
    )


def _fill(model: torch.nn.Module, family: str, seed: int) -> None:
    """Draw every parameter from a generator of its own: order and library version do not matter."""
    for name, parameter in model.named_parameters():
        rng = hashed_rng("tiny", family, seed, name)
        shape = tuple(parameter.shape)
        last = name.rsplit(".", 1)[-1]
        if len(shape) > 1:
            scale = 0.5 if "embed" in name and len(shape) == 2 else float(np.prod(shape[1:])) ** -0.5
            values = rng.standard_normal(shape) * scale
        elif last == "bias":
            values = np.zeros(shape)
        elif last == "weight" or "lambda" in last:
            values = np.ones(shape)
        else:
            values = rng.standard_normal(shape) * 0.5
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


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


def _qwen_settings(kind: str, patch: int, smallest: int, largest: int) -> dict[str, Any]:
    return {
        f"{kind}_processor_type": {
            "image": "Qwen2VLImageProcessor",
            "video": "Qwen2VLVideoProcessor" if patch == 14 else "Qwen3VLVideoProcessor",
        }[kind],
        "size": {"shortest_edge": smallest, "longest_edge": largest},
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
    } | _HALF


_QWEN_SPECIAL = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_QWEN_VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"
_QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
_INTERNVL_NAMED = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}

FAMILIES: dict[str, _Family] = {
    "llava_onevision": _Family(
        special=("<image>", "<video>"),
        video="<video>\\n",
        image="<image>\\n",
        config=_llava_onevision,
        image_settings={"image_processor_type": "LlavaOnevisionImageProcessor", **_SQUARE},
        video_settings={"video_processor_type": "LlavaOnevisionVideoProcessor", **_SQUARE},
        processor_settings={
            "processor_class": "LlavaOnevisionProcessor",
            "num_image_tokens": 25,
            "vision_feature_select_strategy": "full",
        },
        named_tokens={},
    ),
    "qwen2_5_vl": _Family(
        special=_QWEN_SPECIAL,
        video=_QWEN_VIDEO,
        image=_QWEN_IMAGE,
        config=_qwen2_5_vl,
        image_settings=_qwen_settings("image", 14, 4 * 28**2, 16 * 28**2),
        video_settings=_qwen_settings("video", 14, 4 * 28**2, 16 * 28**2),
        processor_settings={},
        named_tokens={},
    ),
    "qwen3_vl": _Family(
        special=_QWEN_SPECIAL,
        video=_QWEN_VIDEO,
        image=_QWEN_IMAGE,
        config=_qwen3_vl,
        image_settings=_qwen_settings("image", 16, 4 * 32**2, 16 * 32**2),
        # the limits of this family count the pixels of all frames together
        video_settings=_qwen_settings("video", 16, 4 * 32**2, 64 * 32**2),
        processor_settings={},
        named_tokens={},
    ),
    "internvl": _Family(
        special=("<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
        video="<video>\\n",
        image="<IMG_CONTEXT>\\n",
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
        processor_settings={},
        named_tokens=_INTERNVL_NAMED,
    ),
    "llava": _Family(
        special=("<image>",),
        video="",
        image="<image>\\n",
        config=_llava,
        image_settings={"image_processor_type": "CLIPImageProcessor", **_SQUARE, "do_center_crop": False},
        video_settings={},
        processor_settings={
            "processor_class": "LlavaProcessor",
            "patch_size": 14,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        },
        named_tokens={},
    ),
}
"""The families :func:`write_tiny` knows, by their Hugging Face ``model_type``."""
