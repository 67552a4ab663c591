"""LLaVA-Video and LLaVAction: newline tokens between the rows, action tokens behind the video."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.models.checkpoint import Checkpoint
from llavaction.models.families.base import Seen, VideoFamily, plain_positions
from llavaction.models.families.chat import Chat
from llavaction.models.families.table import PixelRule
from llavaction.models.llava_video import LlavaVideoProcessor


class LlavaVideoFamily(VideoFamily):
    """``model_type`` llava_video: pixels and tokens as the model's own processor makes them."""

    def __init__(
        self, checkpoint: Checkpoint, chat: Chat, accepted: frozenset[str], rule: PixelRule = "official"
    ) -> None:
        super().__init__(checkpoint, chat, accepted, rule)
        try:
            self._processor = LlavaVideoProcessor.for_config(
                checkpoint.config, checkpoint.tokenizer, image_settings=checkpoint.image_settings
            )
        except InputError as error:
            raise InputError(error.problem, file=checkpoint.folder, hint=error.hint) from error
        self.placeholder = self._processor.video_token
        self.visual_tokens = (self.placeholder, self._processor.image_token)

    def see(self, frames: NDArray[np.uint8], times: NDArray[np.float64], duration: float) -> Seen:
        """Frames as ``pixel_values_videos`` [1, frames, 3, side, side]; clips of equally many frames share a pass."""
        tensors = {"pixel_values_videos": self._processor.pixels(frames)[None]}
        tokens = self._processor.visual_tokens(len(frames))
        return Seen(self.placeholder * tokens, tensors, tokens, group=len(frames))

    def extras(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Positions that do not count padding."""
        return {"position_ids": plain_positions(mask)}
