"""Checkpoints of the published format that tests make themselves: names and shapes written down independently."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from llavaction.testing.tiny import build_tokenizer


@dataclass(frozen=True)
class Sizes:
    """What the shapes of a published checkpoint follow from; ``tower_layers`` counts the dropped one."""

    vocab: int = 300
    hidden: int = 32
    inner: int = 48
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    tower_hidden: int = 24
    tower_inner: int = 40
    tower_layers: int = 3
    tower_heads: int = 2
    patch: int = 14
    side: int = 70


TINY = Sizes()
SEVEN_B = Sizes(152064, 3584, 18944, 28, 28, 4, 1152, 4304, 27, 16, 14, 384)
HALF_B = Sizes(151936, 896, 4864, 24, 14, 2, 1152, 4304, 27, 16, 14, 384)

TOWER = "model.vision_tower.vision_tower.vision_model."
HEADS = {"action_types": "3,4,6"}
Shapes = dict[str, tuple[int, ...]]


def tower_shapes(sizes: Sizes, layers: int) -> Shapes:
    """Names inside the tower, without its pooling head."""
    width, inner = sizes.tower_hidden, sizes.tower_inner
    shapes: Shapes = {
        "embeddings.patch_embedding.weight": (width, 3, sizes.patch, sizes.patch),
        "embeddings.patch_embedding.bias": (width,),
        "embeddings.position_embedding.weight": ((sizes.side // sizes.patch) ** 2, width),
        "post_layernorm.weight": (width,),
        "post_layernorm.bias": (width,),
    }
    for layer in range(layers):
        linear = {f"self_attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
        linear |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
        for name, shape in linear.items():
            shapes[f"encoder.layers.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layers.{layer}.{name}.bias"] = shape[:1]
        for number in (1, 2):
            for part in ("weight", "bias"):
                shapes[f"encoder.layers.{layer}.layer_norm{number}.{part}"] = (width,)
    return shapes


def published_shapes(sizes: Sizes, settings: Mapping[str, Any]) -> Shapes:
    """Every tensor of a published checkpoint with these settings, its tower included."""
    width, keys = sizes.hidden, sizes.hidden // sizes.heads * sizes.kv_heads
    shapes = {TOWER + name: shape for name, shape in tower_shapes(sizes, sizes.tower_layers - 1).items()}
    shapes |= {
        "model.mm_projector.0.weight": (width, sizes.tower_hidden),
        "model.mm_projector.0.bias": (width,),
        "model.mm_projector.2.weight": (width, width),
        "model.mm_projector.2.bias": (width,),
        "model.embed_tokens.weight": (sizes.vocab, width),
        "model.norm.weight": (width,),
    }
    if "unpad" in settings.get("mm_patch_merge_type", "spatial_unpad"):
        shapes["model.image_newline"] = (width,)
    for layer in range(sizes.layers):
        shapes |= {
            f"model.layers.{layer}.{name}": shape
            for name, shape in {
                "self_attn.q_proj.weight": (width, width),
                "self_attn.q_proj.bias": (width,),
                "self_attn.k_proj.weight": (keys, width),
                "self_attn.k_proj.bias": (keys,),
                "self_attn.v_proj.weight": (keys, width),
                "self_attn.v_proj.bias": (keys,),
                "self_attn.o_proj.weight": (width, width),
                "mlp.gate_proj.weight": (sizes.inner, width),
                "mlp.up_proj.weight": (sizes.inner, width),
                "mlp.down_proj.weight": (width, sizes.inner),
                "input_layernorm.weight": (width,),
                "post_attention_layernorm.weight": (width,),
            }.items()
        }
    if not settings.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (sizes.vocab, width)
    vectors = {"one_token": 1, "three_tokens": 3}.get(settings.get("vision_supervision", ""))
    if vectors:
        shapes["model.action_supervision"] = (vectors, width)
    if settings.get("vision_supervision"):
        for head, classes in zip(("verb", "noun", "action"), settings["action_types"].split(","), strict=True):
            shapes[f"{head}_head.weight"] = (int(classes), width)
    return shapes


def published_settings(sizes: Sizes = TINY, **changes: Any) -> dict[str, Any]:
    """A published ``config.json``, with some of the keys nothing depends on."""
    return {
        "_name_or_path": "somewhere/else",
        "architectures": ["LlavaQwenForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "force_sample": True,
        "hidden_act": "silu",
        "hidden_size": sizes.hidden,
        "image_grid_pinpoints": [[384, 768], [768, 384]],
        "initializer_range": 0.02,
        "intermediate_size": sizes.inner,
        "max_position_embeddings": 4096,
        "max_window_layers": 28,
        "mm_hidden_size": sizes.tower_hidden,
        "mm_newline_position": "grid",
        "mm_patch_merge_type": "spatial_unpad",
        "mm_projector_type": "mlp2x_gelu",
        "mm_resampler_type": None,
        "mm_spatial_pool_mode": "bilinear",
        "mm_spatial_pool_stride": 2,
        "mm_vision_tower": "google/siglip-so400m-patch14-384" if sizes.side == 384 else "tiny/siglip-patch14-70",
        "model_type": "llava_qwen",
        "num_attention_heads": sizes.heads,
        "num_hidden_layers": sizes.layers,
        "num_key_value_heads": sizes.kv_heads,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": False,
        "tokenizer_padding_side": "right",
        "torch_dtype": "float32",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": sizes.vocab,
    } | changes


def tower_settings(sizes: Sizes = TINY) -> dict[str, Any]:
    """The tower's own configuration, which counts the dropped layer."""
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": sizes.tower_hidden,
        "intermediate_size": sizes.tower_inner,
        "num_hidden_layers": sizes.tower_layers,
        "num_attention_heads": sizes.tower_heads,
        "image_size": sizes.side,
        "patch_size": sizes.patch,
        "num_channels": 3,
        "image_mean": [0.5, 0.5, 0.5],
    }


def write_published(
    folder: Path,
    sizes: Sizes = TINY,
    *,
    files: int = 1,
    tower: bool = True,
    tower_config: bool = True,
    tokenizer: bool = False,
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> Path:
    """Write a random checkpoint in the published format.

    Args:
        folder: where to.
        sizes: of the model.
        files: weight files; more than one get an index.
        tower: whether it contains its tower.
        tower_config: whether ``siglip_config.json`` describes it.
        tokenizer: whether it has a tokenizer.
        dtype: of the weights.
        changes: settings of ``config.json`` that differ from :func:`published_settings`.
    """
    settings = published_settings(sizes, torch_dtype=str(dtype).removeprefix("torch."), **changes)
    generator = torch.Generator().manual_seed(len(json.dumps(settings)))
    tensors = {}
    for name, shape in published_shapes(sizes, settings).items():
        if tower or not name.startswith(TOWER):
            base = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            spread = 2 / math.sqrt(shape[-1]) if len(shape) > 1 else 0.2
            tensors[name] = (base + spread * torch.randn(shape, generator=generator)).to(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings, indent=2))
    (folder / "generation_config.json").write_text('{"eos_token_id": 2}')
    if tower_config:
        (folder / "siglip_config.json").write_text(json.dumps(tower_settings(sizes)))
    if tokenizer:
        build_tokenizer().save_pretrained(folder)
    save_in_files(folder, tensors, files)
    return folder


def save_in_files(folder: Path, tensors: Mapping[str, torch.Tensor], files: int = 1) -> None:
    """Write weights, dealt out to so many files."""
    if files == 1:
        save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = [f"model-{number + 1:05d}-of-{files:05d}.safetensors" for number in range(files)]
    places = {tensor: names[number % files] for number, tensor in enumerate(sorted(tensors))}
    for name in names:
        part = {tensor: tensors[tensor] for tensor, place in places.items() if place == name}
        save_file(part, folder / name, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def load_folder(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder, by the library's own reader."""
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def copied(folder: Path, to: Path) -> Path:
    """A copy whose files may be changed."""
    shutil.copytree(folder, to, copy_function=shutil.copyfile)
    return to


def assert_same_tensors(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    """The same names, types, shapes and bits."""
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]), name
