"""Reading clips of videos that are kept in pieces: as chunks of some seconds each, or as one image per frame."""

from __future__ import annotations

import os
from contextlib import ExitStack
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llavaction.video.decode import VideoReader
from llavaction.video.errors import CorruptVideoError, MissingVideoError, ShortVideoError, VideoError
from llavaction.video.frames import Frames, Sheet, Side, Size, target_size
from llavaction.video.layouts import Source, chunk_length, frame_number
from llavaction.video.plan import OVERHANG, check_span, plan_clip, rows_outside
from llavaction.video.sampling import Draws, Timeline, chunk_reads, last_chunk

ENDLESS = 1 << 30
"""Seconds per chunk where a video has only one, which begins at 0."""


def read_chunks(
    source: Source,
    start: float,
    stop: float | None,
    count: int,
    *,
    size: Size = None,
    side: Side = "short",
    jitter: Draws | None = None,
) -> Frames:
    """Frames of a clip of a video kept in chunks, chosen by :func:`llavaction.video.sampling.chunk_reads`.

    Arguments as for :func:`llavaction.video.decode.read_clip`. Frames of a chunk that is absent or damaged are stood
    in for by others of the clip, and the error says so.

    Raises:
        EmptyClipError: the clip holds no time.
        ShortVideoError: the video ends before the clip starts.
        MissingVideoError: the clip lies in chunks that are not there.
        CorruptVideoError: no chunk of the clip can be opened.
        InputError: ``count`` or ``size`` is less than 1.
    """
    with ExitStack() as stack:
        chunks = _Chunks(source, stack)
        last = max(chunks.files) if stop is None else chunks.last_before(stop)
        clock = chunks.clock(range(last, -1, -chunks.length))
        rate = float(clock.rate)
        opened = chunks.open(last)
        end = last + (opened.timeline.duration if isinstance(opened, VideoReader) else chunks.length)
        stop = end if stop is None else stop
        check_span(start, stop, source.path)
        fault = chunks.fault_at_end(start, stop, end, OVERHANG / rate)
        past = rows_outside(start, stop, count, 0.0, end) if fault is not None else ()
        reads = chunk_reads(
            max(start, 0.0),
            stop,
            count,
            rate=rate,
            chunk_length=chunks.length,
            starts=list(chunks.files),
            last_frames=round((end - last) * rate),
            jitter=jitter,
        )
        wanted = [(read.start, number) for read in reads for number in read.frames]
        wanted += [wanted[-1] if wanted else (last, round((end - last) * rate))] * (count - len(wanted))
        sheet = Sheet(range(count))
        times = np.zeros(count)
        for begin in dict.fromkeys(chunk for chunk, _ in wanted):
            rows = [row for row, (chunk, _) in enumerate(wanted) if chunk == begin]
            numbers = [wanted[row][1] for row in rows]
            times[rows] = begin + np.asarray(numbers) / rate
            video = chunks.open(begin)
            if isinstance(video, VideoError):
                fault = fault or video
                continue
            part = video.frames(video.timeline.shown_at(numbers), size=sheet.picture_size or size, side=side)
            fault = fault or part.error
            if len(part):
                times[rows] = begin + part.times
            lost = part.error.missing if part.error is not None else ()
            for at, image in enumerate(part.images):
                if at not in lost:
                    sheet.put(rows[at], image)
        return sheet.finish(times, None if fault is None else fault.with_missing(past), str(source.path))


class _Chunks:
    """The chunk files of one video, opened when needed and closed with ``stack``."""

    def __init__(self, source: Source, stack: ExitStack) -> None:
        self.source, self.files, self._stack = source, dict(source.chunks), stack
        self.length = chunk_length(list(self.files)) or ENDLESS
        self._opened: dict[int, VideoReader | VideoError] = {}

    def open(self, begin: int) -> VideoReader | VideoError:
        """The chunk that begins at this second, or why it cannot be read."""
        if begin not in self._opened:
            try:
                if begin not in self.files:
                    raise MissingVideoError(f"the chunk that begins at {begin} s is missing", file=self.source.path)
                self._opened[begin] = self._stack.enter_context(VideoReader(self.files[begin]))
            except VideoError as error:
                self._opened[begin] = error
        return self._opened[begin]

    def last_before(self, stop: float) -> int:
        """First second of the last chunk there is before ``stop``."""
        if min(self.files) > stop:
            raise MissingVideoError(
                f"the chunks before {min(self.files)} s are missing, the clip stops at {stop:.2f} s",
                file=self.source.path,
            )
        return last_chunk(stop, self.length, list(self.files))

    def clock(self, begins: range) -> Timeline:
        """Timeline of the first of these chunks that can be opened."""
        for begin in begins:
            video = self.open(begin)
            if isinstance(video, VideoReader):
                return video.timeline
        error = self.open(begins[0])
        assert isinstance(error, VideoError)
        raise error

    def fault_at_end(self, start: float, stop: float, end: float, tolerance: float) -> VideoError | None:
        """What is wrong if the chunks there are end (at second ``end``) before the clip does."""
        if stop <= end + tolerance and start < end:
            return None
        later = [begin for begin in self.files if begin >= end - tolerance]
        if later:
            problem = f"the chunks from {end:.2f} s to {min(later)} s are missing, within [{start:.2f}, {stop:.2f}) s"
            fault: VideoError = MissingVideoError(problem, file=self.source.path)
        else:
            problem = f"ends at {end:.2f} s, before the clip [{start:.2f}, {stop:.2f}) s stops"
            fault = ShortVideoError(problem, file=self.source.path)
        if start >= end:
            raise fault
        return fault


def read_images(
    source: Source,
    start: float,
    stop: float | None,
    count: int,
    *,
    fps: float,
    size: Size = None,
    side: Side = "short",
    jitter: Draws | None = None,
) -> Frames:
    """Frames of a clip of a video kept as numbered images.

    Numbers count from 1, or from 0 where there is an image 0. The published rule chooses the frames; one that is not
    there or cannot be read is stood in for by another of the clip, and the error says so.

    Args:
        source: the folder.
        start: as for :func:`llavaction.video.decode.read_clip`, and so are the other arguments.
        stop: see there.
        count: see there.
        fps: frames per second at which the images were extracted.
        size: see there.
        side: see there.
        jitter: see there.

    Raises:
        EmptyClipError: the clip holds no time.
        ShortVideoError: the images end before the clip starts.
        InputError: ``count`` or ``size`` is less than 1.
    """
    files = _numbered(str(source.path), source.path.stat().st_mtime_ns)
    first = min(1, *files)
    rate = Fraction(fps).limit_denominator(1001)
    timeline = Timeline(np.arange(max(files) - first + 1) / float(rate), rate)
    indices, fault = plan_clip(timeline, start, stop, count, source.path, jitter=jitter)
    sheet = Sheet(list(indices))
    problem: VideoError | None = fault
    for index in sheet.open:
        name = files.get(index + first)
        if name is None:
            problem = problem or MissingVideoError(f"image number {index + first} is missing", file=source.path)
            continue
        try:
            sheet.put(index, _image(source.path / name, sheet.picture_size or size, side))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            problem = problem or CorruptVideoError(f"cannot be read as an image: {error}", file=source.path / name)
    return sheet.finish(timeline.times[indices], problem, str(source.path))


@lru_cache(maxsize=16)
def _numbered(folder: str, changed: int) -> dict[int, str]:
    """File name of each image by number; ``changed`` (the folder's time stamp) keeps an old listing from being used."""
    del changed
    with os.scandir(folder) as entries:
        names = sorted((entry.name for entry in entries if not entry.name.startswith(".")), reverse=True)
    return {number: name for name in names if (number := frame_number(name)) is not None}


def _image(path: Path, size: Size, side: Side) -> NDArray[np.uint8]:
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    height, width = target_size(picture.height, picture.width, size, side)
    if (height, width) != (picture.height, picture.width):
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture)
