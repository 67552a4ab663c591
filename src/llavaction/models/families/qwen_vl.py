"""Qwen2-VL, Qwen2.5-VL, Qwen3-VL: frames at their own aspect ratio, two frames to a patch, positions in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from huggingface_hub.dataclasses import strict
from numpy.typing import NDArray
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from llavaction.models.action_model import ActionTokenMixin, register_action_model
from llavaction.models.families.base import DecodedClip, VideoFamily, VisualInputs
from llavaction.models.families.pixels import PixelSettings, fitting_size, flatten_patches, normalise, resize

UTILS_TOKENS, UTILS_TOTAL = (128, 768), 115_200
"""Least and most tokens of two frames (one patch in time), and the most of all frames, in qwen-vl-utils.

Its ``VIDEO_MIN_TOKEN_NUM``, ``VIDEO_MAX_TOKEN_NUM`` and nine tenths of its ``MODEL_SEQ_LEN``.
"""


@strict
class Qwen25VLActionConfig(Qwen2_5_VLConfig):
    """Qwen2.5-VL with an action token (``action``: fields of ``ActionTokenConfig``)."""

    model_type = "qwen2_5_vl_action"
    action: dict | None = None


class Qwen25VLActionForConditionalGeneration(ActionTokenMixin, Qwen2_5_VLForConditionalGeneration):
    """Qwen2.5-VL with an action token."""

    config_class = Qwen25VLActionConfig


@strict
class Qwen3VLActionConfig(Qwen3VLConfig):
    """Qwen3-VL with an action token (``action``: fields of ``ActionTokenConfig``)."""

    model_type = "qwen3_vl_action"
    action: dict | None = None


class Qwen3VLActionForConditionalGeneration(ActionTokenMixin, Qwen3VLForConditionalGeneration):
    """Qwen3-VL with an action token."""

    config_class = Qwen3VLActionConfig


class Qwen2VLFamily(VideoFamily):
    """``model_type`` qwen2_vl: one run of video tokens; the pace goes to ``second_per_grid_ts`` where there is one."""

    pixel_rules = ("official", "qwen-vl-utils")
    default_tokens = (128, 768)
    """Least and most tokens where the checkpoint stores no limits, as in the family's own video processor."""
    limits_of = "each frame"
    """What the checkpoint's limits count."""
    mean_and_std: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def _set_up(self) -> None:
        checkpoint = self.checkpoint
        config, stored = checkpoint.config, checkpoint.video_settings
        self.token = checkpoint.token("video_token_id")
        start, end = checkpoint.token("vision_start_token_id"), checkpoint.token("vision_end_token_id")
        self.start, self.end = start, end
        self.placeholder = start + self.token + end
        self.visual_tokens = (self.token, checkpoint.token("image_token_id"))
        vision = config.vision_config
        self.patch, self.merge, self.temporal = vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size
        self.factor = self.patch * self.merge
        limits = (tokens * self.factor**2 for tokens in self.default_tokens)
        default = dict(zip(("shortest_edge", "longest_edge"), limits, strict=True))
        statistics = {} if self.mean_and_std is None else dict(zip(("mean", "std"), self.mean_and_std, strict=True))
        self.settings = PixelSettings.from_stored(stored, default, **statistics)

    @property
    def record(self) -> dict[str, Any]:
        """See :attr:`Family.record`; limits in pixels."""
        if self.rule == "qwen-vl-utils":
            least, most = (tokens * self.factor**2 for tokens in UTILS_TOKENS)
            source, counted = "qwen-vl-utils", "each frame"
        else:
            least, most = self.settings.size["shortest_edge"], self.settings.size["longest_edge"]
            source = "checkpoint" if self.settings.stored else "default of transformers"
            counted = self.limits_of
        return super().record | {"pixels": {"of": counted, "least": least, "most": most, "source": source}}

    def size(self, frames: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width that all frames are scaled to."""
        if self.rule == "official":
            return self.official_size(frames)
        least, most = (tokens * self.factor**2 for tokens in UTILS_TOKENS)
        share = UTILS_TOTAL * self.factor**2 / len(frames) * self.temporal
        height, width = frames.shape[1:3]
        return fitting_size(height, width, self.factor, least, max(min(most, share), int(1.05 * least)))

    def official_size(self, frames: NDArray[np.uint8]) -> tuple[int, int]:
        """As transformers' video processor has it: the checkpoint's limits, here for each frame, and no others."""
        size, (height, width) = self.settings.size, frames.shape[1:3]
        return fitting_size(height, width, self.factor, size["shortest_edge"], size["longest_edge"])

    def visual_inputs(self, clip: DecodedClip) -> VisualInputs:
        """Frames as rows of patches with their grid; clips of any size and length can share a pass."""
        pixels = normalise(resize(clip.frames, *self.size(clip.frames), self.settings.resample), self.settings)
        rows, grid = flatten_patches(pixels, patch=self.patch, merge=self.merge, temporal=self.temporal)
        tensors = {"pixel_values_videos": rows, "video_grid_thw": torch.tensor([grid])}
        if "second_per_grid_ts" in self.accepted:
            # seconds from one group of frames to the next, by the rate the clip was sampled at
            tensors["second_per_grid_ts"] = torch.tensor([self.temporal / (len(clip.frames) / clip.duration)])
        return VisualInputs(self.write(grid, clip.times), tensors, len(rows) // self.merge**2)

    def write(self, grid: tuple[int, int, int], times: NDArray[np.float64]) -> str:
        """What the clip becomes in the prompt."""
        return self.start + self.token * (grid[0] * grid[1] * grid[2] // self.merge**2) + self.end

    def _extras(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Which tokens are video (2), from which the model itself computes its three-dimensional positions."""
        if "mm_token_type_ids" not in self.accepted:
            return {}
        video = self.chat.tokenizer.convert_tokens_to_ids(self.token)
        return {"mm_token_type_ids": (ids == video).to(torch.int32) * 2}


class Qwen25VLFamily(Qwen2VLFamily):
    """``model_type`` qwen2_5_vl."""

    action_model = Qwen25VLActionForConditionalGeneration


class Qwen3VLMoeFamily(Qwen2VLFamily):
    """``model_type`` qwen3_vl_moe and qwen3_vl: each group of frames in its own brackets, after its time.

    Written "<|vision_start|><0.3 seconds><|vision_start|>...<|vision_end|>...<|vision_end|>". The outer brackets are
    the chat template's: transformers keeps them since 5.12, while the family's first release (4.57) dropped them.
    """

    limits_of = "all frames"
    mean_and_std = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def official_size(self, frames: NDArray[np.uint8]) -> tuple[int, int]:
        """As transformers' video processor has it: the checkpoint's limits count the pixels of all frames together.

        It refuses a single frame, which is taken for two.
        """
        count = max(len(frames), self.temporal)
        height, width = frames.shape[1:3]
        if min(height, width) < self.factor:
            grow = self.factor / min(height, width)
            height, width = int(height * grow), int(width * grow)
        size = self.settings.size
        return fitting_size(
            height,
            width,
            self.factor,
            size["shortest_edge"],
            size["longest_edge"],
            frames=count,
            counted=round(count / self.temporal) * self.temporal,
        )

    def write(self, grid: tuple[int, int, int], times: NDArray[np.float64]) -> str:
        """See :meth:`Qwen2VLFamily.write`; the time of a group is midway between its first and its last frame."""
        last = len(times) - 1
        tokens = self.token * (grid[1] * grid[2] // self.merge**2)
        parts = []
        for group in range(grid[0]):
            first = times[group * self.temporal]
            middle = (first + times[min(group * self.temporal + self.temporal - 1, last)]) / 2
            parts.append(f"<{middle:.1f} seconds>{self.start}{tokens}{self.end}")
        return self.start + "".join(parts) + self.end


class Qwen3VLFamily(Qwen3VLMoeFamily):
    """``model_type`` qwen3_vl."""

    action_model = Qwen3VLActionForConditionalGeneration


register_action_model(Qwen25VLActionForConditionalGeneration)
register_action_model(Qwen3VLActionForConditionalGeneration)
