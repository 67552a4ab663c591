"""Any other family: the frames as so many images, through the family's own processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoProcessor

from llavaction.base.errors import InputError
from llavaction.models.families.base import DecodedClip, Family, ModelInputs
from llavaction.models.families.chat import Rendered
from llavaction.models.tokenisation import shared_length

_OF_THE_TEXT = ("input_ids", "attention_mask")
_PLAIN = "what is asked"


class ImagesFamily(Family):
    """Every ``model_type`` without an adapter of its own. Each question takes a forward pass of its own."""

    kind = "images"

    def _set_up(self) -> None:
        checkpoint = self.checkpoint
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
        self._question_count = 0

    def _question(self, prompt: str, clip: DecodedClip | None) -> ModelInputs:
        """See :meth:`Family.inputs`; the times and the duration are not used."""
        self._question_count += 1
        alone = ("alone", self._question_count)
        if clip is None:
            return ModelInputs(tuple(self.chat.encode(self.chat.lay_out(prompt))), group=alone)
        frames = clip.frames
        laid = self._laid_out(prompt, len(frames))
        spelled = self.chat.encoder.names_token(prompt) or bool(self._token and self._token in prompt)
        shown = self._laid_out(_PLAIN, len(frames)) if spelled else laid  # the processor would read tokens in words
        text = shown.text
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
        if spelled:
            return self._with_words(inputs, shown, laid, alone)
        image = getattr(self.checkpoint.config, "image_token_id", None)
        tensors = {name: value for name, value in inputs.items() if name not in _OF_THE_TEXT}
        return ModelInputs(ids, tensors, ids.count(image), alone)

    def _with_words(self, inputs: Any, shown: Rendered, laid: Rendered, group: Any) -> ModelInputs:
        """What the processor made of ``shown``, its words exchanged for those of ``laid``, tokens in them spelled out.

        Raises:
            InputError: the processor writes more than pictures into the text.
        """
        ids = inputs["input_ids"][0].tolist()
        plain, complete = self.chat.encode(shown), self.chat.encode(laid)
        same = shared_length(plain, complete)
        if same + shared_length(ids[::-1], plain[::-1]) < len(plain):
            raise InputError(
                "a text names a special token of the model, which its processor cannot write as plain text",
                file=self.checkpoint.folder,
                hint="leave the token out of questions, options and labels",
            )
        length = len(ids) - len(plain) + same
        row = (*ids[:length], *complete[same:])
        tensors = {
            name: torch.nn.functional.pad(value[:, :length], (0, len(row) - length))  # 0 is text
            if tuple(value.shape) == (1, len(ids))
            else value
            for name, value in inputs.items()
            if name not in _OF_THE_TEXT
        }
        return ModelInputs(row, tensors, row.count(getattr(self.checkpoint.config, "image_token_id", None)), group)

    def _laid_out(self, prompt: str, frames: int) -> Rendered:
        laid = self.chat.lay_out(prompt, ("image",) * frames)
        if self._token and not laid.count(self._token):  # a template that passes over images
            laid = self.chat.lay_out(prompt, before=self._token * frames + "\n")
        return laid

    def _collate(self, rows: Sequence[ModelInputs]) -> dict[str, torch.Tensor]:
        """The inputs of the one question."""
        return dict(rows[0].tensors)
