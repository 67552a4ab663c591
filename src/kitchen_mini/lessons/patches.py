"""Boxed frames, as a vision tower reads them, and what lies on each of their patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from kitchen_mini.boxes import HAND, FrameBoxes
from kitchen_mini.lessons.config import BoxesConfig
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import FileFacts
from llavaction.base.loaders import Loader
from llavaction.base.progress import progress
from llavaction.base.records import read_records
from llavaction.base.seeding import hashed_rng
from llavaction.models.llava_video import LlavaVideoProcessor
from llavaction.training.sampler import Draw
from llavaction.video.decode import read_times
from llavaction.video.errors import VideoError
from llavaction.video.library import VideoLibrary

OF_PATCH, OF_BOX = 0.3, 0.45
"""A patch is hit by a box that covers this share of it, or of which this share lies on it."""
_LATER = 0.001
"""Seconds added to a frame's time, which is rounded: what is asked for is the frame that has just begun."""
_ROUNDING = 1e-9

Rows = NDArray[np.float64]
"""The boxes of a frame, [boxes, 7]: left, top, right, bottom, noun, used, on."""


class Moment(NamedTuple):
    """A time of a video, in seconds, and the boxes of the frame that is on show then."""

    time: float
    rows: Rows


class PatchItem(NamedTuple):
    """A frame, uint8 [3, side, side], and its boxes."""

    frame: NDArray[np.uint8]
    rows: Rows


def channel_groups(nouns: int) -> dict[str, slice]:
    """The channels of a patch by what they tell: noun there, noun used, a hand there, something open or running."""
    return {
        "nouns": slice(0, nouns),
        "used": slice(nouns, 2 * nouns),
        "hand": slice(2 * nouns, 2 * nouns + 1),
        "on": slice(2 * nouns + 1, 2 * nouns + 2),
    }


def box_rows(frame: FrameBoxes) -> Rows:
    """The boxes of a frame as numbers."""
    return np.array([(*item.box, item.noun, item.used, item.on) for item in frame.boxes], np.float64).reshape(-1, 7)


def patch_targets(rows: Rows, side: int, nouns: int) -> NDArray[np.uint8]:
    """What lies on each patch.

    Args:
        rows: the boxes of a frame, see :func:`box_rows`.
        side: patches along each side.
        nouns: noun classes.

    Returns:
        [side * side, 2 * nouns + 2], 0 or 1, patches row by row from the top; for the channels see
        :func:`channel_groups`.
    """
    edges = np.arange(side + 1) / side
    across, down = (
        np.clip(np.minimum(rows[:, axis + 2, None], edges[1:]) - np.maximum(rows[:, axis, None], edges[:-1]), 0, None)
        for axis in (0, 1)
    )
    overlap = (down[:, :, None] * across[:, None, :]).reshape(len(rows), side * side)
    area = ((rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1]))[:, None]
    hit = (overlap >= OF_PATCH / side**2 - _ROUNDING) | (overlap >= OF_BOX * area - _ROUNDING) & (overlap > 0)
    classes, used, on = rows[:, 4].astype(np.int64), rows[:, 5] > 0, rows[:, 6] > 0
    targets = np.zeros((2 * nouns + 2, side * side), np.uint8)
    for inside, channels in (
        (classes != HAND, classes),
        (used & (classes != HAND), nouns + classes),
        (classes == HAND, np.full_like(classes, 2 * nouns)),
        (on, np.full_like(classes, 2 * nouns + 1)),
    ):
        np.maximum.at(targets, channels[inside], hit[inside].astype(np.uint8))
    return np.ascontiguousarray(targets.T)


def read_moments(config: BoxesConfig) -> dict[str, list[Moment]]:
    """All boxed frames, by video, in order of time.

    Raises:
        InputError: there is no such folder or no boxes in it, or a line is not as it has to be (names file and line).
    """
    if not config.path.is_dir():
        raise InputError("no such folder of boxes", file=config.path)
    moments: dict[str, list[Moment]] = {}
    for path in sorted(config.path.rglob("*.jsonl")):
        for number, frame in enumerate(read_records(path, FrameBoxes)):
            rows = box_rows(frame)
            if len(rows) and rows[:, 4].max() >= config.nouns:
                problem = f"a box is of noun class {rows[:, 4].max():.0f}, nouns is {config.nouns}"
                raise InputError(problem, file=path, line=_line_of(path, number), hint="classes count from 0")
            moments.setdefault(frame.video_id, []).append(Moment(frame.time, rows))
    if not moments:
        raise InputError("holds no boxes: expected *.jsonl of FrameBoxes", file=config.path)
    return {video: sorted(moments[video], key=lambda moment: moment.time) for video in sorted(moments)}


class FrameScaler:
    """A processor's image processing in two steps: scaling, and then what is done to each value by itself.

    Args:
        processor: of the model.
    """

    def __init__(self, processor: LlavaVideoProcessor) -> None:
        self._process = processor.image_processor
        ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
        self._table = self._processed([ramp], do_resize=False, do_center_crop=False)[0, :, :, 0]

    def scaled(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frames uint8 [frames, height, width, 3] at the tower's size, uint8 [frames, 3, side, side]."""
        return self._processed(list(frames), do_rescale=False, do_normalize=False)

    def values(self, scaled: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Their pixel values, as the processor gives them."""
        return np.stack([self._table[channel][scaled[:, channel]] for channel in range(3)], axis=1)

    def _processed(self, frames: list[NDArray[np.uint8]], **steps: bool) -> Any:
        features = self._process(frames, input_data_format="channels_last", return_tensors="np", **steps)
        return np.asarray(features["pixel_values"])


@dataclass(frozen=True)
class FrameBatches:
    """The collate function: frames and what lies on their patches.

    Attributes:
        scaler: of the model's frames.
        side: patches along each side.
        nouns: noun classes.
    """

    scaler: FrameScaler
    side: int
    nouns: int

    def __call__(self, items: Sequence[PatchItem]) -> dict[str, torch.Tensor]:
        """``pixel_values``, float32 [frames, 3, side, side]; ``targets``, uint8 [frames, patches, channels]."""
        targets = [patch_targets(item.rows, self.side, self.nouns) for item in items]
        return {
            "pixel_values": torch.from_numpy(self.scaler.values(np.stack([item.frame for item in items]))),
            "targets": torch.from_numpy(np.stack(targets)),
        }


class BoxedFrames(Dataset[PatchItem]):
    """Frames in memory, with their boxes.

    Args:
        videos: of each video its frames, uint8 [frames, 3, side, side], and equally many boxes.
    """

    def __init__(self, videos: Sequence[tuple[NDArray[np.uint8], Sequence[Rows]]]) -> None:
        self._videos = list(videos)
        self._places = [(number, row) for number, video in enumerate(self._videos) for row in range(len(video[0]))]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, draw: Draw) -> PatchItem:
        """A frame, whatever its turn."""
        number, row = self._places[draw.record]
        frames, rows = self._videos[number]
        return PatchItem(frames[row], rows[row])


@dataclass(frozen=True)
class Loaded:
    """The frames of a stage.

    Attributes:
        training: to learn from.
        held_out: of other videos, to see what was learnt.
        held_out_videos: their ids.
        missing: frames that cannot be read, by video.
        videos: what the videos are known by, by path.
    """

    training: BoxedFrames
    held_out: BoxedFrames
    held_out_videos: list[str]
    missing: Mapping[str, int]
    videos: Mapping[str, FileFacts]


def load_frames(config: BoxesConfig, library: VideoLibrary, scaler: FrameScaler, seed: int, workers: int) -> Loaded:
    """Decode every boxed frame.

    Frames that cannot be read are left out and counted. Of ten videos or more, 3 % and at least one are held out.

    Args:
        config: the boxes.
        library: their videos.
        scaler: of the model's frames.
        seed: decides which frames a cap keeps and which videos are held out.
        workers: processes that decode; 0 decodes in this one.

    Raises:
        InputError: the boxes are not as they have to be (see :func:`read_moments`), a video is no single file, or not
            one frame can be read.
    """
    moments_of = read_moments(config)
    missing = {video: len(moments_of.pop(video)) for video in library.missing(moments_of)}
    moments_of = _capped(moments_of, config.cap, seed)
    files = _VideoFrames([(_file_of(library, video), moments) for video, moments in moments_of.items()], scaler)
    loader = Loader(files, min(workers, len(files)), batch_size=None, collate_fn=_as_it_is)
    frames: dict[str, tuple[NDArray[np.uint8], list[Rows]]] = {}
    for video, (images, rows) in zip(moments_of, progress(loader, "boxed videos", total=len(files)), strict=True):
        missing_count = len(moments_of[video]) - len(rows)
        if missing_count:
            missing[video] = missing_count
        if rows:
            frames[video] = images, [moments_of[video][row].rows for row in rows]
    if not frames:
        raise InputError(
            f"none of the frames with boxes can be read; {len(missing)} videos are missing or damaged",
            file=library.root,
            hint=f"the first is '{min(missing)}'",
        )
    count = max(1, round(0.03 * len(frames))) if len(frames) >= 10 else 0
    held_videos = sorted(hashed_rng("held out", seed).permutation(sorted(frames))[:count].tolist())
    training = BoxedFrames([video_frames for video, video_frames in frames.items() if video not in held_videos])
    held_out = BoxedFrames([frames[video] for video in held_videos])
    return Loaded(training, held_out, held_videos, missing, library.facts((video, None) for video in frames))


class _VideoFrames(Dataset[tuple[NDArray[np.uint8], list[int]]]):
    """Video by video: the frames that can be read, scaled, and which of those asked for they are."""

    def __init__(self, videos: Sequence[tuple[Path | None, list[Moment]]], scaler: FrameScaler) -> None:
        self._videos, self._scaler = videos, scaler

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], list[int]]:
        path, moments = self._videos[number]
        nothing: tuple[NDArray[np.uint8], list[int]] = np.zeros((0, 3, 0, 0), np.uint8), []
        if path is None:
            return nothing
        try:
            clip = read_times(path, [moment.time + _LATER for moment in moments])
        except Exception:  # a decoder may raise anything on a damaged file
            return nothing
        stand_ins = set() if clip.error is None else set(clip.error.missing)
        rows = [row for row in range(len(clip.images)) if row not in stand_ins]
        return (self._scaler.scaled(clip.images[rows]), rows) if rows else nothing


def _file_of(library: VideoLibrary, video: str) -> Path | None:
    """A video's file; None if several are called so.

    Raises:
        InputError: it is kept in pieces.
    """
    try:
        path = library.path(video)
    except VideoError:
        return None
    if path.is_dir():
        raise InputError("is a folder; boxes need videos that are single files", file=path)
    return path


def _capped(moments_of: Mapping[str, list[Moment]], cap: int | None, seed: int) -> dict[str, list[Moment]]:
    places = [(video, number) for video in moments_of for number in range(len(moments_of[video]))]
    if cap is None or len(places) <= cap:
        return dict(moments_of)
    capped: dict[str, list[Moment]] = {}
    for index in np.sort(hashed_rng("boxes", seed).permutation(len(places))[:cap]):
        video, number = places[index]
        capped.setdefault(video, []).append(moments_of[video][number])
    return capped


def _line_of(path: Path, record: int) -> int:
    """The line of a file's record, counted from 0; empty lines hold none."""
    with path.open("rb") as stream:
        return [number for number, raw in enumerate(stream, start=1) if raw.strip()][record]


def _as_it_is(item: Any) -> Any:
    return item
