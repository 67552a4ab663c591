"""From what was asked for to frame indices, and what is wrong with the asking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llavaction.base.errors import InputError
from llavaction.video.errors import EmptyClipError, ShortVideoError
from llavaction.video.sampling import Draws, Timeline, frame_times

OVERHANG = 1.5
"""Periods by which a clip may stop after the video's end, or a moment lie before its first frame, before that counts
as a fault: annotations are rounded, and sound often begins a little before the picture."""


def plan_clip(
    timeline: Timeline,
    start: float,
    stop: float | None,
    count: int,
    file: str | Path,
    *,
    jitter: Draws | None = None,
) -> tuple[NDArray[np.int64], ShortVideoError | None]:
    """Indices of the frames of a clip, and an error to go with them if the video ends before the clip does.

    Raises:
        EmptyClipError: the clip holds no time.
        ShortVideoError: the video ends before the clip starts.
        InputError: ``count`` is less than 1.
    """
    begin, end = float(timeline.times[0]), timeline.duration
    if stop is not None:
        check_span(start, stop, file)
    if start >= end:
        raise ShortVideoError(f"ends at {end:.2f} s, before the clip starts at {start:.2f} s", file=file)
    stop = end if stop is None else stop
    check_span(start, stop, file)
    tolerance = OVERHANG / float(timeline.rate)
    if stop <= begin - tolerance:
        raise ShortVideoError(f"has no picture before {begin:.2f} s, the clip stops at {stop:.2f} s", file=file)
    missing = rows_outside(start, stop, count, begin - tolerance, end)
    error = None
    if stop > end + tolerance:
        problem = f"ends at {end:.2f} s, within the clip [{start:.2f}, {stop:.2f}) s; frames are from before the end"
        error = ShortVideoError(problem, file=file, missing=missing)
    elif missing:
        problem = f"has no picture before {begin:.2f} s, within the clip [{start:.2f}, {stop:.2f}) s"
        error = ShortVideoError(problem, file=file, missing=missing)
    return timeline.pick(max(start, 0.0), min(stop, end), count, jitter), error


def rows_outside(start: float, stop: float, count: int, begin: float, end: float) -> tuple[int, ...]:
    """Rows of a clip of ``count`` frames whose moment, the centre of an equal part of the span asked for, has no frame.

    Args:
        start: where the clip begins, in seconds; a negative start counts as 0.
        stop: where it was asked to stop.
        count: how many frames.
        begin: where the video's first frame begins.
        end: where its last frame is over.
    """
    moments = frame_times(max(start, 0.0), stop, count)
    return tuple(int(row) for row in np.flatnonzero((moments < begin) | (moments >= end)))


def check_span(start: float, stop: float, file: str | Path) -> None:
    """Refuse a span that holds no time.

    Raises:
        EmptyClipError: ``stop`` is not after ``start``, or one of them is no number.
    """
    if not np.isfinite([start, stop]).all() or stop <= start:
        raise EmptyClipError(f"the clip [{start}, {stop}) s holds no time; expected start < stop", file=file)


def plan_times(
    timeline: Timeline, times: ArrayLike, file: str | Path
) -> tuple[NDArray[np.int64], ShortVideoError | None]:
    """Indices of the frames on show at given seconds, and an error to go with them if some are past the video's end.

    Raises:
        EmptyClipError: no times are given.
        ShortVideoError: all times are past the video's end.
        InputError: a time is negative or no number.
    """
    seconds = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if not seconds.size:
        raise EmptyClipError("no times to look at were given", file=file)
    if not np.isfinite(seconds).all() or seconds.min() < 0:
        raise InputError(f"times to look at must be seconds from the beginning, 0 or more; found {seconds.min()}")
    begin, end = float(timeline.times[0]), timeline.duration
    tolerance = OVERHANG / float(timeline.rate)
    outside = (seconds < begin - tolerance) | (seconds >= end + tolerance)
    missing = tuple(int(row) for row in np.flatnonzero(outside))
    error = None
    if missing:
        shown = f"is shown from {begin:.2f} to {end:.2f} s" if begin > 0 else f"ends at {end:.2f} s"
        problem = f"{shown}, outside which are {len(missing)} of the {seconds.size} times asked for"
        error = ShortVideoError(problem, file=file, missing=missing)
    if error is not None and len(missing) == seconds.size:
        raise error
    return timeline.on_show(seconds), error
