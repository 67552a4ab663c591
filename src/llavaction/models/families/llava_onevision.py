"""LLaVA-OneVision: every frame at the tower's own size, pooled 2 x 2, one newline token after the last."""

from __future__ import annotations

import math

import torch
from huggingface_hub.dataclasses import strict
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

from llavaction.base.errors import InputError
from llavaction.models.action_model import ActionTokenMixin, register_action_model
from llavaction.models.families.base import DecodedClip, VideoFamily, VisualInputs, plain_positions
from llavaction.models.families.pixels import PixelSettings, normalise, resize


@strict
class LlavaOnevisionActionConfig(LlavaOnevisionConfig):
    """LLaVA-OneVision as the library has it, with an action token (``action``: fields of ``ActionTokenConfig``)."""

    model_type = "llava_onevision_action"
    action: dict | None = None


class LlavaOnevisionActionForConditionalGeneration(ActionTokenMixin, LlavaOnevisionForConditionalGeneration):
    """LLaVA-OneVision with an action token."""

    config_class = LlavaOnevisionActionConfig


class LlavaOnevisionFamily(VideoFamily):
    """``model_type`` llava_onevision.

    Tokens of a clip: frames x ceil(side / 2)^2 + 1, side being the tower's patches per side
    (``LlavaOnevisionModel.apply_pooling`` and ``get_video_features``).
    """

    action_model = LlavaOnevisionActionForConditionalGeneration

    def _set_up(self) -> None:
        checkpoint = self.checkpoint
        config = checkpoint.config
        self.placeholder = checkpoint.token("video_token_id")
        self.visual_tokens = (self.placeholder, checkpoint.token("image_token_id"))
        side = config.vision_config.image_size
        self._settings = PixelSettings.from_stored(checkpoint.video_settings, {"height": side, "width": side})
        size = (self._settings.size.get("height"), self._settings.size.get("width"))
        if size != (side, side):
            raise InputError(
                f"its video processor makes frames of {size[1]} x {size[0]}, its tower reads {side} x {side}",
                file=checkpoint.folder,
                hint="set size in video_preprocessor_config.json to the tower's image_size",
            )
        self._side = side
        self._per_frame = math.ceil(side // config.vision_config.patch_size / 2) ** 2

    def visual_inputs(self, clip: DecodedClip) -> VisualInputs:
        """Frames as ``pixel_values_videos`` [1, frames, 3, side, side]; clips of equally many frames share a pass."""
        pixels = normalise(resize(clip.frames, self._side, self._side, self._settings.resample), self._settings)
        visual = len(clip.frames) * self._per_frame + 1
        tensors = {"pixel_values_videos": pixels[None]}
        return VisualInputs(self.placeholder * visual, tensors, visual, group=len(clip.frames))

    def _extras(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Positions that do not count padding."""
        return {"position_ids": plain_positions(mask)}


register_action_model(LlavaOnevisionActionForConditionalGeneration)
