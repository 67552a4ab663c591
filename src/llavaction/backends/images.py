"""Any other family: the frames as so many images, through the family's own processor."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoProcessor

from llavaction.backends.chat import Chat
from llavaction.backends.families import Family, Prepared
from llavaction.backends.pixels import PixelRule
from llavaction.base.errors import InputError
from llavaction.models.checkpoint import Checkpoint

_OF_THE_TEXT = ("input_ids", "attention_mask")


class ImagesFamily(Family):
    """Every ``model_type`` without an adapter of its own. Each question takes a forward pass of its own."""

    kind = "images"

    def __init__(
        self, checkpoint: Checkpoint, chat: Chat, accepted: frozenset[str], rule: PixelRule = "official"
    ) -> None:
        super().__init__(checkpoint, chat, accepted, rule)
        try:
            self._processor = AutoProcessor.from_pretrained(checkpoint.folder, local_files_only=True)
        except Exception as error:
            kind = checkpoint.config.model_type
            raise InputError(
                f"the processor of model_type '{kind}' cannot be loaded: {str(error).strip().splitlines()[0]}",
                file=checkpoint.folder,
                hint="processors of models that take videos need torchvision, some also timm or num2words: "
                "pip install 'llavaction[video]'",
            ) from error
        self._token = getattr(self._processor, "image_token", None)
        self._asked = 0

    def prepare(
        self,
        prompt: str,
        frames: NDArray[np.uint8] | None = None,
        times: NDArray[np.float64] | None = None,
        duration: float | None = None,
    ) -> Prepared:
        """See :meth:`Family.prepare`; the times and the duration are not used."""
        if self._token and self._token in prompt:
            raise InputError(
                f"the prompt contains '{self._token}', which this model reads as a picture",
                hint="leave it out: the backend puts the frames before the prompt itself",
            )
        self._asked += 1
        alone = ("alone", self._asked)
        if frames is None:
            return Prepared(tuple(self.chat.encode(self.chat.render(prompt))), group=alone)
        text = self.chat.render(prompt, ("image",) * len(frames))
        if self._token and self._token not in text:  # a template that passes over images
            text = self.chat.render(self._token * len(frames) + "\n" + prompt)
        pictures = [Image.fromarray(frame) for frame in frames]
        try:
            inputs = self._processor(
                text=[text], images=pictures, return_tensors="pt", add_special_tokens=self.chat.adds_start(text)
            )
        except Exception as error:
            raise InputError(
                f"its processor refuses {len(frames)} frames as images: {str(error).strip().splitlines()[0]}",
                file=self.checkpoint.folder,
                hint="the chat template must write one image token per image",
            ) from error
        ids = tuple(inputs["input_ids"][0].tolist())
        image = getattr(self.checkpoint.config, "image_token_id", None)
        tensors = {name: value for name, value in inputs.items() if name not in _OF_THE_TEXT}
        return Prepared(ids, tensors, ids.count(image), alone)

    def collate(self, items: list[Prepared]) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """The inputs of the one question."""
        return dict(items[0].tensors)
