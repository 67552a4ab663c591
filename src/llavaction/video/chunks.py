"""Reading clips of videos that are kept in pieces: as chunks of some seconds each, or as one image per frame."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from llavaction.video.errors import MissingVideoError, ShortVideoError, VideoError
from llavaction.video.frames import FrameBuffer, Frames, Side, Size
from llavaction.video.images import read_image
from llavaction.video.layouts import Source, chunk_length
from llavaction.video.plan import OVERHANG, check_span, plan_clip, rows_outside
from llavaction.video.rates import Rate, exact_rate
from llavaction.video.reader import VideoReader
from llavaction.video.sampling import Draws, Timeline, chunk_reads, last_chunk
from llavaction.video.sequences import ImageSequence, image_sequence

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
        places = [(read.start, number) for read in reads for number in read.frames]
        places += [places[-1] if places else (last, round((end - last) * rate))] * (count - len(places))
        buffer = FrameBuffer(range(count))
        times = np.zeros(count)
        for begin in dict.fromkeys(chunk for chunk, _ in places):
            rows = [row for row, (chunk, _) in enumerate(places) if chunk == begin]
            numbers = [places[row][1] for row in rows]
            times[rows] = begin + np.asarray(numbers) / rate
            video = chunks.open(begin)
            if isinstance(video, VideoError):
                fault = fault or video
                continue
            part = video.frames(video.timeline.shown_at(numbers), size=buffer.picture_size or size, side=side)
            fault = fault or part.error
            if len(part):
                times[rows] = begin + part.times
            missing = part.error.missing if part.error is not None else ()
            for at, image in enumerate(part.images):
                if at not in missing:
                    buffer.put(rows[at], image)
        return buffer.finish(times, None if fault is None else fault.with_missing(past), str(source.path))


def chunks_length(source: Source) -> float:
    """Seconds from the beginning of a video kept in chunks to the end of its last one.

    Raises:
        VideoError: the last chunk cannot be opened.
    """
    with ExitStack() as stack:
        chunks = _Chunks(source, stack)
        last = max(chunks.files)
        return last + chunks.clock(range(last, last + 1)).duration


def images_length(source: Source, rate: Rate) -> float:
    """Seconds that a video kept as numbered images lasts.

    Raises:
        VideoError: it is not clear which images are the film's, or how fast they follow each other.
    """
    sequence = image_sequence(source.path, source.path.stat().st_mtime_ns, rate.images, rate.first)
    return _timeline(sequence, rate, source.path).duration


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
    rate: Rate,
    size: Size = None,
    side: Side = "short",
    jitter: Draws | None = None,
) -> Frames:
    """Frames of a clip of a video kept as numbered images, see :mod:`llavaction.video.sequences`.

    The published rule chooses the frames; one that is not there or cannot be read is stood in for by another of the
    clip, and the error says so.

    Args:
        source: the folder.
        start: as for :func:`llavaction.video.decode.read_clip`, and so are the other arguments.
        stop: see there.
        count: see there.
        rate: how fast the images follow each other. Images named by time need none but for what it says of names.
        size: see there.
        side: see there.
        jitter: see there.

    Raises:
        EmptyClipError: the clip holds no time.
        ShortVideoError: the images end before the clip starts.
        VideoError: it is not clear which images are the film's, or how fast they follow each other.
        InputError: ``count`` or ``size`` is less than 1.
    """
    sequence = image_sequence(source.path, source.path.stat().st_mtime_ns, rate.images, rate.first)
    timeline = _timeline(sequence, rate, source.path)
    try:
        indices, fault = plan_clip(timeline, start, stop, count, source.path, jitter=jitter)
    except ShortVideoError as error:
        raise type(error)(error.problem, file=error.file, hint=sequence.counted, missing=error.missing) from None
    buffer = FrameBuffer(list(indices))
    problem: VideoError | None = fault
    for index in buffer.open:
        name = sequence.files.get(index)
        if name is None:
            missing = f"image number {sequence.number(index)} is missing"
            problem = problem or MissingVideoError(missing, file=source.path)
            continue
        try:
            buffer.put(index, read_image(source.path / name, buffer.picture_size or size, side))
        except VideoError as error:
            problem = problem or error
    return buffer.finish(timeline.times[indices], problem, str(source.path))


def _timeline(sequence: ImageSequence, rate: Rate, folder: Path) -> Timeline:
    if sequence.times is not None:
        period = float(np.median(np.diff(sequence.times)))
        return Timeline(sequence.times, exact_rate(1 / period))
    fps = exact_rate(rate.per_second(sequence.step, folder))
    return Timeline(np.arange(sequence.places) / float(fps), fps)
