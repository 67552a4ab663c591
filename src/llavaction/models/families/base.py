"""Model families: how each kind of model wants a clip to be laid before it."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.base.registry import resolve
from llavaction.models.action_token import TOKENS, action_settings
from llavaction.models.checkpoint import Checkpoint
from llavaction.models.families.chat import Chat
from llavaction.models.families.table import PixelRule, remark_on_images

FAMILIES: dict[str, str] = {
    "internvl": "llavaction.models.families.internvl:InternVLFamily",
    "llava_onevision": "llavaction.models.families.llava_onevision:LlavaOnevisionFamily",
    "llava_video": "llavaction.models.families.llava_video:LlavaVideoFamily",
    "qwen2_vl": "llavaction.models.families.qwen_vl:Qwen2VLFamily",
    "qwen2_5_vl": "llavaction.models.families.qwen_vl:Qwen2VLFamily",
    "qwen3_vl": "llavaction.models.families.qwen_vl:Qwen3VLFamily",
    "qwen3_vl_moe": "llavaction.models.families.qwen_vl:Qwen3VLFamily",
}
"""Hugging Face ``model_type`` to adapter; every other type gets its frames as so many images."""

_ANY_OTHER = "llavaction.models.families.images:ImagesFamily"


@dataclass(frozen=True)
class Prepared:
    """One question, ready for the model.

    Attributes:
        ids: token ids, the assistant's turn opened.
        tensors: the visual inputs, on the CPU.
        visual: how many of ``ids`` stand for visual features.
        group: questions can share a forward pass if their groups are equal.
    """

    ids: tuple[int, ...]
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    visual: int = 0
    group: Hashable = None

    def followed_by(self, lead: tuple[int, ...]) -> Prepared:
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
class Seen:
    """A clip as tensors and as text.

    Attributes:
        text: what takes the place of the video in the prompt.
        tensors: the visual inputs of the model.
        visual: how many visual tokens ``text`` holds.
        group: see :class:`Prepared`.
    """

    text: str
    tensors: Mapping[str, torch.Tensor]
    visual: int
    group: Hashable = None


class Family(ABC):
    """An adapter from frames and text to a model's inputs.

    Args:
        checkpoint: the model's folder.
        chat: its chat format.
        accepted: names of the arguments of the model's ``forward``.
        rule: whose pixel limits apply.

    Raises:
        InputError: the family knows no other limits than its checkpoints'.
    """

    kind = "video"
    """What the model takes a clip for: a "video", or so many "images"."""
    pixel_rules: tuple[PixelRule, ...] = ("official",)
    """Whose pixel limits the family can follow."""

    def __init__(
        self, checkpoint: Checkpoint, chat: Chat, accepted: frozenset[str], rule: PixelRule = "official"
    ) -> None:
        if rule not in self.pixel_rules:
            raise InputError(
                f"pixels '{rule}' is for the Qwen-VL families, this model is of type '{checkpoint.config.model_type}'",
                file=checkpoint.folder,
                hint="leave pixels at 'official'",
            )
        self.checkpoint, self.chat, self.accepted, self.rule = checkpoint, chat, accepted, rule

    @property
    def record(self) -> dict[str, Any]:
        """What the model is shown of a clip, for the record of a run."""
        return {"clip as": self.kind}

    @property
    def remark(self) -> str | None:
        """What the user should know of how a clip is shown."""
        return remark_on_images(self.checkpoint.config) if self.kind == "images" else None

    @abstractmethod
    def prepare(
        self,
        prompt: str,
        frames: NDArray[np.uint8] | None = None,
        times: NDArray[np.float64] | None = None,
        duration: float | None = None,
    ) -> Prepared:
        """Lay out one question.

        Args:
            prompt: the user's text.
            frames: uint8 [frames, height, width, 3], at least one; None asks without video.
            times: float64 [frames], seconds from the clip's start.
            duration: of the clip, in seconds.

        Raises:
            InputError: the prompt or the frames do not suit the model.
            ValueError: there are frames without times or duration.
        """

    def collate(self, items: Sequence[Prepared]) -> dict[str, torch.Tensor]:
        """Visual inputs of several questions of one group: concatenated along the first axis."""
        names = {name for item in items for name in item.tensors}
        return {name: torch.cat([item.tensors[name] for item in items if name in item.tensors]) for name in names}

    def extras(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Further inputs that depend on the padded token ids.

        Args:
            ids, mask: int64 [questions, length]; the mask is 0 on padding.
        """
        return {}


class VideoFamily(Family):
    """A family whose chat template writes one placeholder for a video; ``see`` says what it becomes."""

    placeholder: str
    """The placeholder as the template writes it."""
    visual_tokens: tuple[str, ...]
    """Special tokens of pictures, the one repeated per visual feature first; in a user's text they are text."""

    @abstractmethod
    def see(self, frames: NDArray[np.uint8], times: NDArray[np.float64], duration: float) -> Seen:
        """Turn frames, taken at ``times`` of a clip of ``duration`` seconds, into the model's visual inputs."""

    _last: tuple[NDArray[np.uint8], tuple[float, ...], Seen] | None = None

    def _seen(self, frames: NDArray[np.uint8], times: NDArray[np.float64], duration: float) -> Seen:
        """What ``see`` makes of a clip; several orders of a question's options come with the same frames."""
        when = (*times.tolist(), duration)
        if self._last is None or self._last[0] is not frames or self._last[1] != when:
            self._last = (frames, when, self.see(frames, times, duration))
        return self._last[2]

    @property
    def action_tokens(self) -> tuple[str, ...]:
        """What follows a video where the model has an action token."""
        settings = action_settings(self.checkpoint.config)
        return () if settings is None else TOKENS[settings.supervision]

    def prepare(
        self,
        prompt: str,
        frames: NDArray[np.uint8] | None = None,
        times: NDArray[np.float64] | None = None,
        duration: float | None = None,
    ) -> Prepared:
        """See :meth:`Family.prepare`."""
        if frames is None:
            return Prepared(tuple(self.chat.encode(self.chat.lay_out(prompt))))
        if times is None or duration is None:
            raise ValueError("frames come with their times and the duration of the clip")
        laid = self.chat.lay_out(prompt, ("video",))
        if not laid.count(self.placeholder):  # a template that passes over videos
            laid = self.chat.lay_out(prompt, before=f"{self.placeholder}\n")
        if laid.count(self.placeholder) != 1:
            raise InputError(
                f"its chat template writes '{self.placeholder}' {laid.count(self.placeholder)} times for one video",
                file=self.checkpoint.folder,
            )
        seen = self._seen(frames, times, duration)
        ids = self.chat.encode(laid.replaced(self.placeholder, seen.text + "".join(self.action_tokens)))
        placed = ids.count(self.chat.tokenizer.convert_tokens_to_ids(self.visual_tokens[0]))
        if placed != seen.visual:
            raise InputError(
                f"its tokenizer made {placed} tokens of {seen.visual} times '{self.visual_tokens[0]}'",
                file=self.checkpoint.folder,
                hint="the token must be a special one of the tokenizer",
            )
        return Prepared(tuple(ids), seen.tensors, seen.visual, seen.group)


def shared_length(*sequences: Sequence[int]) -> int:
    """How many tokens all sequences begin with in common."""
    for length, items in enumerate(zip(*sequences, strict=False)):
        if len(set(items)) > 1:
            return length
    return min(map(len, sequences))


def plain_positions(mask: torch.Tensor) -> torch.Tensor:
    """Positions that count from the first token that is not padding, int64 [questions, length]."""
    return (mask.cumsum(-1) - 1).clamp_min(0)


def family_of(checkpoint: Checkpoint, chat: Chat, model: Any, rule: PixelRule = "official") -> Family:
    """The adapter for a loaded model.

    Raises:
        InputError: the family does not know the pixel limits of ``rule``.
    """
    kind = checkpoint.config.model_type.removesuffix("_action")  # a backbone with an action token looks as it does
    name = FAMILIES.get(kind, _ANY_OTHER)
    accepted = frozenset(inspect.signature(model.forward).parameters)
    family: Family = resolve({kind: name}, kind, "model family")(checkpoint, chat, accepted, rule)
    return family
