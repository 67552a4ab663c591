"""From records to model inputs: clips are read in worker processes, what cannot be read is left out and counted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.models.action_token import action_settings
from llavaction.models.checkpoint import Checkpoint
from llavaction.models.collator import Collator, CollatorConfig, TrainingItem, label_classes
from llavaction.models.families.base import Family, Prepared, VideoFamily, family_of
from llavaction.models.families.chat import Chat
from llavaction.models.llava_video import LlavaVideoProcessor, padded
from llavaction.models.tokenisation import (
    END,
    IGNORED,
    START,
    SYSTEM,
    VIDEO,
    ConversationTokeniser,
    TokenisationConfig,
    TurnForm,
)
from llavaction.training.config import StageConfig
from llavaction.training.mixture import Mixture
from llavaction.training.schedule import Draw
from llavaction.video.frames import Frames
from llavaction.video.library import VideoLibrary

SKIPPED, PARTIAL, RECORDS = "skipped", "partial", "records"
"""What a batch says of itself: the records left out of it and those whose clip is not complete, each with the reason;
and how many it was to have."""

_PROBE = "what is asked"
_LOOKED_AT = 4
"""Videos whose pictures are looked at to judge the size of clips."""
_PICTURE = (270, 480)
"""Height and width by which the length of a clip is estimated where it depends on the picture's size."""


@dataclass(frozen=True)
class Skipped:
    """A record that could not be used."""

    record_id: str
    reason: str


class RowMaker(Protocol):
    """Lays out items and batches them; see :class:`llavaction.models.collator.Collator`."""

    def lay_out(self, item: TrainingItem) -> Any:
        """One item, not padded."""
        ...

    def batch(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Items as model inputs with ``labels``."""
        ...

    def length(self, messages: Sequence[Mapping[str, Any]], frames: int, words: str | None = None) -> int:
        """Tokens of an item before its video is read; ``words`` stand in for a video."""
        ...


class FrameStore:
    """Decoded clips kept in memory, for datasets so small that every clip is seen many times.

    Args:
        gigabytes: how much is kept; what comes later is decoded every time.
    """

    def __init__(self, gigabytes: float) -> None:
        self._room = int(gigabytes * 1e9)
        self._kept: dict[Hashable, Frames] = {}

    def read(self, key: Hashable, decode: Callable[[], Frames]) -> Frames:
        """The clip of that key; ``decode`` is called where it is not there. Damaged clips are not kept."""
        if key in self._kept:
            return self._kept[key]
        frames = decode()
        if frames.error is None and frames.images.nbytes <= self._room:
            self._room -= frames.images.nbytes
            self._kept[key] = frames
        return frames


class ClipDataset(Dataset[TrainingItem | Skipped]):
    """Records with their clips read.

    Args:
        mixture: the records.
        library: their videos; None where no record shows any.
        jitter: seed of the random choice of frames, or None to take the middle of every part of a clip.
        store: keeps decoded clips, where frames are not chosen at random.
    """

    def __init__(
        self,
        mixture: Mixture,
        library: VideoLibrary | None,
        jitter: int | None = None,
        store: FrameStore | None = None,
    ) -> None:
        self._mixture, self._library, self._jitter = mixture, library, jitter
        self._store = store or FrameStore(0)

    def __len__(self) -> int:
        return self._mixture.pass_length

    def clip_bytes(self) -> int:
        """Bytes of the largest clip as decoded, judged by the pictures of a few of the videos; 0 where none is read."""
        shown = [place for place, record in enumerate(self._mixture.records) if record.clip is not None]
        if self._library is None or not shown:
            return 0
        largest = 0
        for place in shown[:: -(-len(shown) // _LOOKED_AT)]:
            record = self._mixture.records[place]
            assert record.clip is not None
            try:
                seen = self._library.read(record.clip, 1, segment_id=record.segment_id)
            except Exception:  # it is said when the record's turn comes
                continue
            largest = max(largest, seen.images.nbytes)
        return largest * max(self._mixture.frames[place] for place in shown)

    def __getitem__(self, draw: Draw) -> TrainingItem | Skipped:
        """A record at its turn; one whose clip cannot be read says why."""
        record, count = self._mixture.records[draw.record], self._mixture.frames[draw.record]
        messages = [message.model_dump() for message in record.messages]
        labels = None if record.labels is None else record.labels.model_dump()
        if record.clip is None or self._library is None:
            return TrainingItem(messages, labels=labels, words=record.words)
        rng = None if self._jitter is None else hashed_rng("jitter", self._jitter, record.record_id, draw.turn)
        read = partial(self._library.read, record.clip, count, segment_id=record.segment_id, jitter=rng)
        try:
            key = (self._library.known_by, record.clip, count, record.segment_id)
            frames = read() if rng is not None else self._store.read(key, read)
        except Exception as error:  # a decoder may raise anything on a damaged file
            return Skipped(record.record_id, f"{type(error).__name__}: {error}")
        if not len(frames.images):
            return Skipped(record.record_id, str(frames.error or "no frame can be decoded"))
        times = np.maximum(np.asarray(frames.times, dtype=np.float64) - record.clip.start, 0.0)
        lacking = None if frames.error is None else f"{record.record_id}: {frames.error}"
        durations = [record.clip.duration]
        return TrainingItem(
            messages, [frames.images], labels=labels, times=[times], durations=durations, partial=lacking
        )


class BatchMaker:
    """The collate function: what is bad is left out, an empty batch gets a row in which there is nothing to learn.

    Args:
        rows: of the model's family.
        tokenizer: for the row of an empty batch.
    """

    def __init__(self, rows: RowMaker, tokenizer: Any) -> None:
        self._rows = rows
        self._ids = tokenizer("\n", add_special_tokens=False)["input_ids"][:1] * 2

    def __call__(self, found: Sequence[TrainingItem | Skipped]) -> dict[str, Any]:
        """A batch of model inputs, with ``SKIPPED``, ``PARTIAL`` and ``RECORDS``."""
        rows, skipped, partial = [], [], []
        for number, item in enumerate(found):
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            try:
                rows.append(self._rows.lay_out(item))
                if item.partial is not None:
                    partial.append(item.partial)
            except InputError as error:
                skipped.append(Skipped(f"number {number} of its batch", str(error)))
        ids = torch.tensor([self._ids])
        empty = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.full_like(ids, IGNORED)}
        made: dict[str, Any] = self._rows.batch(rows) if rows else empty
        return made | {SKIPPED: skipped, PARTIAL: partial, RECORDS: len(found)}


class FamilyRows:
    """Rows for any family of the backends that sees videos: what it is taught is what it is later asked.

    Args:
        family, chat: of the model.
        config: how conversations are written; rows are padded on the right.

    Raises:
        InputError: the model's chat format has no ChatML turns.
    """

    def __init__(self, family: VideoFamily, chat: Chat, config: CollatorConfig) -> None:
        self._family, self._max_length = family, config.max_length
        tokenizer = family.checkpoint.tokenizer
        opening = chat.render(_PROBE, ("video",))
        self._gap = opening.partition(family.placeholder)[2].partition(_PROBE)[0]
        values = config.tokenisation.model_dump() | {"system": _system(opening)}
        self._tokenise = ConversationTokeniser(
            tokenizer, {}, TokenisationConfig.from_mapping(values), _form(chat, family.placeholder)
        )
        self._visual = set(tokenizer.convert_tokens_to_ids([*family.visual_tokens, *family.action_tokens]))
        self._labelled = action_settings(family.checkpoint.config) is not None
        pad = tokenizer.pad_token_id
        self._pad = 0 if pad is None else int(pad)
        self._video_lengths: dict[int, int] = {}

    def lay_out(self, item: TrainingItem) -> tuple[Prepared, tuple[int, ...], list[int]]:
        """The row, its labels and its classes.

        Raises:
            InputError: the messages have another number of places for videos than the item has videos, the row's video
                does not fit into the limit, or words stand in for it.
        """
        self._refuse(item.words)
        seen = self._family.see(item.videos[0], item.times[0], item.durations[0]) if item.videos else None
        text = "" if seen is None else seen.text + "".join(self._family.action_tokens)
        places = sum(str(message["content"]).count(VIDEO) for message in item.messages)
        if places != len(item.videos):
            raise InputError(
                f"its text has {places} '{VIDEO}' placeholders for {len(item.videos)} videos",
                hint="a text that only speaks of the placeholder cannot be told from one that shows a video there",
            )
        example = self._tokenise(item.messages, text + self._gap if text else "")
        ids, labels = list(example.ids), list(example.labels)
        if self._max_length is not None and len(ids) > self._max_length:
            if self._visual.intersection(ids[self._max_length :]):
                raise InputError(f"its video does not fit into {self._max_length} tokens", hint="take fewer frames")
            ids, labels = ids[: self._max_length], labels[: self._max_length]
        tensors, visual, group = ({}, 0, None) if seen is None else (seen.tensors, seen.visual, seen.group)
        return Prepared(tuple(ids), tensors, visual, group), tuple(labels), label_classes(item.labels)

    def batch(self, rows: Sequence[tuple[Prepared, tuple[int, ...], list[int]]]) -> dict[str, torch.Tensor]:
        """Rows as one batch.

        Raises:
            InputError: the family cannot see clips of unequal length together.
        """
        prepared = [row for row, _, _ in rows]
        groups = {row.group for row in prepared if row.tensors}
        if len(groups) > 1:
            raise InputError(
                f"clips of {sorted(groups, key=str)} frames cannot share a batch in this family of models",
                hint="give all records the same number of frames, or set micro_batch to 1",
            )
        length = max(len(row.ids) for row in prepared)
        ids = torch.tensor([padded(row.ids, self._pad, length, "right") for row in prepared])
        mask = torch.tensor([padded([1] * len(row.ids), 0, length, "right") for row in prepared])
        made = {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": torch.tensor([padded(labels, IGNORED, length, "right") for _, labels, _ in rows]),
            **self._family.collate(prepared),
            **self._family.extras(ids, mask),
        }
        if self._labelled:
            made["action_labels"] = torch.tensor([classes for _, _, classes in rows])
        return made

    def length(self, messages: Sequence[Mapping[str, Any]], frames: int, words: str | None = None) -> int:
        """Tokens of an item; an estimate where the tokens of a clip depend on the size of its pictures.

        Raises:
            InputError: the messages cannot be written, or there are words.
        """
        self._refuse(words)
        length = len(self._tokenise(messages, "").ids)
        if frames:
            if frames not in self._video_lengths:
                times = np.arange(frames, dtype=np.float64)
                seen = self._family.see(np.zeros((frames, *_PICTURE, 3), np.uint8), times, float(frames))
                written = seen.text + self._gap
                tokens = self._family.checkpoint.tokenizer(written, add_special_tokens=False)["input_ids"]
                self._video_lengths[frames] = len(tokens) + len(self._family.action_tokens)
            length += self._video_lengths[frames]
        return length if self._max_length is None else min(length, self._max_length)

    def _refuse(self, words: str | None) -> None:
        """No family but llava_video adds words to the action token."""
        if words is not None:
            raise InputError(
                f"models of type '{self._family.checkpoint.config.model_type}' cannot learn from words that stand in "
                "for a clip",
                hint="leave such records out of the mixture; llava_video models learn from them",
            )


def rows_for(checkpoint: Checkpoint, model: Any, stage: StageConfig) -> RowMaker:
    """What makes the rows of a model.

    Raises:
        InputError: the model's family sees no videos, or its chat format is not that of the training.
    """
    settings = TokenisationConfig(supervise=stage.supervise, system=SYSTEM)
    config = CollatorConfig(tokenisation=settings, max_length=stage.max_length)
    if checkpoint.config.model_type == "llava_video":
        processor = LlavaVideoProcessor.for_config(
            checkpoint.config, checkpoint.tokenizer, image_settings=checkpoint.image_settings
        )
        if checkpoint.chat_template is None:
            return Collator(processor, config)
        chat = Chat(checkpoint)
        values = settings.model_dump() | {"system": _system(chat.render(_PROBE, ("video",)))}
        own = config.model_copy(update={"tokenisation": TokenisationConfig.from_mapping(values)})
        return Collator(processor, own, _form(chat, processor.video_token))
    chat = Chat(checkpoint)
    family: Family = family_of(checkpoint, chat, model)
    if not isinstance(family, VideoFamily):
        raise InputError(
            f"models of type '{checkpoint.config.model_type}' have no adapter that sees videos: they cannot be trained",
            file=checkpoint.folder,
        )
    return FamilyRows(family, chat, config)


def lengths_of(mixture: Mixture, rows: RowMaker) -> list[int]:
    """Tokens of every record.

    Raises:
        InputError: names the record whose messages cannot be written.
    """
    found = []
    for record, frames in zip(mixture.records, mixture.frames, strict=True):
        try:
            found.append(rows.length([message.model_dump() for message in record.messages], frames, record.words))
        except InputError as error:
            raise InputError(f"record '{record.record_id}': {error.problem}", hint=error.hint) from error
    return found


def _system(opening: str) -> str | None:
    """What a chat template says before the first turn of the user; None for nothing."""
    before = opening.partition(f"{START}user")[0]
    header = f"{START}system\n"
    return before.removeprefix(header).removesuffix("\n").removesuffix(END) if before.startswith(header) else None


def _form(chat: Chat, placeholder: str) -> TurnForm:
    """How a chat template writes turns.

    Raises:
        InputError: they are no ChatML turns.
    """
    shown, told = chat.render(_PROBE, ("video",)), chat.render(_PROBE)
    user, assistant = f"{START}user", f"{START}assistant"
    if any(mark not in text for mark in (user, assistant) for text in (shown, told)):
        raise InputError(
            "its chat template writes no ChatML turns, in which training records are written",
            hint="training takes models whose turns are written as '<|im_start|>user' and '<|im_start|>assistant'",
        )
    after, _, before_answer = told.rpartition(_PROBE)[2].partition(assistant)
    return TurnForm(
        before_text=told.rpartition(user)[2].partition(_PROBE)[0],
        before_video=shown.rpartition(user)[2].partition(placeholder)[0],
        after=after,
        before_answer=before_answer,
    )
