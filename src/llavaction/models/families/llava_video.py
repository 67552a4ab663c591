"""LLaVA-Video and LLaVAction: newline tokens between the rows, action tokens behind the video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from llavaction.base.errors import InputError
from llavaction.models.families.base import (
    DecodedClip,
    Message,
    ModelInputs,
    VideoFamily,
    VisualInputs,
    plain_positions,
)
from llavaction.models.llava_video import LlavaVideoForConditionalGeneration, LlavaVideoProcessor, Row
from llavaction.models.tokenisation import padded
from llavaction.models.user_text import Part


class LlavaVideoFamily(VideoFamily):
    """``model_type`` llava_video: pixels and tokens as the model's own processor makes them."""

    mixes_lengths = True
    action_model = LlavaVideoForConditionalGeneration

    def _set_up(self) -> None:
        checkpoint = self.checkpoint
        try:
            self._processor = LlavaVideoProcessor.for_config(
                checkpoint.config, checkpoint.tokenizer, image_settings=checkpoint.image_settings
            )
        except InputError as error:
            raise InputError(error.problem, file=checkpoint.folder, hint=error.hint) from error
        self.placeholder = self._processor.video_token
        self.visual_tokens = (self.placeholder, self._processor.image_token)

    def visual_inputs(self, clip: DecodedClip) -> VisualInputs:
        """Frames as ``pixel_values_videos`` [1, frames, 3, side, side]; clips of equally many frames share a pass."""
        count = len(clip.frames)
        tensors = {
            "pixel_values_videos": self._processor.pixels(clip.frames)[None],
            "video_frame_counts": torch.tensor([count]),
        }
        tokens = self._processor.visual_tokens(count)
        return VisualInputs(self.placeholder * tokens, tensors, tokens, group=count)

    @property
    def _placeholder_ids(self) -> Mapping[str, int]:
        return {self._processor.video_token: self._processor.video_token_id}

    def _example(self, messages: Sequence[Message], clip: DecodedClip | None, words: str | None) -> ModelInputs:
        """See :meth:`Family.inputs`: a video that is cut keeps its frames, as published; words are added to the token.

        Raises:
            InputError: messages, frames and words do not fit together, or the model has no token to add words to.
        """
        tokenised = self._tokeniser(messages)
        frames = () if clip is None else (clip.frames,)
        row = Row(tokenised.ids, tokenised.labels, frames, (), self.word_ids(words))
        row = self._processor.laid_out(row, self.tokenisation.max_length)
        ids, labels = tuple(row.ids), tuple(row.labels or ())
        if not row.videos or clip is None:
            return ModelInputs(ids, labels=labels, words=tuple(row.words))
        view = self._inputs_of(clip)
        return ModelInputs(ids, view.tensors, ids.count(self._processor.video_token_id), view.group, labels)

    def length(self, messages: Sequence[Message], frames: int, words: str | None = None) -> int:
        """See :meth:`Family.length`; exact."""
        if words is not None:
            return len(self.inputs(messages, words=words).ids)
        ids = self._tokeniser(messages).ids
        videos = ids.count(self._processor.video_token_id)
        video = self._processor.visual_tokens(frames) + len(self._processor.action_tokens)
        length = len(ids) + videos * (video - 1)
        return length if self.tokenisation.max_length is None else min(length, self.tokenisation.max_length)

    def word_ids(self, words: str | None) -> tuple[int, ...]:
        """Token ids of words that stand in for a video.

        They are tokenised with a blank before them, so that they are the same tokens as in the text of an option,
        "A. take plate".

        Raises:
            InputError: no token comes of them.
        """
        if words is None:
            return ()
        ids = self.chat.encoder.ids([Part(f" {words.strip()}", of_user=True)])
        if not words.strip() or not ids:
            raise InputError("the words that stand in for a video are empty")
        return tuple(ids)

    def _collate(self, rows: Sequence[ModelInputs]) -> dict[str, torch.Tensor]:
        """Clips filled up with empty frames to the longest; ``action_words`` [rows, most], -1 where there is none."""
        most = max([0, *(row.tensors["pixel_values_videos"].shape[1] for row in rows if row.tensors)])
        batch = super()._collate([_filled_up(row, most) for row in rows])
        longest = max(len(row.words) for row in rows)
        if longest:
            batch["action_words"] = torch.tensor([padded(row.words, -1, longest, "right") for row in rows])
        return batch

    def _extras(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Positions that do not count padding."""
        return {"position_ids": plain_positions(mask)}


def _filled_up(row: ModelInputs, frames: int) -> ModelInputs:
    if not row.tensors:
        return row
    pixels = row.tensors["pixel_values_videos"]
    filling = pixels.new_zeros((pixels.shape[0], frames - pixels.shape[1], *pixels.shape[2:]))
    return ModelInputs(row.ids, {**row.tensors, "pixel_values_videos": torch.cat([pixels, filling], dim=1)})
