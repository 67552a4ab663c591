"""InternVL: every frame one square tile, announced by its number."""

from __future__ import annotations

import torch

from llavaction.models.families.base import DecodedClip, VideoFamily, VisualInputs, plain_positions
from llavaction.models.families.pixels import PixelSettings, normalise, resize


class InternVLFamily(VideoFamily):
    """``model_type`` internvl.

    A frame takes (patches per side x downsample ratio)^2 tokens between ``<img>`` and ``</img>``, after "Frame1: " and
    so on, one line each (``InternVLProcessor.replace_video_token``).
    """

    placeholder = "<video>"

    def _set_up(self) -> None:
        checkpoint = self.checkpoint
        config = checkpoint.config
        self._token = checkpoint.token("image_token_id")
        self.visual_tokens = (self._token, self.placeholder)
        height, width = config.vision_config.image_size
        rows, columns = config.vision_config.patch_size
        self._size = (height, width)
        ratio = config.downsample_ratio
        self._per_frame = int(height // rows * ratio) * int(width // columns * ratio)
        self._settings = PixelSettings.from_stored(checkpoint.video_settings, {"height": height, "width": width})

    def visual_inputs(self, clip: DecodedClip) -> VisualInputs:
        """Frames as ``pixel_values`` [frames, 3, height, width], always of the tower's own size."""
        pixels = normalise(resize(clip.frames, *self._size, self._settings.resample), self._settings)
        tile = f"<img>{self._token * self._per_frame}</img>"
        text = "\n".join(f"Frame{number}: {tile}" for number in range(1, len(clip.frames) + 1))
        return VisualInputs(text, {"pixel_values": pixels}, len(clip.frames) * self._per_frame)

    def _extras(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Positions that do not count padding."""
        return {"position_ids": plain_positions(mask)}
