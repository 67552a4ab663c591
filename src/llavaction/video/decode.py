"""Decoding the frames of a clip, at given times, or of a whole file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from numpy.typing import ArrayLike, NDArray

from llavaction.video.errors import CorruptVideoError, VideoError
from llavaction.video.frames import Frames, Side, Size
from llavaction.video.opening import choose_stream, decoder_options, open_container, packets_of, reason
from llavaction.video.pictures import to_image
from llavaction.video.reader import VideoReader
from llavaction.video.sampling import Draws


def read_clip(
    path: str | Path,
    start: float = 0.0,
    stop: float | None = None,
    count: int = 8,
    *,
    size: Size = None,
    side: Side = "short",
    stream: int | None = None,
    threads: int = 1,
    jitter: Draws | None = None,
    strict: bool = False,
) -> Frames:
    """Read ``count`` frames of the clip [start, stop) seconds of a video.

    Args:
        path: the video file.
        start: seconds from the video's beginning; a negative start counts as 0.
        stop: None for the video's end.
        count: how many frames; where the clip has fewer, frames repeat.
        size: None for the video's own, pixels of one side, or (height, width); applies to the picture as seen.
        side: which side an ``int`` size is for.
        stream: place among the file's video streams, from 0; None takes the main one.
        threads: see :class:`VideoReader`.
        jitter: moves each frame at random within its part of the clip, for training.
        strict: raise what is wrong instead of returning it.

    Returns:
        Always ``count`` frames if at least one could be decoded; ``error`` says what is wrong: MissingVideoError,
        CorruptVideoError, ShortVideoError, EmptyClipError.

    Raises:
        VideoError: ``strict`` is set and something is wrong with the video.
        InputError: ``count`` or ``size`` is less than 1.
    """
    try:
        with VideoReader(path, stream=stream, threads=threads) as video:
            frames = video.clip(start, stop, count, size=size, side=side, jitter=jitter)
    except VideoError as error:
        frames = Frames.nothing(error)
    return frames.checked(strict)


def read_times(
    path: str | Path,
    times: ArrayLike,
    *,
    size: Size = None,
    side: Side = "short",
    stream: int | None = None,
    threads: int = 1,
    strict: bool = False,
) -> Frames:
    """Read the frames on show at given seconds from the video's beginning: the last one that has begun by then.

    Times past the video's end are given its last frame and a ShortVideoError; otherwise as :func:`read_clip`.

    Raises:
        VideoError: ``strict`` is set and something is wrong with the video.
        InputError: a time is negative or no number, or ``size`` is less than 1.
    """
    try:
        with VideoReader(path, stream=stream, threads=threads) as video:
            frames = video.at(times, size=size, side=side)
    except VideoError as error:
        frames = Frames.nothing(error)
    return frames.checked(strict)


def read_all(
    path: str | Path, *, size: Size = None, side: Side = "short", stream: int | None = None
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Decode a whole file from its beginning: (seconds from there, uint8 [height, width, 3] RGB) a frame.

    Where the file's timestamps fall or are missing, frames have the times :func:`read_clip` has for them; one that is
    damaged or lost there follows the frame before by a period.

    Raises:
        MissingVideoError: there is no such file.
        CorruptVideoError: it is no video, or decoding met damage (after the frames before it).
    """
    with VideoReader(path, stream=stream) as video:
        by_order, rate = video.index.by_order, float(video.timeline.rate)
        first, begin = int(video.index.pts[0]), float(video.timeline.times[0])
        pairs = zip(video.index.pts.tolist(), video.timeline.times.tolist(), strict=True)
        time_of = {packet: shown for packet, shown in pairs if packet >= 0}
    with open_container(path) as container:
        chosen = choose_stream(container, stream, path)
        chosen.codec_context.options = decoder_options(chosen.codec_context.codec.canonical_name)
        chosen.codec_context.thread_type, chosen.codec_context.thread_count = "SLICE", 1
        reformatter = VideoReformatter()
        try:
            packets = chain(_numbered(packets_of(container, chosen, strict=True), by_order), [None])
            time = begin - 1 / rate
            pictures = chain.from_iterable(chosen.codec_context.decode(packet) for packet in packets)
            for number, picture in enumerate(pictures):
                if picture.is_corrupt:
                    raise CorruptVideoError(f"damaged: frame {number} is not whole", file=path)
                if by_order:
                    time = time_of.get(-1 if picture.pts is None else picture.pts, time + 1 / rate)
                else:
                    time = begin + float(((picture.pts or 0) - first) * (chosen.time_base or 1))
                yield time, to_image(picture, size, side, reformatter)
        except av.error.FFmpegError as error:
            raise CorruptVideoError(f"damaged: {reason(error)}", file=path) from None


def _numbered(packets: Iterator[Packet], by_order: bool) -> Iterator[Packet]:
    """Packets whose numbers take the place of their timestamps, where frames are known by them."""
    for number, packet in enumerate(packets):
        if by_order:
            packet.pts = number
        yield packet
