"""A model family: the one way a conversation and a clip become a model's inputs, for asking and for training alike."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch

from llavaction.base.errors import InputError
from llavaction.models.action_config import TOKENS, action_settings
from llavaction.models.checkpoint import Checkpoint
from llavaction.models.families.chat import Chat
from llavaction.models.family_table import PixelRule, remark_on_images
from llavaction.models.registry import family_class
from llavaction.models.tokenisation import IGNORED, VIDEO, ConversationTokeniser, TokenisationConfig, padded
from llavaction.video.decoded import DecodedClip

Message = Mapping[str, Any]
"""A turn: ``role``, and ``content`` as a text or as a list of parts, of type "video" and "text" (its ``text``)."""

_PICTURE = (270, 480)
"""Height and width by which the length of a clip is estimated where it depends on the picture's size."""


@dataclass(frozen=True)
class ModelInputs:
    """One conversation as a model takes it, not padded.

    Attributes:
        ids: token ids; of a question the assistant's turn is opened, an answered conversation ends with it.
        tensors: the visual inputs, on the CPU.
        visual: how many of ``ids`` stand for visual features.
        group: rows can share a batch if their groups are equal, or their family mixes lengths.
        labels: of an answered conversation, as many as ``ids``, ``IGNORED`` where nothing is learnt.
        words: token ids of the words that stand in for the clip.
    """

    ids: tuple[int, ...]
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    visual: int = 0
    group: Hashable = None
    labels: tuple[int, ...] | None = None
    words: tuple[int, ...] = ()

    def followed_by(self, lead: tuple[int, ...]) -> ModelInputs:
        """The same question with the first tokens of the answer already written."""
        if not lead:
            return self
        length = len(self.ids)
        tensors = {
            name: torch.nn.functional.pad(value, (0, len(lead))) if tuple(value.shape) == (1, length) else value
            for name, value in self.tensors.items()  # those with one value per token, such as token_type_ids
        }
        return replace(self, ids=self.ids + lead, tensors=tensors)


@dataclass(frozen=True)
class VisualInputs:
    """A clip as tensors and as text.

    Attributes:
        text: what takes the place of the video in the prompt.
        tensors: the visual inputs of the model.
        visual: how many visual tokens ``text`` holds.
        group: see :class:`ModelInputs`.
    """

    text: str
    tensors: Mapping[str, torch.Tensor]
    visual: int
    group: Hashable = None


def question(prompt: str, *, with_clip: bool) -> list[Message]:
    """The conversation of one question: the clip, if there is one, and behind it what is asked."""
    clip: list[Message] = [{"type": "video"}] if with_clip else []
    return [{"role": "user", "content": [*clip, {"type": "text", "text": prompt}]}]


class Family(ABC):
    """An adapter from conversations and clips to a model's inputs.

    Args:
        checkpoint: the model's folder.
        chat: its chat format.
        accepted: names of the arguments of the model's ``forward``.
        rule: whose pixel limits apply.
        tokenisation: what is learnt from answered conversations.

    Raises:
        InputError: the family knows no other limits than its checkpoints'.
    """

    kind = "video"
    """What the model takes a clip for: a "video", or so many "images"."""
    pixel_rules: tuple[PixelRule, ...] = ("official",)
    """Whose pixel limits the family can follow."""
    mixes_lengths = False
    """Whether clips of unequally many frames can share a batch whatever their groups."""
    action_model: ClassVar[Any] = None
    """The model class with an action token, if there is one; its ``config_class`` names its type."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        chat: Chat,
        accepted: frozenset[str],
        rule: PixelRule = "official",
        tokenisation: TokenisationConfig | None = None,
    ) -> None:
        if rule not in self.pixel_rules:
            raise InputError(
                f"pixels '{rule}' is for the Qwen-VL families, this model is of type '{checkpoint.config.model_type}'",
                file=checkpoint.folder,
                hint="leave pixels at 'official'",
            )
        self.checkpoint, self.chat, self.accepted, self.rule = checkpoint, chat, accepted, rule
        self.tokenisation = tokenisation or TokenisationConfig()
        pad = checkpoint.tokenizer.pad_token_id
        self._pad = 0 if pad is None else int(pad)
        self._set_up()

    @abstractmethod
    def _set_up(self) -> None:
        """Read what the family needs off its checkpoint.

        Raises:
            InputError: the checkpoint lacks it.
        """

    @property
    def record(self) -> dict[str, Any]:
        """What the model is shown of a clip, for the record of a run."""
        return {"clip as": self.kind}

    @property
    def remark(self) -> str | None:
        """What the user should know of how a clip is shown."""
        return remark_on_images(self.checkpoint.config) if self.kind == "images" else None

    def inputs(
        self, messages: Sequence[Message], clip: DecodedClip | None = None, *, words: str | None = None
    ) -> ModelInputs:
        """A conversation as the model's inputs.

        Where the assistant has the last word it is an example to learn from, with labels; else the assistant's turn is
        opened for the answer.

        Args:
            messages: a question, see :func:`question`; or turns that the assistant ends, in whose texts ``VIDEO`` also
                stands for the clip. What users say is text, even where it reads like a token of the model.
            clip: what is seen; None for text alone.
            words: what stands in for the clip, for families that learn from words.

        Raises:
            InputError: the messages or the frames do not suit the model.
        """
        if messages and messages[-1].get("role") == "assistant":
            return self._example(messages, clip, words)
        if words is not None or len(messages) != 1 or messages[0].get("role") != "user":
            raise InputError("a question is one turn of the user", hint="see models.families.base.question")
        content = messages[0]["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        shown = sum(part["type"] == "video" for part in parts)
        if shown != (clip is not None):
            raise InputError(f"a question with {shown} places for a clip and {int(clip is not None)} clips")
        return self._question("".join(part["text"] for part in parts if part["type"] == "text"), clip)

    @abstractmethod
    def _question(self, prompt: str, clip: DecodedClip | None) -> ModelInputs:
        """One question; the clip goes before the user's text."""

    def _example(self, messages: Sequence[Message], clip: DecodedClip | None, words: str | None) -> ModelInputs:
        """An answered conversation, with labels; families that see no videos have none."""
        raise self._cannot_be_trained()

    def _cannot_be_trained(self) -> InputError:
        return InputError(
            f"models of type '{self.checkpoint.config.model_type}' have no adapter that sees videos: they cannot be "
            "trained",
            file=self.checkpoint.folder,
        )

    def check_training(self) -> None:
        """Make sure that examples can be written.

        Raises:
            InputError: the family cannot be trained, or its chat template writes no ChatML turns.
        """
        raise self._cannot_be_trained()

    def length(self, messages: Sequence[Message], frames: int, words: str | None = None) -> int:
        """Tokens of an example before its clip is decoded; an estimate where they depend on the size of its pictures.

        Args:
            messages: as for :meth:`inputs`.
            frames: of the clip, 0 for none.
            words: as for :meth:`inputs`.

        Raises:
            InputError: the messages cannot be written.
        """
        raise self._cannot_be_trained()

    def batch(self, rows: Sequence[ModelInputs], *, padding_side: str = "left") -> dict[str, torch.Tensor]:
        """Rows as one batch of model inputs.

        Args:
            rows: all with labels, or none.
            padding_side: "left", as scoring and generation read the last token, or "right".

        Returns:
            ``input_ids`` and ``attention_mask``, int64 [rows, length]; ``labels``, if there are any; the visual inputs
            and what the family derives from the ids.

        Raises:
            InputError: the family cannot see clips of unequal length together.
        """
        groups = {row.group for row in rows if row.tensors}
        if len(groups) > 1 and not self.mixes_lengths:
            raise InputError(
                f"clips of {sorted(groups, key=str)} frames cannot share a batch in this family of models",
                hint="give all records the same number of frames, or set micro_batch to 1",
            )
        length = max(len(row.ids) for row in rows)
        ids = torch.tensor([padded(row.ids, self._pad, length, padding_side) for row in rows])
        mask = torch.tensor([padded([1] * len(row.ids), 0, length, padding_side) for row in rows])
        tensors = {"input_ids": ids, "attention_mask": mask}
        labels = [list(row.labels) for row in rows if row.labels is not None]
        if labels:
            if padding_side == "left":  # else a row's first token would be predicted from the padding before it
                labels = [[IGNORED, *row[1:]] for row in labels]
            tensors["labels"] = torch.tensor([padded(row, IGNORED, length, padding_side) for row in labels])
        return tensors | self._collate(rows) | self._extras(ids, mask)

    def _collate(self, rows: Sequence[ModelInputs]) -> dict[str, torch.Tensor]:
        """Visual inputs of several rows: concatenated along the first axis."""
        names = {name for row in rows for name in row.tensors}
        return {name: torch.cat([row.tensors[name] for row in rows if name in row.tensors]) for name in names}

    def _extras(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Further inputs that depend on the padded token ids.

        Args:
            ids, mask: int64 [rows, length]; the mask is 0 on padding.
        """
        return {}


def family_of(
    checkpoint: Checkpoint,
    chat: Chat,
    model: Any,
    rule: PixelRule = "official",
    tokenisation: TokenisationConfig | None = None,
) -> Family:
    """The adapter for a loaded model; see :class:`Family` for the arguments.

    Raises:
        InputError: the family does not know the pixel limits of ``rule``.
    """
    accepted = frozenset(inspect.signature(model.forward).parameters)
    return family_class(checkpoint.config.model_type)(checkpoint, chat, accepted, rule, tokenisation)


class VideoFamily(Family):
    """A family whose chat template writes one placeholder for a video; ``visual_inputs`` says what it becomes."""

    placeholder: str
    """The placeholder as the template writes it."""
    visual_tokens: tuple[str, ...]
    """Special tokens of pictures, the one repeated per visual feature first; in a user's text they are text."""

    @abstractmethod
    def visual_inputs(self, clip: DecodedClip) -> VisualInputs:
        """A clip as the model's visual inputs."""

    _cached: tuple[DecodedClip, VisualInputs] | None = None

    def _inputs_of(self, clip: DecodedClip) -> VisualInputs:
        """The visual inputs of a clip; several orders of a question's options come with the same frames."""
        last = None if self._cached is None else self._cached[0]
        if (
            self._cached is None
            or last is None
            or last.frames is not clip.frames
            or last.duration != clip.duration
            or not np.array_equal(last.times, clip.times)
        ):
            self._cached = (clip, self.visual_inputs(clip))
        return self._cached[1]

    @property
    def action_tokens(self) -> tuple[str, ...]:
        """What follows a video where the model has an action token."""
        settings = action_settings(self.checkpoint.config)
        return () if settings is None else TOKENS[settings.supervision]

    def _question(self, prompt: str, clip: DecodedClip | None) -> ModelInputs:
        if clip is None:
            return ModelInputs(tuple(self.chat.encode(self.chat.lay_out(prompt))))
        laid = self.chat.lay_out(prompt, ("video",))
        if not laid.count(self.placeholder):  # a template that passes over videos
            laid = self.chat.lay_out(prompt, before=f"{self.placeholder}\n")
        if laid.count(self.placeholder) != 1:
            raise InputError(
                f"its chat template writes '{self.placeholder}' {laid.count(self.placeholder)} times for one video",
                file=self.checkpoint.folder,
            )
        view = self._inputs_of(clip)
        ids = self.chat.encode(laid.replaced(self.placeholder, view.text + "".join(self.action_tokens)))
        placed = ids.count(self.chat.tokenizer.convert_tokens_to_ids(self.visual_tokens[0]))
        if placed != view.visual:
            raise InputError(
                f"its tokenizer made {placed} tokens of {view.visual} times '{self.visual_tokens[0]}'",
                file=self.checkpoint.folder,
                hint="the token must be a special one of the tokenizer",
            )
        return ModelInputs(tuple(ids), view.tensors, view.visual, view.group)

    _cached_tokeniser: ConversationTokeniser | None = None

    @property
    def _tokeniser(self) -> ConversationTokeniser:
        """Writes examples in the turns in which questions are asked."""
        if self._cached_tokeniser is None:
            form, system = self.chat.turns(self.placeholder)
            config = self.tokenisation.model_copy(update={"system": system})
            self._cached_tokeniser = ConversationTokeniser(
                self.checkpoint.tokenizer, self._placeholder_ids, config, form
            )
        return self._cached_tokeniser

    @property
    def _placeholder_ids(self) -> Mapping[str, int]:
        """Ids of placeholders of a text; empty where a clip is written out as text."""
        return {}

    def check_training(self) -> None:
        """See :meth:`Family.check_training`."""
        _ = self._tokeniser

    def _example(self, messages: Sequence[Message], clip: DecodedClip | None, words: str | None) -> ModelInputs:
        if words is not None:
            raise self._no_words()
        view = None if clip is None else self._inputs_of(clip)
        text = "" if view is None else view.text + "".join(self.action_tokens)
        places = sum(str(message["content"]).count(VIDEO) for message in messages)
        if places != (clip is not None):
            raise InputError(
                f"its text has {places} '{VIDEO}' placeholders for {int(clip is not None)} videos",
                hint="a text that only speaks of the placeholder cannot be told from one that shows a video there",
            )
        example = self._tokeniser(messages, text + self.chat.gap(self.placeholder) if text else "")
        ids, labels = example.ids, example.labels
        limit = self.tokenisation.max_length
        if limit is not None and len(ids) > limit:
            tokenizer = self.checkpoint.tokenizer
            visual = set(tokenizer.convert_tokens_to_ids([*self.visual_tokens, *self.action_tokens]))
            if visual.intersection(ids[limit:]):
                raise InputError(f"its video does not fit into {limit} tokens", hint="take fewer frames")
            ids, labels = ids[:limit], labels[:limit]
        tensors, visual_count, group = ({}, 0, None) if view is None else (view.tensors, view.visual, view.group)
        return ModelInputs(tuple(ids), tensors, visual_count, group, tuple(labels))

    def length(self, messages: Sequence[Message], frames: int, words: str | None = None) -> int:
        """See :meth:`Family.length`."""
        if words is not None:
            raise self._no_words()
        length = len(self._tokeniser(messages, "").ids) + (self._clip_length(frames) if frames else 0)
        return length if self.tokenisation.max_length is None else min(length, self.tokenisation.max_length)

    def _clip_length(self, frames: int) -> int:
        """Tokens of a clip of so many frames, action tokens and all."""
        lengths: dict[int, int] = self.__dict__.setdefault("_clip_lengths", {})
        if frames not in lengths:
            black = np.zeros((frames, *_PICTURE, 3), np.uint8)
            view = self.visual_inputs(DecodedClip(black, np.arange(frames, dtype=np.float64), float(frames)))
            text = view.text + self.chat.gap(self.placeholder)
            tokens = self.checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"]
            lengths[frames] = len(tokens) + len(self.action_tokens)
        return lengths[frames]

    def _no_words(self) -> InputError:
        """No family but llava_video adds words to the action token."""
        return InputError(
            f"models of type '{self.checkpoint.config.model_type}' cannot learn from words that stand in for a clip",
            hint="leave such records out of the mixture; llava_video models learn from them",
        )


def plain_positions(mask: torch.Tensor) -> torch.Tensor:
    """Positions that count from the first token that is not padding, int64 [questions, length]."""
    return (mask.cumsum(-1) - 1).clamp_min(0)
