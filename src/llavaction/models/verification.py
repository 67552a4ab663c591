"""Is a converted checkpoint the same model? The published arithmetic, from stock parts, against ours on a random clip.

Nothing of our model or of the key rules is used on the published side: the library's SigLIP and Qwen2 are filled by the
published tensor names, and what lies between them is written out here, one step after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch.nn import functional
from transformers import Qwen2Config, Qwen2ForCausalLM, SiglipVisionConfig, SiglipVisionModel
from transformers.initialization import no_init_weights

from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_seed
from llavaction.models.checkpoint import quiet
from llavaction.models.llava_video import LlavaVideoConfig, LlavaVideoForConditionalGeneration
from llavaction.models.published import PUBLISHED_TOWER, PublishedConfig, TowerConfig
from llavaction.models.shards import StoredTensor

TOLERANCE = 1e-4
"""Largest difference of two logits in float32."""

_BYTES_PER_NUMBER = 9  # measured with the 0.5B model: 4 for itself, the rest is the file being read and the logits
_HEADS = ("verb", "noun", "action")
_ATTENTION = "eager"  # both sides, so that the order of the additions is the same


@dataclass(frozen=True)
class Clip:
    """What both layouts are asked.

    Attributes:
        frames: float32 [frames, 3, side, side].
        before: int64 [tokens], the text before the video.
        after: int64 [tokens], the text after it.
    """

    frames: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor

    @classmethod
    def random(cls, config: LlavaVideoConfig, seed: int = 0, frames: int = 2, text: int = 5) -> Clip:
        """Draw frames and token ids that suit a model."""
        generator = torch.Generator().manual_seed(hashed_seed("verification clip", seed) % 2**63)
        vision, language = cast(Any, config.vision_config), cast(Any, config.text_config)
        side, entries = vision.image_size, language.vocab_size
        ids = torch.randint(entries, (2, text), generator=generator)
        return cls(torch.randn(frames, 3, side, side, generator=generator), ids[0], ids[1])


def compare_arithmetic(
    tensors: Mapping[str, StoredTensor], stored: Mapping[str, Any], tower: TowerConfig, ours: Path
) -> float | None:
    """Run both layouts in float32, one after the other.

    Args:
        tensors: the published tensors by their published names.
        stored: the published configuration.
        tower: the configuration of its tower.
        ours: the folder of our checkpoint.

    Returns:
        The largest difference of any two logits, of words or of the heads; None where the model does not fit into
        memory.

    Raises:
        InputError: the difference is above ``TOLERANCE``.
    """
    numbers = sum(tensor.total_bytes // tensor.item_bytes for tensor in tensors.values())
    if _BYTES_PER_NUMBER * numbers > available_memory():
        return None
    clip = Clip.random(LlavaVideoConfig.from_pretrained(ours))
    reference = published_logits(tensors, PublishedConfig.from_mapping(stored), tower, clip)
    outputs = our_logits(ours, clip)
    difference = max(float((outputs[name] - reference[name]).abs().max()) for name in reference)
    if not difference <= TOLERANCE:
        raise InputError(f"its logits differ from the published arithmetic's by {difference:.3g}", file=ours)
    return difference


def available_memory() -> int:
    """Bytes that can be taken without swapping; 0 where the system does not say."""
    file = Path("/proc/meminfo")
    lines = file.read_text(encoding="ascii").splitlines() if file.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


@torch.no_grad()
def published_logits(
    tensors: Mapping[str, StoredTensor], config: PublishedConfig, tower: TowerConfig, clip: Clip
) -> dict[str, torch.Tensor]:
    """Logits of the words [tokens, vocabulary] and of the heads [classes] as the published implementation gets them."""

    def tensor(name: str) -> torch.Tensor:
        return tensors[name].load().float()

    patches = _vision(tensors, tower, clip.frames)
    inner = functional.linear(patches, tensor("model.mm_projector.0.weight"), tensor("model.mm_projector.0.bias"))
    projector = tensor("model.mm_projector.2.weight"), tensor("model.mm_projector.2.bias")
    pooled = _pool(functional.linear(functional.gelu(inner), *projector), config.pooling)
    newline = tensor("model.image_newline") if config.has_newline_vector else None
    video = _tokens(pooled, newline, config.mm_newline_position)
    if config.action_tokens:
        video = torch.cat([video, tensor("model.action_supervision")])
    table = tensor("model.embed_tokens.weight")
    sequence = torch.cat([table[clip.before], video, table[clip.after]])
    logits, last = _language(tensors, config, sequence)
    outputs = {"logits": logits}
    if config.vision_supervision is not None:
        end, number = len(clip.before) + len(video), max(1, len(config.action_tokens))
        for head, name in enumerate(_HEADS):
            state = last[end - number + min(head, number - 1)]
            outputs[name] = tensor(f"{name}_head.weight") @ state
    return outputs


def _vision(tensors: Mapping[str, StoredTensor], tower: TowerConfig, frames: torch.Tensor) -> torch.Tensor:
    """Patches [frames, patches, width]: what the last encoder layer that is run puts out."""
    settings = tower.as_run()
    del settings["model_type"]
    model = _filled(SiglipVisionModel, SiglipVisionConfig(**settings), tensors, PUBLISHED_TOWER)
    return model(frames, output_hidden_states=True).hidden_states[-1]


def _pool(patches: torch.Tensor, mode: str) -> torch.Tensor:
    """Every 2 x 2 patches become one: [frames, patches, width] to [frames, rows, columns, width]."""
    side = int(patches.shape[1] ** 0.5)
    grid = patches.unflatten(1, (side, side))
    if mode == "bilinear":
        half = (side + 1) // 2
        return functional.interpolate(grid.movedim(3, 1), (half, half), mode="bilinear").movedim(1, 3)
    half = side // 2
    blocks = grid[:, : 2 * half, : 2 * half].unflatten(2, (half, 2)).unflatten(1, (half, 2))
    return blocks.mean((2, 4)) if mode == "average" else blocks.amax((2, 4))


def _tokens(grid: torch.Tensor, newline: torch.Tensor | None, position: str) -> torch.Tensor:
    """Tokens [tokens, width] of pooled frames, with the newlines of the position."""
    end = grid.new_zeros(0, grid.shape[-1]) if newline is None else newline[None]
    parts = []
    for frame in grid:
        for row in frame:
            parts += [row, end] if position == "grid" else [row]
        parts += [end] if position == "frame" else []
    parts += [end] if position == "one_token" else []
    return torch.cat(parts)


def _language(
    tensors: Mapping[str, StoredTensor], config: PublishedConfig, sequence: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [tokens, vocabulary] and last states [tokens, width] of embeddings [tokens, width]."""
    names = Qwen2Config().to_dict().keys() & type(config).model_fields
    settings = {name: getattr(config, name) for name in names}
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
    model = _filled(Qwen2ForCausalLM, Qwen2Config(**settings, rope_parameters=rope), tensors, "")
    output = model(inputs_embeds=sequence[None], output_hidden_states=True, use_cache=False)
    return output.logits[0], output.hidden_states[-1][0]


def _filled(model_class: Any, config: Any, tensors: Mapping[str, StoredTensor], prefix: str) -> Any:
    """A model of the library in float32 with the tensors whose names are its own behind ``prefix``."""
    with no_init_weights():
        model = model_class._from_config(config, attn_implementation=_ATTENTION)
    model.tie_weights()  # left out together with the drawing of weights
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[prefix + name].load())
    return model.eval()


@torch.no_grad()
def our_logits(folder: Path, clip: Clip) -> dict[str, torch.Tensor]:
    """The same logits as :func:`published_logits`, from our checkpoint."""
    with quiet():
        model = LlavaVideoForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, attn_implementation=_ATTENTION, local_files_only=True
        ).eval()
    config = model.config
    video = torch.full((config.visual_tokens(len(clip.frames)),), config.video_token_id)
    actions = torch.tensor([] if config.action is None else config.action["token_ids"], dtype=torch.int64)
    ids = torch.cat([clip.before, video, actions, clip.after])
    output = model(input_ids=ids[None], pixel_values_videos=clip.frames[None], output_hidden_states=True)
    outputs = {"logits": output.logits[0]}
    if config.action is not None:
        outputs |= {name: output[f"{name}_logits"][0] for name in _HEADS}
    return outputs
