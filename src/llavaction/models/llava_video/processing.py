"""The processor of LLaVA-Video: texts, clips and images become a model's inputs, without torchvision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken
from transformers import AutoProcessor, BatchFeature, ProcessorMixin
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from llavaction.base.errors import InputError
from llavaction.models.action_token import TOKENS, action_settings
from llavaction.models.llava_video.configuration import LlavaVideoConfig
from llavaction.models.tokenisation import CHAT_TEMPLATE, IGNORED, IMAGE, VIDEO, padded, text_ids

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Row:
    """One sequence of a batch.

    Attributes:
        ids: token ids, one per video and one per image until the row is laid out.
        labels: equally many, or None.
        videos: uint8 [frames, height, width, 3] each, in the order of their placeholders.
        images: uint8 [height, width, 3] each, in the order of theirs.
        words: ids of the words that stand in for the row's only video: of it there are the action tokens alone.
    """

    ids: Sequence[int]
    labels: Sequence[int] | None = None
    videos: Sequence[NDArray[np.uint8]] = ()
    images: Sequence[NDArray[np.uint8]] = ()
    words: Sequence[int] = ()


class LlavaVideoProcessor(ProcessorMixin):
    """Expands placeholders, scales frames, pads and truncates.

    A video becomes ``frames * frame_tokens + end_tokens`` visual tokens and the action tokens behind them, an image
    ``image_tokens``. :meth:`for_config` reads these numbers off a model's configuration; saved, the processor needs
    the model no more.

    Args:
        image_processor: scales and normalises. Always run through PIL, so that pixels are the same on every machine.
        tokenizer: knows the placeholders and the action tokens as single tokens.
        chat_template: Jinja text, or None for the ChatML turns of the published models.
        frame_tokens: visual tokens of one frame, its newlines included.
        end_tokens: newlines that end a video.
        image_tokens: tokens of a still image.
        action_tokens: tokens put behind every video.

    Raises:
        InputError: the tokenizer lacks a placeholder or an action token.
    """

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        chat_template: str | None = None,
        frame_tokens: int = 210,
        end_tokens: int = 0,
        image_tokens: int = 730,
        action_tokens: Sequence[str] = (),
    ) -> None:
        if not isinstance(image_processor, SiglipImageProcessorPil):
            image_processor = SiglipImageProcessorPil.from_dict(image_processor.to_dict())
        super().__init__(image_processor, tokenizer, chat_template=chat_template or CHAT_TEMPLATE)
        self.frame_tokens, self.end_tokens, self.image_tokens = frame_tokens, end_tokens, image_tokens
        self.action_tokens = list(action_tokens)
        self.video_token, self.image_token = VIDEO, IMAGE
        self.video_token_id, self.image_token_id, *action_ids = (
            _token_id(tokenizer, token) for token in (VIDEO, IMAGE, *self.action_tokens)
        )
        self.action_token_ids = action_ids

    @classmethod
    def for_config(
        cls,
        config: LlavaVideoConfig,
        tokenizer: Any,
        *,
        image_settings: Mapping[str, Any] | None = None,
        chat_template: str | None = None,
    ) -> LlavaVideoProcessor:
        """The processor of a model.

        Args:
            config: the model's configuration.
            tokenizer: its tokenizer; see :func:`add_visual_tokens`.
            image_settings: a stored ``preprocessor_config.json``; None for that of SigLIP at the tower's size.
            chat_template: see the class.

        Raises:
            InputError: tokenizer or image settings are not those of the model.
        """
        vision: Any = config.vision_config
        side = vision.image_size
        settings = {"size": {"height": side, "width": side}} | dict(image_settings or {})
        action = action_settings(config)
        frame_tokens = config.visual_tokens(2) - config.visual_tokens(1)  # every layout adds the same for each frame
        processor = cls(
            SiglipImageProcessorPil.from_dict(settings),
            tokenizer,
            chat_template=chat_template,
            frame_tokens=frame_tokens,
            end_tokens=config.visual_tokens(1) - frame_tokens,
            image_tokens=config.image_tokens,
            action_tokens=() if action is None else TOKENS[action.supervision],
        )
        size = processor.image_processor.size
        if (size.get("height"), size.get("width")) != (side, side):
            raise InputError(
                f"the image processor makes frames of {size.get('width')} x {size.get('height')}, "
                f"the tower reads {side} x {side}",
                hint="set size in preprocessor_config.json to the tower's image_size",
            )
        expected = {
            "video_token_id": config.video_token_id,
            "image_token_id": config.image_token_id,
            "action_token_ids": [] if action is None else list(action.token_ids),
        }
        for name, value in expected.items():
            if getattr(processor, name) != value:
                raise InputError(
                    f"{name} is {value} in the configuration and {getattr(processor, name)} in the tokenizer",
                    hint="the tokenizer files are not those of this model",
                )
        return processor

    @property
    def model_input_names(self) -> list[str]:
        """Everything a batch may hold."""
        names = ("pixel_values_videos", "video_frame_counts", "image_sizes")
        return [*super().model_input_names, *names]

    @property
    def placeholders(self) -> dict[str, int]:
        """Placeholder to token id."""
        return {self.video_token: self.video_token_id, self.image_token: self.image_token_id}

    def visual_tokens(self, frames: int) -> int:
        """Visual tokens of a video; the action tokens are not counted."""
        return frames * self.frame_tokens + self.end_tokens

    def pixels(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        """Normalised pixel values, float32 [frames, 3, side, side], of frames uint8 [frames, height, width, 3].

        Raises:
            InputError: there is no frame, or the array is of another type or shape.
        """
        features = self.image_processor(list(_clip(frames)), input_data_format="channels_last", return_tensors="pt")
        return features["pixel_values"]

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        videos: Any = None,
        audio: None = None,
        *,
        padding: bool | Literal["longest", "max_length"] = False,
        padding_side: Side | None = None,
        truncation: bool = False,
        max_length: int | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Make a model's inputs.

        Args:
            images: uint8 [height, width, 3] arrays or PIL images, in the order of their placeholders in the texts; or
                one list of them per text.
            text: one or several texts with a placeholder per video and image. Nothing is added to them but the visual
                and action tokens: a chat template writes everything else.
            videos: uint8 [frames, height, width, 3] arrays, as many frames as each has; or one list of them per text.
            audio: there is none; accepted as the library's chat templates pass it.
            padding: True or "longest" to the longest row, "max_length" to ``max_length``.
            padding_side: "left" or "right", the tokenizer's own by default.
            truncation: cut rows to ``max_length`` from the right, visual tokens counted. A video that is cut keeps all
                its frames, an image its pixels: the model takes what has a token. What is wholly cut off is
                dropped from the pixels, too.
            max_length: in tokens.
            return_tensors: "pt", "np", or None for lists of ids.

        Returns:
            ``input_ids``, ``attention_mask``; with videos ``pixel_values_videos`` [videos, most frames, 3, side, side]
            (filled up with 0) and ``video_frame_counts`` [videos]; with images ``pixel_values`` [images, 1, 3, side,
            side] and ``image_sizes`` [images, 2], height and width before scaling.

        Raises:
            InputError: placeholders and pictures do not match, or a video or an option is not as it has to be.
        """
        if text is None or audio is not None:
            raise InputError("no text" if text is None else "this model cannot hear", hint="text, videos and images")
        texts = [text] if isinstance(text, str) else list(text)
        ids = [text_ids(self.tokenizer, item, self.placeholders) for item in texts]
        per_video = _by_row(videos, [row.count(self.video_token_id) for row in ids], self.video_token)
        per_image = _by_row(images, [row.count(self.image_token_id) for row in ids], self.image_token)
        side = padding_side or self.tokenizer.padding_side
        if side not in ("left", "right"):
            raise InputError(f"padding_side is '{side}'", hint="'left' or 'right'")
        if padding not in (True, False, "longest", "max_length"):
            raise InputError(f"padding is '{padding}'", hint="True, False, 'longest' or 'max_length'")
        if max_length is None and (truncation or padding == "max_length"):
            raise InputError("truncation and padding='max_length' need a max_length")
        batch = self.batch(
            [
                self.laid_out(Row(row, None, *visual), max_length if truncation else None)
                for row, *visual in zip(ids, per_video, per_image, strict=True)
            ],
            padding=bool(padding),
            padding_side=side,
            least=(max_length or 0) if padding == "max_length" else 0,
        )
        lengths = [len(row) for row in batch["input_ids"]]
        if return_tensors is not None and len(set(lengths)) > 1:
            raise InputError(f"rows of {lengths} tokens are no tensor", hint="padding=True makes them equally long")
        return BatchFeature(batch, tensor_type=return_tensors)

    def laid_out(self, row: Row, max_length: int | None = None) -> Row:
        """A row with one id per visual token and the action tokens behind each video, cut from the right.

        Visual and action tokens are labelled ``IGNORED``. See :meth:`__call__` for what a cut leaves.

        Raises:
            InputError: placeholders and pictures do not match, a picture is malformed, the limit is below 1, or there
                are words for a model that has no action token.
        """
        if max_length is not None and max_length < 1:
            raise InputError(f"max_length is {max_length}, at least 1 token must remain")
        if row.words and row.videos:
            raise InputError("a row has a video and words that stand in for it", hint="give one of them")
        if row.words and not self.action_tokens:
            raise InputError(
                "words stand in for a video, but the model has no action token to add them to",
                hint="leave such records out, or give the model an action token ('one_token' or 'three_tokens')",
            )
        videos_given = 1 if row.words else len(row.videos)
        for placeholder, expected in ((self.video_token, videos_given), (self.image_token, len(row.images))):
            count = list(row.ids).count(self.placeholders[placeholder])
            if count != expected:
                raise InputError(f"a row has {count} '{placeholder}' placeholders, but {expected} were given")
        for name, index in zip(self.action_tokens, self.action_token_ids, strict=True):
            if index in (*row.ids, *row.words):
                raise InputError(f"the text contains '{name}'", hint="leave it out: it is put behind every video")
        videos, images = [_clip(video) for video in row.videos], [_image(image) for image in row.images]
        lengths = iter([0] if row.words else [self.visual_tokens(len(video)) for video in videos])
        ids: list[int] = []
        labels: list[int] = []
        for token, label in zip(row.ids, row.ids if row.labels is None else row.labels, strict=True):
            if token == self.video_token_id:
                new = [token] * next(lengths) + self.action_token_ids
            elif token == self.image_token_id:
                new = [token] * self.image_tokens
            else:
                ids.append(token)
                labels.append(label)
                continue
            ids += new
            labels += [IGNORED] * len(new)
        return self._cut(Row(ids, None if row.labels is None else labels, videos, images, row.words), max_length)

    def _cut(self, row: Row, length: int | None) -> Row:
        """Cut a row whose placeholders are expanded, together with the pictures and words of which nothing remains."""
        if length is None or len(row.ids) <= length:
            return row
        ids = list(row.ids[:length])
        images = -(-ids.count(self.image_token_id) // self.image_tokens)
        videos, tokens = 0, ids.count(self.video_token_id)
        while tokens > 0:
            tokens -= self.visual_tokens(len(row.videos[videos]))
            videos += 1
        labels = None if row.labels is None else row.labels[:length]
        words = row.words if set(self.action_token_ids[:1]).intersection(ids) else ()
        return Row(ids, labels, row.videos[:videos], row.images[:images], words)

    def batch(
        self, rows: Sequence[Row], *, padding: bool = True, padding_side: Side = "right", least: int = 0
    ) -> dict[str, Any]:
        """Rows that are laid out as one batch.

        Args:
            rows: see :meth:`laid_out`; either all have labels or none.
            padding: whether rows are filled up to equal length.
            padding_side: "left" or "right".
            least: length in tokens they are filled up to, if the longest row is shorter.

        Returns:
            See :meth:`__call__`; ids, mask and, where given, ``labels`` as lists of rows.
        """
        length = max([least, *(len(row.ids) for row in rows)]) if padding else 0
        pad = self.tokenizer.pad_token_id
        tensors: dict[str, Any] = {
            "input_ids": [padded(row.ids, 0 if pad is None else pad, length, padding_side) for row in rows],
            "attention_mask": [padded([1] * len(row.ids), 0, length, padding_side) for row in rows],
        }
        labels = [row.labels for row in rows if row.labels is not None]
        if labels:
            if padding_side == "left":  # else a row's first token would be predicted from the padding before it
                labels = [[IGNORED, *row_labels[1:]] for row_labels in labels]
            tensors["labels"] = [padded(row_labels, IGNORED, length, padding_side) for row_labels in labels]
        videos = [self.pixels(video) for row in rows for video in row.videos]
        if videos:
            tensors["pixel_values_videos"] = torch.nn.utils.rnn.pad_sequence(videos, batch_first=True)
            tensors["video_frame_counts"] = torch.tensor([len(video) for video in videos])
        images = [image for row in rows for image in row.images]
        if images:
            tensors["pixel_values"] = torch.stack([self.pixels(image[None]) for image in images])
            tensors["image_sizes"] = torch.tensor([image.shape[:2] for image in images])
        return tensors


def add_visual_tokens(tokenizer: Any, action_tokens: Sequence[str] = ()) -> dict[str, int]:
    """Make the placeholders and the action tokens special tokens of a tokenizer.

    New ones get the next free ids, in order; those it has already keep theirs.

    Returns:
        Token to id.
    """
    tokens = (IMAGE, VIDEO, *action_tokens)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens], special_tokens=True)
    return {token: _token_id(tokenizer, token) for token in tokens}


def _token_id(tokenizer: Any, token: str) -> int:
    index = tokenizer.get_vocab().get(token)
    if index is None:
        raise InputError(
            f"the tokenizer has no token '{token}'",
            hint="add_visual_tokens gives it the placeholders and action tokens",
        )
    return int(index)


def _by_row(pictures: Any, counts: Sequence[int], token: str) -> list[list[Any]]:
    """Deal pictures out to the texts.

    Args:
        pictures: None, a list of them in order, or one list per text.
        counts: placeholders of each text.
        token: the placeholder, for the error message.
    """
    items = [] if pictures is None else list(pictures)
    if items and all(isinstance(item, list | tuple) for item in items):
        lengths = [len(item) for item in items]
        if lengths != list(counts):
            raise InputError(f"the texts have {list(counts)} '{token}' placeholders, but {lengths} of them were given")
        return [list(item) for item in items]
    if len(items) != sum(counts):
        raise InputError(f"the texts have {sum(counts)} '{token}' placeholders, but {len(items)} were given")
    remaining = iter(items)
    return [list(islice(remaining, count)) for count in counts]


def _clip(video: Any) -> NDArray[np.uint8]:
    """A video as uint8 [frames, height, width, 3]."""
    return _checked(video, "a video", "frames, height, width, 3")


def _image(image: Any) -> NDArray[np.uint8]:
    """A still image as uint8 [height, width, 3]."""
    return _checked(image.convert("RGB") if hasattr(image, "convert") else image, "an image", "height, width, 3")


def _checked(pixels: Any, kind: str, axes: str) -> NDArray[np.uint8]:
    """The array, if it is one of bytes with these axes and none of them is empty."""
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or array.ndim != axes.count(",") + 1 or array.shape[-1] != 3 or 0 in array.shape:
        raise InputError(f"{kind} of {array.dtype} {list(array.shape)}", hint=f"expected uint8 [{axes}], none empty")
    return array


AutoProcessor.register(LlavaVideoConfig, LlavaVideoProcessor, exist_ok=True)
