"""The LLaVA-Video model: SigLIP, a two-layer projector and Qwen2, with the published ways to pool and to end lines.

The published family (LLaVA-OneVision, LLaVA-Video, LLaVAction) differs from the library's ``LlavaOnevision`` in what it
makes of a video's patches; that alone is written here. The tower's last encoder layer is not run, so the configuration
counts it out. Semantics: published implementation, vision and sequence parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.llava_onevision.modeling_llava_onevision import LlavaOnevisionModelOutputWithPast

from llavaction.base.errors import InputError
from llavaction.models.action_model import ActionTokenMixin
from llavaction.models.action_token import ActionPositions
from llavaction.models.llava_video.configuration import LlavaVideoConfig

_OTHERS_INPUTS = (
    "image_sizes",
    "image_sizes_videos",
    "batch_num_images",
    "vision_aspect_ratio",
    "vision_feature_layer",
    "vision_feature_select_strategy",
)
"""What the library's class takes as well and this one has no use for."""


class Span(NamedTuple):
    """The place of a video, or of a still image, in a batch.

    Attributes:
        row: its row.
        first: its first token's number among the row's tokens of that kind.
        present: its tokens in the row.
        length: its tokens before truncation.
    """

    row: int
    first: int
    present: int
    length: int


def visual_spans(visual: torch.Tensor, lengths: Sequence[int], cut: torch.Tensor, kind: str = "video") -> list[Span]:
    """Which video stands where: videos come in the order of the rows, and truncation may cut a row's last one short.

    Args:
        visual: bool [rows, length], where the video tokens are.
        lengths: tokens of every video before truncation.
        cut: bool [rows], whether the row's last token is a video token: only then may its video be cut.
        kind: "video" or "image", for the errors.

    Raises:
        InputError: tokens and videos do not match.
    """
    spans: list[Span] = []
    counts, may_be_cut = visual.sum(1).tolist(), cut.tolist()
    for row, count in enumerate(counts):
        placed = 0
        while placed < count:
            if len(spans) == len(lengths):
                raise InputError(
                    f"row {row} has {count} {kind} tokens, {count - placed} more than its {kind}s have",
                    hint=f"the batch holds {len(lengths)} {kind}s of {list(lengths)} tokens; expand their placeholders",
                )
            length = lengths[len(spans)]
            present = min(length, count - placed)
            if present < length and not may_be_cut[row]:
                raise InputError(
                    f"row {row} has {count} {kind} tokens, {length - present} fewer than its {kind}s have",
                    hint="only what stands at the very end of a row may be cut short",
                )
            spans.append(Span(row, placed, present, length))
            placed += present
    if len(spans) < len(lengths):
        raise InputError(
            f"{len(lengths)} {kind}s but tokens for only {len(spans)}",
            hint=f"{kind}s whose tokens were all cut off must not be handed over",
        )
    return spans


class LlavaVideoModel(LlavaOnevisionModel):
    """The model without its output layer; see :class:`LlavaVideoForConditionalGeneration`."""

    config_class = LlavaVideoConfig

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pixel_values_videos: torch.Tensor | None = None,
        video_frame_counts: torch.Tensor | None = None,
        attention_mask: Any = None,
        inputs_embeds: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> LlavaOnevisionModelOutputWithPast:
        """Visual features into their places, then the language model.

        Args:
            input_ids: int64 [rows, length], one id per visual token.
            pixel_values: [images, 3, side, side] or [images, 1, 3, side, side], still images.
            pixel_values_videos: [videos, frames, 3, side, side].
            video_frame_counts: int64 [videos], how many of the frames are real; None for all.
            attention_mask: [rows, length], counting what the cache holds; or what else the language model takes.
            inputs_embeds: [rows, length, width], instead of ``input_ids``; visual features must be in it.
            mm_encoder_outputs: features computed before, by :meth:`get_image_features` and :meth:`get_video_features`.
            inputs: those of the language model.
        """
        for name in _OTHERS_INPUTS:
            inputs.pop(name, None)
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        encoded = dict(mm_encoder_outputs or {})
        if pixel_values_videos is not None:
            encoded["video"] = self.get_video_features(pixel_values_videos, video_frame_counts)
        if pixel_values is not None:
            encoded["image"] = self.get_image_features(pixel_values)
        if input_ids is not None:
            for kind in ("video", "image"):
                inputs_embeds = self.with_features(inputs_embeds, input_ids, attention_mask, encoded.get(kind), kind)
        if isinstance(attention_mask, torch.Tensor) and attention_mask.dim() == 2:
            # published batches are padded with zeros; what is not attended to must not depend on the padding token
            real = attention_mask[:, -inputs_embeds.shape[1] :].to(inputs_embeds)
            inputs_embeds = inputs_embeds * real.unsqueeze(-1)
        outputs = self.language_model(attention_mask=attention_mask, inputs_embeds=inputs_embeds, **inputs)
        return LlavaOnevisionModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def with_features(
        self,
        inputs_embeds: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: Any,
        features: BaseModelOutputWithPooling | None,
        kind: str,
    ) -> torch.Tensor:
        """Put the features of a batch's videos, or images, in the places of their tokens.

        Raises:
            InputError: tokens and features do not match, or there are tokens without any.
        """
        token = self.config.video_token_id if kind == "video" else self.config.image_token_id
        if features is None:
            if input_ids.shape[1] > 1 and bool((input_ids == token).any()):
                raise InputError(f"{kind} tokens in the text but no {kind}", hint="hand over the pixels as well")
            return inputs_embeds
        visual_features: Any = features.pooler_output
        spans = self.spans(input_ids, attention_mask, [len(item) for item in visual_features], kind)
        present = [item[: span.present] for item, span in zip(visual_features, spans, strict=True)]
        places = (input_ids == token).unsqueeze(-1).to(inputs_embeds.device)
        return inputs_embeds.masked_scatter(places, torch.cat(present).to(inputs_embeds))

    def spans(self, input_ids: torch.Tensor, attention_mask: Any, lengths: Sequence[int], kind: str) -> list[Span]:
        """Where the videos or images of a batch stand; see :func:`visual_spans`."""
        visual = input_ids == (self.config.video_token_id if kind == "video" else self.config.image_token_id)
        last = torch.full_like(input_ids[:, 0], input_ids.shape[1] - 1)
        if isinstance(attention_mask, torch.Tensor) and attention_mask.dim() == 2:
            mask = attention_mask[:, -input_ids.shape[1] :].to(last)  # a cache's tokens come before
            last = mask.cumsum(1).argmax(1)
        return visual_spans(visual, lengths, visual.gather(1, last[:, None])[:, 0], kind)

    def get_image_features(self, pixel_values: torch.Tensor, image_sizes: Any = None, **options: Any) -> Any:
        """Features of still images, one view each.

        Args:
            pixel_values: [images, 3, side, side] or [images, 1, 3, side, side].
            image_sizes: not used; accepted as other models of the library take it.
            options: ``return_dict``, accepted likewise.

        Returns:
            An output whose ``pooler_output`` is a list of [tokens, width], one per image.
        """
        if pixel_values.dim() == 5:
            if pixel_values.shape[1] != 1:
                raise InputError(
                    f"{pixel_values.shape[1]} views per image, this model takes one",
                    hint="images in several resolutions (anyres) are not supported; scale it to the tower's size",
                )
            pixel_values = pixel_values[:, 0]
        features = self.project(pixel_values)
        if self.config.still_newline:
            features = _ended(features, self.image_newline)
        return _encoded(list(features))

    def get_video_features(
        self, pixel_values_videos: torch.Tensor, video_frame_counts: torch.Tensor | None = None, **options: Any
    ) -> Any:
        """Features of videos, pooled and with their newlines.

        Args:
            pixel_values_videos: [videos, frames, 3, side, side].
            video_frame_counts: int64 [videos], how many of the frames are real; None for all.
            options: ``return_dict``, accepted as other models of the library take it.

        Returns:
            An output whose ``pooler_output`` is a list of [tokens, width], one per video.

        Raises:
            InputError: a video has no frame.
        """
        counts = self.frame_counts(pixel_values_videos, video_frame_counts)
        frames = torch.cat([video[:count] for video, count in zip(pixel_values_videos, counts, strict=True)])
        pooled = self.pool(self.project(frames))
        videos = [self.with_newlines(item) for item in pooled.split(counts)]
        return _encoded(videos)

    @staticmethod
    def frame_counts(pixel_values_videos: torch.Tensor, video_frame_counts: torch.Tensor | None) -> list[int]:
        """How many frames of every video are real.

        Raises:
            InputError: a video has none, or more than there are pixels of.
        """
        videos, frames = pixel_values_videos.shape[:2]
        counts = [frames] * videos if video_frame_counts is None else [int(item) for item in video_frame_counts]
        if len(counts) != videos or any(not 1 <= count <= frames for count in counts):
            raise InputError(
                f"video_frame_counts are {counts}, but pixel_values_videos holds {videos} videos of {frames} frames"
            )
        return counts

    def project(self, pixels: torch.Tensor) -> torch.Tensor:
        """Every patch through tower and projector: [frames, 3, side, side] to [frames, patches, width].

        Raises:
            InputError: the frames have another size.
        """
        side = cast(Any, self.config.vision_config).image_size
        if pixels.shape[1:] != (3, side, side):
            raise InputError(f"frames of {list(pixels.shape[1:])}", hint=f"this model's are [3, {side}, {side}]")
        # the encoder's output itself: the published model applies no norm after it
        hidden = self.vision_tower.embeddings(pixels.to(self.vision_tower.dtype))
        return self.multi_modal_projector(self.vision_tower.encoder(inputs_embeds=hidden).last_hidden_state)

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        """Pool 2 x 2 patches: [frames, patches, width] to [frames, rows, columns, width]."""
        side = self.config.patches_per_side
        grid = features.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        if self.config.pooling == "bilinear":
            smaller = (self.config.pooled_per_side,) * 2
            pooled = functional.interpolate(grid.contiguous(), size=smaller, mode="bilinear")
        else:
            pooled = (functional.avg_pool2d if self.config.pooling == "average" else functional.max_pool2d)(grid, 2)
        return pooled.permute(0, 2, 3, 1)

    def with_newlines(self, grid: torch.Tensor) -> torch.Tensor:
        """A video's tokens in order, [tokens, width], from [frames, rows, columns, width]."""
        position = self.config.newline_position
        if position == "grid":
            grid = _ended(grid, self.image_newline)
        elif position == "frame":
            grid = _ended(grid.flatten(1, 2), self.image_newline)
        flat = grid.flatten(0, -2)
        return _ended(flat, self.image_newline) if position == "one_token" else flat


class LlavaVideoForConditionalGeneration(ActionTokenMixin, LlavaOnevisionForConditionalGeneration):
    """LLaVA-Video with its output layer and, where configured, the action token and its heads."""

    config_class = LlavaVideoConfig
    more_inputs = ("action_labels", "action_words", "video_frame_counts")

    def __init__(self, config: LlavaVideoConfig) -> None:
        # not the parent's: it would build, and draw the weights of, a second model
        super(LlavaOnevisionForConditionalGeneration, self).__init__(config)
        self.model = LlavaVideoModel(config)
        text: Any = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.add_action_parts()
        self.post_init()

    def get_image_features(self, pixel_values: torch.Tensor, image_sizes: Any = None, **options: Any) -> Any:
        """See :meth:`LlavaVideoModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, image_sizes, **options)

    def get_video_features(
        self, pixel_values_videos: torch.Tensor, video_frame_counts: torch.Tensor | None = None, **options: Any
    ) -> Any:
        """See :meth:`LlavaVideoModel.get_video_features`."""
        return self.model.get_video_features(pixel_values_videos, video_frame_counts, **options)

    def action_positions(self, input_ids: torch.Tensor, **inputs: Any) -> ActionPositions:
        """The action tokens, or the newline that ends a video where that is what the heads read."""
        if self.action is None or self.action.supervision != "newline":
            return super().action_positions(input_ids, **inputs)
        lengths: list[int] = []
        pixels, encoded = inputs.get("pixel_values_videos"), inputs.get("mm_encoder_outputs") or {}
        if pixels is not None:
            counts = self.model.frame_counts(pixels, inputs.get("video_frame_counts"))
            lengths = [self.config.visual_tokens(count) for count in counts]
        elif encoded.get("video") is not None:
            lengths = [len(item) for item in encoded["video"].pooler_output]
        positions: list[tuple[int, int, int]] = []
        # without a video, as in the steps of a generation, there is nothing to find
        spans = self.model.spans(input_ids, inputs.get("attention_mask"), lengths, "video") if lengths else []
        for span in spans:
            if span.present == span.length:
                places = (input_ids[span.row] == self.config.video_token_id).nonzero()[:, 0]
                earlier = sum(row == span.row for row, _, _ in positions)
                positions.append((span.row, int(places[span.first + span.present - 1]), earlier))
        rows, columns, ordinals = torch.tensor(positions, device=input_ids.device).reshape(-1, 3).long().unbind(1)
        return ActionPositions(rows, columns[:, None], ordinals)


def _encoded(features: Any) -> BaseModelOutputWithPooling:
    """Features as the library hands them around: one tensor per image or video under ``pooler_output``."""
    return BaseModelOutputWithPooling(pooler_output=features)


def _ended(items: torch.Tensor, newline: torch.Tensor) -> torch.Tensor:
    """Append the newline vector along the last but one dimension."""
    end = newline.to(items).expand(*items.shape[:-2], 1, items.shape[-1])
    return torch.cat([items, end], dim=-2)


for auto_class in (AutoModelForImageTextToText, AutoModelForMultimodalLM):
    auto_class.register(LlavaVideoConfig, LlavaVideoForConditionalGeneration, exist_ok=True)
