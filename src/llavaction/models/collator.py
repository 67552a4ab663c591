"""The collator: training records become one batch of model inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from llavaction.base.errors import InputError
from llavaction.base.records import Strict
from llavaction.models.llava_video import LlavaVideoProcessor, Row, padded
from llavaction.models.tokenisation import ConversationTokeniser, TokenisationConfig, TurnForm
from llavaction.models.user_text import Part, TextEncoder

CLASSES = ("verb", "noun", "action")
"""What a record may be labelled with, in the order of ``action_labels``."""


class CollatorConfig(Strict):
    """How records become batches."""

    tokenisation: TokenisationConfig = Field(
        default_factory=TokenisationConfig, description="how conversations are written and what of them is learnt"
    )
    padding_side: Literal["left", "right"] = Field(
        default="right", description="where shorter rows are filled up; right as published, the losses are the same"
    )
    max_length: int | None = Field(
        default=None, ge=1, description="longest row in tokens, the visual ones counted; longer ones are cut at the end"
    )


@dataclass(frozen=True)
class TrainingItem:
    """A training record with its pictures decoded.

    Attributes:
        messages: the conversation, see ``read_turns``; it says where its videos and images belong.
        videos: uint8 [frames, height, width, 3] each.
        images: uint8 [height, width, 3] each.
        labels: verb, noun and action class of what the videos show; a missing one, like None, is not learnt.
        times: float64 [frames] for each video, seconds from the clip's start at which its frames were taken; only
            models that write times into the prompt read them.
        durations: seconds of each video's clip; as ``times``.
        words: text that stands in for the only video: the vectors of its tokens are added to the action token's, and
            no picture is seen.
        partial: what kept the clip from being complete; other frames stand in for those that are missing.
    """

    messages: Sequence[Mapping[str, Any]]
    videos: Sequence[NDArray[np.uint8]] = ()
    images: Sequence[NDArray[np.uint8]] = ()
    labels: Mapping[str, int] | None = None
    times: Sequence[NDArray[np.float64]] = ()
    durations: Sequence[float] = ()
    words: str | None = None
    partial: str | None = None


@dataclass(frozen=True)
class LaidOut:
    """A training item as a row of model inputs, not padded yet.

    Attributes:
        row: ids, labels and pictures; ids of visual tokens are repeated as often as there are such tokens.
        classes: verb, noun and action class, -1 for each that is missing.
    """

    row: Row
    classes: list[int]


class Collator:
    """Makes batches of training items; items with and without video, with and without labels may be mixed.

    Args:
        processor: of the model that is trained.
        config: see :class:`CollatorConfig`.
        form: how turns are written, where a chat template does not write them as published.
    """

    def __init__(
        self, processor: LlavaVideoProcessor, config: CollatorConfig | None = None, form: TurnForm | None = None
    ) -> None:
        self.config = config or CollatorConfig()
        self._processor = processor
        self._encoder = TextEncoder(processor.tokenizer)
        self._tokenise = ConversationTokeniser(
            processor.tokenizer, processor.placeholders, self.config.tokenisation, form
        )

    def __call__(self, items: Sequence[TrainingItem]) -> dict[str, torch.Tensor]:
        """One batch.

        Returns:
            What ``LlavaVideoProcessor.__call__`` returns, and ``labels`` int64 [rows, length] (-100 where nothing is
            learnt), ``action_labels`` int64 [rows, 3] (-1 where there is none) and, where some row has words,
            ``action_words`` int64 [rows, most tokens of them] (-1 where there is none).

        Raises:
            InputError: names the item, counted from 1.
        """
        rows = []
        for number, item in enumerate(items, start=1):
            try:
                rows.append(self.lay_out(item))
            except InputError as error:
                raise InputError(f"item {number} of the batch: {error.problem}", hint=error.hint) from error
        return self.batch(rows)

    def lay_out(self, item: TrainingItem) -> LaidOut:
        """One item as a row.

        Raises:
            InputError: its messages, pictures or labels are malformed or do not fit together, or it has words and the
                model no action token.
        """
        example = self._tokenise(item.messages)
        row = Row(example.ids, example.labels, item.videos, item.images, self.word_ids(item.words))
        return LaidOut(self._processor.laid_out(row, self.config.max_length), label_classes(item.labels))

    def batch(self, rows: Sequence[LaidOut]) -> dict[str, torch.Tensor]:
        """Rows as one batch; see :meth:`__call__`."""
        made = self._processor.batch([item.row for item in rows], padding_side=self.config.padding_side)
        made["action_labels"] = [item.classes for item in rows]
        most = max(len(item.row.words) for item in rows)
        if most:
            made["action_words"] = [padded(item.row.words, -1, most, "right") for item in rows]
        return {name: torch.as_tensor(value) for name, value in made.items()}

    def word_ids(self, words: str | None) -> tuple[int, ...]:
        """Token ids of words that stand in for a video.

        They are tokenised with a blank before them, so that they are the same tokens as in the text of an option,
        "A. take plate".

        Raises:
            InputError: no token comes of them.
        """
        if words is None:
            return ()
        ids = self._encoder.ids([Part(f" {words.strip()}", of_user=True)])
        if not words.strip() or not ids:
            raise InputError("the words that stand in for a video are empty")
        return tuple(ids)

    def length(self, messages: Sequence[Mapping[str, Any]], frames: int, words: str | None = None) -> int:
        """Tokens of a row whose video has so many frames (0 for none), before it is decoded.

        Args:
            messages: the conversation.
            frames: of its video.
            words: what stands in for the video, if something does.

        Raises:
            InputError: the messages cannot be written, or there are words and the model has no action token.
        """
        if words is not None:
            return len(self.lay_out(TrainingItem(messages, words=words)).row.ids)
        ids = self._tokenise(messages).ids
        videos = ids.count(self._processor.video_token_id)
        video = self._processor.visual_tokens(frames) + len(self._processor.action_tokens)
        images = ids.count(self._processor.image_token_id) * (self._processor.image_tokens - 1)
        length = len(ids) + videos * (video - 1) + images
        return length if self.config.max_length is None else min(length, self.config.max_length)


def label_classes(labels: Mapping[str, int] | None) -> list[int]:
    """Verb, noun and action class, -1 for each that is missing."""
    unknown = set(labels or ()) - set(CLASSES)
    if unknown:
        raise InputError(f"labels of {sorted(unknown)}", hint=f"known: {', '.join(CLASSES)}")
    return [(labels or {}).get(name, -1) for name in CLASSES]
