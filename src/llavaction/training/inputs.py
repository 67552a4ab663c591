"""From records to model inputs: clips are read in worker processes, what cannot be read is left out and counted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.models.action_config import CLASSES, action_settings
from llavaction.models.checkpoint import Checkpoint
from llavaction.models.families.base import DecodedClip, Family, ModelInputs, family_of
from llavaction.models.families.chat import Chat
from llavaction.models.tokenisation import CHAT_TEMPLATE, IGNORED, TokenisationConfig
from llavaction.training.config import StageConfig
from llavaction.training.mixture import Mixture
from llavaction.training.sampler import Draw
from llavaction.video.frames import Frames
from llavaction.video.library import VideoLibrary

SKIPPED, PARTIAL, RECORDS = "skipped", "partial", "records"
"""What a batch says of itself: the records left out of it and those whose clip is not complete, each with the reason;
and how many it was to have."""

_LOOKED_AT = 4
"""Videos whose pictures are looked at to judge the size of clips."""


@dataclass(frozen=True)
class Skipped:
    """A record that could not be used."""

    record_id: str
    reason: str


@dataclass(frozen=True)
class TrainingItem:
    """A training record with its clip decoded.

    Attributes:
        messages: the conversation; ``VIDEO`` in it stands for the clip.
        clip: what is seen; None for text alone.
        labels: verb, noun and action class of what the clip shows; a missing one, like None, is not learnt.
        words: text that stands in for the clip: the vectors of its tokens are added to the action token's, and no
            picture is seen.
        partial: what kept the clip from being complete; other frames stand in for those that are missing.
    """

    messages: Sequence[Mapping[str, Any]]
    clip: DecodedClip | None = None
    labels: Mapping[str, int] | None = None
    words: str | None = None
    partial: str | None = None


class FrameStore:
    """Decoded clips kept in memory, for datasets so small that every clip is seen many times.

    Args:
        gigabytes: how much is kept; what comes later is decoded every time.
    """

    def __init__(self, gigabytes: float) -> None:
        self._room = int(gigabytes * 1e9)
        self._frames_of: dict[Hashable, Frames] = {}

    def read(self, key: Hashable, decode: Callable[[], Frames]) -> Frames:
        """The clip of that key; ``decode`` is called where it is not there. Damaged clips are not kept."""
        if key in self._frames_of:
            return self._frames_of[key]
        frames = decode()
        if frames.error is None and frames.images.nbytes <= self._room:
            self._room -= frames.images.nbytes
            self._frames_of[key] = frames
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
                clip = self._library.read(record.clip, 1, segment_id=record.segment_id)
            except Exception:  # it is said when the record's turn comes
                continue
            largest = max(largest, clip.images.nbytes)
        return largest * max(self._mixture.frames[place] for place in shown)

    def __getitem__(self, draw: Draw) -> TrainingItem | Skipped:
        """A record at its turn; one whose clip cannot be read says why."""
        record, count = self._mixture.records[draw.record], self._mixture.frames[draw.record]
        messages = [message.model_dump() for message in record.messages]
        labels = None if record.labels is None else record.labels.model_dump()
        if record.clip is None or self._library is None:
            return TrainingItem(messages, labels=labels, words=record.words)
        rng = None if self._jitter is None else hashed_rng("jitter", self._jitter, record.record_id, draw.turn)
        read_clip = partial(self._library.read, record.clip, count, segment_id=record.segment_id, jitter=rng)
        try:
            key = (self._library.known_by, record.clip, count, record.segment_id)
            frames = read_clip() if rng is not None else self._store.read(key, read_clip)
        except Exception as error:  # a decoder may raise anything on a damaged file
            return Skipped(record.record_id, f"{type(error).__name__}: {error}")
        if not len(frames.images):
            return Skipped(record.record_id, str(frames.error or "no frame can be decoded"))
        times = np.maximum(np.asarray(frames.times, dtype=np.float64) - record.clip.start, 0.0)
        lacking = None if frames.error is None else f"{record.record_id}: {frames.error}"
        clip = DecodedClip(frames.images, times, record.clip.duration)
        return TrainingItem(messages, clip, labels, partial=lacking)


class BatchMaker:
    """The collate function: what is bad is left out, an empty batch gets a row in which there is nothing to learn.

    Args:
        family: lays out the rows.
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._ids = tuple(family.checkpoint.tokenizer("\n", add_special_tokens=False)["input_ids"][:1] * 2)
        self._labelled = action_settings(family.checkpoint.config) is not None

    def __call__(self, items: Sequence[TrainingItem | Skipped]) -> dict[str, Any]:
        """A batch of model inputs, with ``SKIPPED``, ``PARTIAL`` and ``RECORDS``.

        ``labels`` are int64 [rows, length] (-100 where nothing is learnt); where the model has an action token there
        are ``action_labels``, int64 [rows, 3] (-1 where there is none).
        """
        rows, classes, skipped, partial = [], [], [], []
        for number, item in enumerate(items):
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            try:
                row, row_classes = self._family.inputs(item.messages, item.clip, words=item.words), label_classes(item)
            except InputError as error:
                skipped.append(Skipped(f"number {number} of its batch", str(error)))
                continue
            rows.append(row)
            classes.append(row_classes)
            if item.partial is not None:
                partial.append(item.partial)
        if not rows:
            rows, classes = [ModelInputs(self._ids, labels=(IGNORED,) * len(self._ids))], [[-1] * len(CLASSES)]
        batch: dict[str, Any] = self._family.batch(rows, padding_side="right")
        if self._labelled:
            batch["action_labels"] = torch.tensor(classes)
        return batch | {SKIPPED: skipped, PARTIAL: partial, RECORDS: len(items)}


def label_classes(item: TrainingItem) -> list[int]:
    """Verb, noun and action class of an item, -1 for each that is missing.

    Raises:
        InputError: there are labels of something else.
    """
    unknown = set(item.labels or ()) - set(CLASSES)
    if unknown:
        raise InputError(f"labels of {sorted(unknown)}", hint=f"known: {', '.join(CLASSES)}")
    return [(item.labels or {}).get(name, -1) for name in CLASSES]


def training_family(checkpoint: Checkpoint, model: Any, stage: StageConfig) -> Family:
    """What lays out the rows of a model in training.

    Raises:
        InputError: the model's family sees no videos, or its chat format is not that of the training.
    """
    tokenisation = TokenisationConfig(supervise=stage.supervise, max_length=stage.max_length)
    if checkpoint.config.model_type == "llava_video" and checkpoint.chat_template is None:
        checkpoint = replace(checkpoint, chat_template=CHAT_TEMPLATE)
    family = family_of(checkpoint, Chat(checkpoint), model, tokenisation=tokenisation)
    family.check_training()
    return family


def lengths_of(mixture: Mixture, family: Family) -> list[int]:
    """Tokens of every record.

    Raises:
        InputError: names the record whose messages cannot be written.
    """
    lengths = []
    for record, frames in zip(mixture.records, mixture.frames, strict=True):
        try:
            lengths.append(family.length([message.model_dump() for message in record.messages], frames, record.words))
        except InputError as error:
            raise InputError(f"record '{record.record_id}': {error.problem}", hint=error.hint) from error
    return lengths
