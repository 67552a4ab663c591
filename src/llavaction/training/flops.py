"""How much arithmetic training takes, and what the machine could do: the two sides of FLOP utilisation.

Counted is what the model needs: matrix products of the forward pass and of the backward pass as far as gradients
reach, causal attention, real tokens only. Padding, the second forward pass of gradient checkpointing and logits nobody
looks at are work, too, but no use, and are left out. Attention of a tower counts as if every patch saw its whole frame.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from llavaction.models.param_groups import PARAM_GROUPS, param_group_of

GPU_PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "4090": 165e12,
    "3090": 71e12,
    "V100": 125e12,
}
"""Dense half-precision operations per second, by what the GPU's name contains, as their makers state them."""


def peak(device: torch.device, precision: str) -> float:
    """Operations per second at best: from the table, or else measured with a matrix product (a moment).

    Args:
        device: where the model is.
        precision: "float32" or "bfloat16".
    """
    if device.type == "cuda" and precision == "bfloat16":
        name = torch.cuda.get_device_name(device)
        for part, value in GPU_PEAKS.items():
            if part in name:
                return value
    side = 4096 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        begin = time.perf_counter()
        product = a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * side**3 / best if product.isfinite().all() else 0.0


@dataclass(frozen=True)
class Stack:
    """A transformer, or another run of layers.

    Attributes:
        weights: of its matrices, each used once per token.
        attention: sum over layers of the width of all heads.
        trained: whether any of it learns.
    """

    weights: int
    attention: int
    trained: bool

    def forward(self, tokens: float, squares: float) -> float:
        """Operations for so many tokens; ``squares`` is the sum of their sequences' lengths squared."""
        return 2.0 * self.weights * tokens + 4.0 * self.attention * squares


class FlopCounter:
    """Counts the useful operations of a training step.

    Args:
        model: the model, adapters and all; which parts learn is read off its parameters.
        config: its configuration.
        adapters: whether only adapters learn: gradients then pass through the frozen matrices, which get none.
    """

    def __init__(self, model: nn.Module, config: Any, *, adapters: bool) -> None:
        text, vision = config.get_text_config(), config.vision_config
        weights = dict.fromkeys(("vision_tower", "projector", "language_model", "action", "output"), 0)
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d) and "lora_" not in name:
                weights["output" if "lm_head" in name else param_group_of(name)] += module.weight.numel()
        learns = dict.fromkeys(PARAM_GROUPS, False)
        for name, parameter in model.named_parameters():
            learns[param_group_of(name)] |= parameter.requires_grad
        heads = text.num_attention_heads
        width = heads * (getattr(text, "head_dim", None) or text.hidden_size // heads)
        depth = getattr(vision, "num_hidden_layers", None) or vision.depth
        self.tower = Stack(weights["vision_tower"], depth * vision.hidden_size, learns["vision_tower"])
        self.projector = Stack(weights["projector"], 0, learns["projector"])
        self.language = Stack(weights["language_model"], text.num_hidden_layers * width, learns["language_model"])
        self.output = Stack(weights["output"], 0, learns["language_model"] and not adapters)
        self._depth = text.num_hidden_layers
        self._adapters, self._before = adapters, learns["vision_tower"] or learns["projector"] or learns["action"]
        self._merge = getattr(vision, "spatial_merge_size", 1) ** 2
        size = getattr(vision, "image_size", None) or 0
        side = (size if isinstance(size, int) else size[0]) // _side(vision.patch_size)
        self._patches_per_frame = side**2

    def __call__(self, inputs: Mapping[str, torch.Tensor], predicted: int, layers: int | None = None) -> float:
        """Operations of one micro-batch, forward and backward.

        Args:
            inputs: its model inputs.
            predicted: tokens whose logits are looked at.
            layers: how many of the language model's layers are run; all of them if None.
        """
        lengths = inputs["attention_mask"].sum(1).double()
        frames, patches = self._frames_and_patches(inputs)
        squares = float((lengths**2).sum()) / 2  # causal
        share = 1.0 if layers is None else layers / self._depth
        total = share * self._both(self.language, float(lengths.sum()), squares, beneath=self._before)
        total += self._both(self.output, predicted, 0.0, beneath=True)
        if patches:
            total += self._both(self.tower, patches, patches**2 / frames, beneath=False)
            total += self._both(self.projector, patches / self._merge, 0.0, beneath=self.tower.trained)
        return total

    def _frames_and_patches(self, inputs: Mapping[str, torch.Tensor]) -> tuple[float, float]:
        """Frames (or groups of them) and patches."""
        pixels = inputs.get("pixel_values_videos")
        if pixels is None:
            return 0, 0
        if "video_grid_thw" in inputs:
            return float(inputs["video_grid_thw"][:, 0].sum()), float(len(pixels))
        counts = inputs.get("video_frame_counts")
        frames = float(counts.sum()) if counts is not None else float(pixels.shape[0] * pixels.shape[1])
        return frames, frames * self._patches_per_frame

    def _both(self, stack: Stack, tokens: float, squares: float, *, beneath: bool) -> float:
        """Forward and backward; ``beneath``: whether something that learns lies before it: gradients pass through."""
        forward = stack.forward(tokens, squares)
        if not stack.trained and not beneath:
            return forward
        attention = 4.0 * stack.attention * squares
        through = forward
        weight_gradients = forward - attention if stack.trained and not self._adapters else 0.0
        return forward + through + attention + weight_gradients


def _side(patch: Any) -> int:
    return int(patch if isinstance(patch, int) else patch[0])
