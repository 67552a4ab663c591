"""The configuration of a LLaVA-Video model: how patches are pooled, where lines end, how many tokens a video has."""

from __future__ import annotations

import math
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, LlavaOnevisionConfig

from llavaction.models.action_config import TOKENS, action_settings

NewlinePosition = Literal["grid", "frame", "one_token", "none"]
Pooling = Literal["bilinear", "average", "max"]


@strict
class LlavaVideoConfig(LlavaOnevisionConfig):
    """Configuration of a LLaVA-Video model.

    Attributes:
        newline_position: where the learnt newline vector goes: after every row of every frame ("grid"), after every
            frame, once after the video ("one_token"), or nowhere.
        still_newline: whether a still image ends in a newline.
        pooling: how 2 x 2 patches of a video become one; bilinear rounds an odd side up, the others round it down.
        action: fields of ``ActionTokenConfig``, or None for a model without action token.
        published: what a converted checkpoint's own configuration says beyond this one, for the way back.
    """

    model_type = "llava_video"

    newline_position: NewlinePosition = "grid"
    still_newline: bool = True
    pooling: Pooling = "bilinear"
    action: dict | None = None
    published: dict | None = None

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of a frame: 27 for 384 pixels."""
        tower: Any = self.vision_config
        return int(tower.image_size // tower.patch_size)

    @property
    def pooled_per_side(self) -> int:
        """Visual tokens along one side of a pooled frame: 14 of 27, or 13 where rounding is down."""
        half = self.patches_per_side / 2
        return math.ceil(half) if self.pooling == "bilinear" else math.floor(half)

    @property
    def image_tokens(self) -> int:
        """Tokens of a still image, which is not pooled."""
        return self.patches_per_side**2 + int(self.still_newline)

    @property
    def action_tokens(self) -> tuple[str, ...]:
        """The tokens that follow a video."""
        settings = action_settings(self)
        return () if settings is None else TOKENS[settings.supervision]

    def visual_tokens(self, frames: int) -> int:
        """Tokens of a video of so many frames, newlines included, action tokens not."""
        side = self.pooled_per_side
        newlines = {"grid": frames * side, "frame": frames, "one_token": 1, "none": 0}[self.newline_position]
        return frames * side * side + newlines


AutoConfig.register(LlavaVideoConfig.model_type, LlavaVideoConfig, exist_ok=True)
