"""Which frames to take: pure arithmetic on frame numbers and seconds, no file is touched here.

The published rule works on frame numbers: the span [start, stop] is divided into equal parts and the number at the
centre of each part is truncated. :class:`Timeline` applies the same rule by time. It measures time in periods of the
video's nominal frame rate, rounds the span's ends to whole periods, takes the centres of equal parts, and shows at
each centre the last frame that has begun. Where frames come at a constant rate, the frame that has begun at position
``x`` is number ``floor(x)``: the published choice. Where they do not, the choice still follows the timestamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llavaction.base.errors import InputError

COARSEST_SNAP = 0.25
"""Timestamps are moved to the nearest whole period only where their resolution is finer than this many periods."""

EDGE = 1e-6
"""A time this close before a frame's timestamp, in periods, counts as on it: decimal seconds are rarely exact."""


class Draws(Protocol):
    """A source of uniform draws: ``numpy.random.Generator`` (or the older ``RandomState``)."""

    def random(self, size: int) -> NDArray[np.float64]:
        """Draw ``size`` numbers from [0, 1)."""


def centres(start: float, stop: float, count: int, jitter: Draws | None = None) -> NDArray[np.float64]:
    """Centres of ``count`` equal parts of [start, stop], in the unit of ``start`` and ``stop``; float64 [count].

    Args:
        start: where the span begins, in frames or seconds.
        stop: where it ends.
        count: how many parts, at least 1.
        jitter: when given, each centre is moved by up to half of (stop - start - 1) / count either way. The 1 is one
            frame, so jitter is meant for spans in frames.

    Raises:
        InputError: ``count`` is less than 1.
    """
    if count < 1:
        raise InputError(f"cannot take {count} frames from a clip; at least 1 is needed")
    edges = np.linspace(start, stop, count + 1)
    middles = 0.5 * edges[:-1] + 0.5 * edges[1:]
    if jitter is not None:
        middles = middles + (np.asarray(jitter.random(count)) - 0.5) * (float(stop - start - 1) / count)
    return middles


def frame_indices(start_frame: int, end_frame: int, count: int, jitter: Draws | None = None) -> NDArray[np.int64]:
    """The published choice of ``count`` frame numbers from [start_frame, end_frame]; int64 [count].

    Source: golden/text/frames.json of the published implementation; centres of equal parts, truncated.

    Raises:
        InputError: ``count`` is less than 1.
    """
    return centres(start_frame, end_frame, count, jitter).astype(np.int64)


def frame_times(start: float, stop: float, count: int) -> NDArray[np.float64]:
    """Seconds at which ``count`` frames of the clip [start, stop) are looked at: centres of equal parts.

    Raises:
        InputError: ``count`` is less than 1.
    """
    return centres(start, stop, count)


def seconds_text(times: ArrayLike, separator: str = ",") -> str:
    """Times relative to the first one as prompts spell them: ``0.00s,0.13s,0.23s``."""
    values = np.asarray(times, dtype=np.float64)
    return separator.join(f"{value:.2f}s" for value in values - values[:1])


@dataclass(frozen=True)
class Timeline:
    """When each frame of a video begins.

    Attributes:
        times: float64 [frames], seconds from the beginning of the video, never falling; the first may be later than 0.
        rate: nominal frames per second; sets the period in which positions are measured.
        tick: resolution of the file's timestamps in seconds; 0 where they are exact.
    """

    times: NDArray[np.float64]
    rate: Fraction
    tick: float = 0.0

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Times in periods; one that a container rounded to its tick is put back on the whole period it stands for.

        Matroska, for one, keeps milliseconds: frames at 33, 67 and 100 ms are numbers 1, 2 and 3 of a 30 fps video.
        """
        first = self.times[:1] * float(self.rate)
        raw = self.times * float(self.rate) - first
        nearest = np.rint(raw)
        tick = self.tick * float(self.rate)
        tolerance = tick + EDGE if tick <= COARSEST_SNAP else EDGE
        return first + np.where(np.abs(raw - nearest) <= tolerance, nearest, raw)

    @property
    def duration(self) -> float:
        """Seconds until the last frame, shown for one period, is over."""
        return float(self.times[-1]) + float(1 / self.rate) if len(self.times) else 0.0

    @property
    def is_variable(self) -> bool:
        """Whether some frames are not one period apart."""
        return bool(np.any(np.abs(np.diff(self.positions) - 1.0) > 1e-3))

    def spread(self, start: float, stop: float, count: int, jitter: Draws | None = None) -> NDArray[np.float64]:
        """Positions (in periods) at which ``count`` frames of [start, stop) seconds are looked at.

        The ends are rounded to whole periods, half to even, as published.
        """
        rate = float(self.rate)
        return centres(float(np.round(start * rate)), float(np.round(stop * rate)), count, jitter)

    def shown_at(self, positions: ArrayLike) -> NDArray[np.int64]:
        """Index of the last frame that has begun at each position; the first frame where none has."""
        frames = np.searchsorted(self.positions, np.asarray(positions, dtype=np.float64), side="right") - 1
        return np.maximum(frames, 0).astype(np.int64)

    def pick(self, start: float, stop: float, count: int, jitter: Draws | None = None) -> NDArray[np.int64]:
        """Indices of ``count`` frames of the clip [start, stop) seconds; equals :func:`frame_indices` at constant rate.

        Raises:
            InputError: ``count`` is less than 1.
        """
        return self.shown_at(self.spread(start, stop, count, jitter))

    def on_show(self, times: ArrayLike) -> NDArray[np.int64]:
        """Index of the frame on show at each time in seconds."""
        return self.shown_at(np.asarray(times, dtype=np.float64) * float(self.rate) + EDGE)


@dataclass(frozen=True)
class ChunkRead:
    """Frames to take from one chunk of a video that is kept in chunks.

    Attributes:
        start: second of the video at which the chunk begins, also its file's name.
        frames: frame numbers within the chunk, rising; empty where the clip only touches it.
    """

    start: int
    frames: tuple[int, ...]


def chunk_reads(
    start: float,
    stop: float,
    count: int,
    *,
    rate: float,
    chunk_length: int,
    starts: Sequence[int],
    last_frames: int,
    jitter: Draws | None = None,
) -> list[ChunkRead]:
    """The published choice of frames from a video kept in chunks (``0.MP4``, ``15.MP4``, ...).

    The numbers are chosen over the whole video and truncated, then made relative to their chunk and truncated again:
    where the rate times the chunk's start is no whole number, that is one frame less than truncating once.

    Args:
        start: where the clip begins, in seconds of the whole video.
        stop: where it ends; cut at the last frame of the last chunk that exists.
        count: how many frames.
        rate: frames per second of the chunks.
        chunk_length: seconds per chunk.
        starts: the chunks that exist, by their first second.
        last_frames: number of frames in the chunk :func:`last_chunk` names.
        jitter: as in :func:`frame_indices`.

    Returns:
        One read per chunk from the one that holds ``start`` until all frames are found, by time.

    Raises:
        InputError: ``count`` is less than 1, or there are no chunks.
    """
    first = int(start) // chunk_length * chunk_length
    last = last_chunk(stop, chunk_length, starts)
    stop = min(stop, (last_frames - 1) / rate + last)
    numbers = frame_indices(int(np.round(start * rate)), int(np.round(stop * rate)), count, jitter)
    reads, frame_count = [], 0
    for chunk in range(first, last + chunk_length, chunk_length):
        inside = numbers[(numbers >= int(chunk * rate)) & (numbers < int((chunk + chunk_length) * rate))]
        reads.append(ChunkRead(chunk, tuple(int(number - chunk * rate) for number in inside)))
        frame_count += len(inside)
        if frame_count == count:
            break
    return reads


def last_chunk(stop: float, chunk_length: int, starts: Sequence[int]) -> int:
    """First second of the chunk that holds ``stop``, or of the last one before it.

    Raises:
        InputError: no chunk begins at or before ``stop``.
    """
    begin_of_chunk = int(stop) // chunk_length * chunk_length
    before = [begin for begin in starts if begin <= begin_of_chunk]
    if not before:
        raise InputError(f"no chunk begins at or before second {begin_of_chunk}; there are {sorted(starts)[:5]}")
    return max(before)
