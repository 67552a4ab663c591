"""Qwen2-VL, Qwen2.5-VL, Qwen3-VL: frames at their own aspect ratio, two frames to a patch, positions in time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from llavaction.backends.chat import Chat
from llavaction.backends.families import Seen, VideoFamily
from llavaction.backends.pixels import PixelSettings, fitting_size, flatten_patches, normalise, resize
from llavaction.models.checkpoint import Checkpoint

FRAME_TOKENS = 768
"""Most tokens a frame may take (``VIDEO_MAX_TOKEN_NUM`` of the reference implementation, qwen-vl-utils)."""


class Qwen2VLFamily(VideoFamily):
    """``model_type`` qwen2_vl and qwen2_5_vl: one run of video tokens; the pace goes to ``second_per_grid_ts``."""

    default_tokens = (128, FRAME_TOKENS)
    """Least and most tokens of a frame where the checkpoint stores no limits (as ``Qwen2VLVideoProcessor``)."""
    mean_and_std: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __init__(self, checkpoint: Checkpoint, chat: Chat, accepted: frozenset[str]) -> None:
        super().__init__(checkpoint, chat, accepted)
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
        own = {} if self.mean_and_std is None else dict(zip(("mean", "std"), self.mean_and_std, strict=True))
        self.settings = PixelSettings.from_stored(stored, default, **own)

    def size(self, frames: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width the frames are scaled to: limits per frame, never above ``FRAME_TOKENS`` tokens."""
        smallest = self.settings.size["shortest_edge"]
        largest = max(min(self.settings.size["longest_edge"], FRAME_TOKENS * self.factor**2), smallest)
        return fitting_size(frames.shape[1], frames.shape[2], self.factor, smallest, largest)

    def see(self, frames: NDArray[np.uint8], times: NDArray[np.float64]) -> Seen:
        """Frames as rows of patches with their grid; clips of any size and length can share a pass."""
        pixels = normalise(resize(frames, *self.size(frames), self.settings.resample), self.settings)
        rows, grid = flatten_patches(pixels, patch=self.patch, merge=self.merge, temporal=self.temporal)
        tensors = {"pixel_values_videos": rows, "video_grid_thw": torch.tensor([grid])}
        text, pace = self.write(grid, times)
        if "second_per_grid_ts" in self.accepted:
            tensors["second_per_grid_ts"] = torch.tensor([pace], dtype=torch.float32)
        return Seen(text, tensors, len(rows) // self.merge**2)

    def write(self, grid: tuple[int, int, int], times: NDArray[np.float64]) -> tuple[str, float]:
        """What the clip becomes in the prompt, and the seconds between two groups of frames."""
        spacing = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 2 * times[0]
        tokens = grid[0] * grid[1] * grid[2] // self.merge**2
        return self.start + self.token * tokens + self.end, float(spacing * self.temporal)

    def extras(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Which tokens are video (2), from which the model itself computes its three-dimensional positions."""
        if "mm_token_type_ids" not in self.accepted:
            return {}
        video = self.chat.tokenizer.convert_tokens_to_ids(self.token)
        return {"mm_token_type_ids": (ids == video).to(torch.int32) * 2}


class Qwen3VLFamily(Qwen2VLFamily):
    """``model_type`` qwen3_vl and qwen3_vl_moe: each group of frames in its own brackets, after its time.

    Written "<0.3 seconds><|vision_start|>...<|vision_end|>" per group, without an outer pair of brackets, as in the
    family's first release; transformers 5.12 and later keep the template's outer pair around them as well.
    """

    default_tokens = (4, 24576)
    """Of all frames together, as the family's checkpoints store them."""
    mean_and_std = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def size(self, frames: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width the frames are scaled to: the stored limits count the pixels of all frames together."""
        count = -(-len(frames) // self.temporal) * self.temporal
        smallest = self.settings.size["shortest_edge"] / count
        largest = min(self.settings.size["longest_edge"] / count, FRAME_TOKENS * self.factor**2)
        return fitting_size(frames.shape[1], frames.shape[2], self.factor, smallest, max(largest, smallest))

    def write(self, grid: tuple[int, int, int], times: NDArray[np.float64]) -> tuple[str, float]:
        """See :meth:`Qwen2VLFamily.write`; the time of a group is midway between its first and its last frame."""
        last = len(times) - 1
        tokens = self.token * (grid[1] * grid[2] // self.merge**2)
        parts = []
        for group in range(grid[0]):
            first = times[group * self.temporal]
            middle = (first + times[min(group * self.temporal + self.temporal - 1, last)]) / 2
            parts.append(f"<{middle:.1f} seconds>{self.start}{tokens}{self.end}")
        return "".join(parts), 0.0
