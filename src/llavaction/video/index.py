"""Opening a video file and knowing its frames: when each is shown and where decoding can begin.

MP4 and QuickTime files list their samples in the header (see :mod:`llavaction.video.mp4`); other containers are read
through once, packet by packet, without decoding. The result is kept for the files used last.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from llavaction.video.errors import CorruptVideoError, MissingVideoError, VideoError
from llavaction.video.h264 import can_begin, length_size
from llavaction.video.mp4 import read_sample_table
from llavaction.video.sampling import Timeline

SEEKABLE = {"mov", "mp4", "matroska", "webm", "avi", "mpegts", "flv", "asf"}
"""Containers whose keyframe marks and seeking FFmpeg gets right; the others are decoded from their beginning."""

BY_DECODING_TIME = {"mov", "mp4", "avi"}
"""Containers whose index, which seeking looks up, holds decoding times; in the others it holds presentation times."""

UNTIMED = {"avi"}
"""Containers that store no presentation times; with B-frames, what FFmpeg reports as such are decoding times."""

KEPT = 64
"""Indices kept per process; one of a 20-minute 60 fps video takes about 1 MB."""

FALLBACK_RATE = Fraction(25)
"""Frames per second where neither header nor timestamps tell (raw streams); FFmpeg's own default."""

OPENING_FAULTS = (av.error.FFmpegError, OSError, ValueError)
"""What PyAV raises on files that are not what they should be."""


@dataclass(frozen=True)
class FrameIndex:
    """Every frame of one video stream.

    Attributes:
        timeline: when each frame begins, from the first frame.
        pts: int64 [frames], presentation timestamps in the stream's ticks, rising; empty where ``by_order``.
        keys: int64 [keys], presentation timestamps of the frames decoding can begin at, rising.
        seek_to: int64 [keys], what to give to seek so as to land on each key.
        by_order: the timestamps are missing or contradict each other: a frame is known only by its place in the
            sequence the decoder puts out.
    """

    timeline: Timeline
    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    seek_to: NDArray[np.int64]
    by_order: bool = False


def open_container(path: str | Path, *, quickly: bool = False) -> InputContainer:
    """Open a video file.

    Args:
        path: the file.
        quickly: spare FFmpeg the decoding of the first frames, by which it guesses how far frames are reordered. It
            takes most of the time of opening a large video; a stream that does not state its reordering may then
            lose frames, which the caller has to notice.

    Raises:
        MissingVideoError: there is no such file.
        CorruptVideoError: it is no video FFmpeg can open.
    """
    path = Path(path)
    if not path.is_file():
        kind = "is a folder, not a video file" if path.is_dir() else "no such video file"
        raise MissingVideoError(kind, file=path)
    hurry: Any = [{"skip_frame": "all"}] * 8 if quickly and path.suffix.lower() in {".mp4", ".mov", ".m4v"} else None
    try:
        return av.open(str(path), stream_options=hurry)
    except OPENING_FAULTS as error:
        size = path.stat().st_size
        hint = "the file is empty" if size == 0 else "it may be cut off (an unfinished download or copy) or no video"
        raise CorruptVideoError(f"cannot be opened as a video: {reason(error)}", file=path, hint=hint) from None


def reason(error: Exception) -> str:
    """What FFmpeg says, without the error number and the file name, which our message has already."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def choose_stream(container: InputContainer, stream: int | None, path: str | Path) -> VideoStream:
    """A video stream of an open file.

    Args:
        container: the open file.
        stream: its place among the video streams, from 0; None takes the one FFmpeg holds for the main one.
        path: for the message.

    Raises:
        CorruptVideoError: the file holds no video.
        VideoError: it holds fewer video streams.
    """
    streams = container.streams.video
    if not streams:
        raise CorruptVideoError("holds no video stream (sound only?)", file=path)
    if stream is None:
        best = container.streams.best("video")
        chosen = best if isinstance(best, VideoStream) else streams[0]
    elif 0 <= stream < len(streams):
        chosen = streams[stream]
    else:
        raise VideoError(f"has {len(streams)} video stream(s), numbered from 0; there is no {stream}", file=path)
    if chosen.codec_context is None:
        raise CorruptVideoError("is coded in a way this FFmpeg cannot decode", file=path)
    return chosen


_indices: OrderedDict[tuple[str, int, int, int], FrameIndex] = OrderedDict()
_lock = threading.Lock()


def frame_index(path: str | Path, container: InputContainer, stream: VideoStream) -> FrameIndex:
    """The index of a stream of an open file, from memory if the file has not changed since.

    May read from the container: seek or open it again before reading on.

    Raises:
        CorruptVideoError: no frame is found.
    """
    status = Path(path).stat()
    key = (os.path.realpath(path), status.st_size, status.st_mtime_ns, stream.index)
    with _lock:
        if key in _indices:
            _indices.move_to_end(key)
            return _indices[key]
    index = _from_sample_table(path, container, stream) or _from_packets(path, stream.index)
    with _lock:
        _indices[key] = index
        while len(_indices) > KEPT:
            _indices.popitem(last=False)
    return index


def _from_sample_table(path: str | Path, container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """The index by the file's sample table, or None where it may not be what FFmpeg will deliver.

    Edit lists, which FFmpeg applies, shift all timestamps alike or drop samples; the table is taken only if FFmpeg's
    own index has the same samples with the same spacing, none to be dropped. The first packet gives the shift.
    """
    if "mp4" not in container.format.name.split(","):
        return None
    table = read_sample_table(path, stream.id)
    entries = stream.index_entries
    if table is None or len(entries) != len(table.dts):
        return None
    middle = len(table.dts) // 2
    for at in (0, middle, -1):
        if entries[at].is_discard or entries[at].timestamp - entries[0].timestamp != table.dts[at]:
            return None
    try:
        first = next(container.demux(stream), None)
    except av.error.FFmpegError:
        return None
    if first is None or first.pts is None or first.dts is None or first.dts != entries[0].timestamp:
        return None
    dts = table.dts + first.dts
    pts = table.pts + (first.pts - table.pts[0])
    return _index(stream, container, pts, dts, table.is_key)


def _from_packets(path: str | Path, stream_index: int) -> FrameIndex:
    """The index by the packets of the whole file, opened afresh as few containers seek to their beginning."""
    pts: list[int | None] = []
    dts: list[int | None] = []
    is_key: list[bool] = []
    is_shown: list[bool] = []
    with open_container(path) as container:
        stream = next(stream for stream in container.streams.video if stream.index == stream_index)
        prefix = length_size(stream.codec_context.extradata)
        is_h264 = stream.codec_context.name == "h264"
        try:
            for packet in container.demux(stream):
                if packet.size:
                    pts.append(packet.pts)
                    dts.append(packet.dts)
                    is_key.append(packet.is_keyframe and (not is_h264 or can_begin(memoryview(packet), prefix)))
                    is_shown.append(not packet.is_discard)
        except av.error.FFmpegError:
            pass  # what can be read is the video; asking for more is answered as for a short one
        if not any(is_shown):
            raise CorruptVideoError("holds no frame that can be read", file=path)
        untimed = UNTIMED & set(container.format.name.split(",")) and stream.codec_context.reorder_depth > 0
        if untimed or None in pts or len(set(pts)) < len(pts):
            return _index_by_order(stream, sum(is_shown))
        clock = np.asarray(pts, dtype=np.int64)
        read = clock if None in dts else np.asarray(dts, dtype=np.int64)
        return _index(stream, container, clock, read, np.asarray(is_key), is_shown=np.asarray(is_shown))


def _index(
    stream: VideoStream,
    container: InputContainer,
    pts: NDArray[np.int64],
    dts: NDArray[np.int64],
    is_key: NDArray[np.bool_],
    *,
    is_shown: NDArray[np.bool_] | slice = slice(None),
) -> FrameIndex:
    """Sort samples (given in decoding order) by presentation time; some are only there for others to refer to."""
    tick = stream.time_base or Fraction(1, 1000)
    shown = np.sort(pts[is_shown])
    times = (shown - shown[0]) * float(tick)
    timeline = Timeline(times, nominal_rate(stream, times), float(tick))
    names = set(container.format.name.split(","))
    if names & SEEKABLE and is_key.any():
        order = np.argsort(pts[is_key])
        keys = pts[is_key][order]
        seek_to = dts[is_key][order] if names & BY_DECODING_TIME else keys
    else:
        keys, seek_to = pts[:1], dts[:1]
    return FrameIndex(timeline, shown, keys, seek_to)


def _index_by_order(stream: VideoStream, count: int) -> FrameIndex:
    rate = stream.average_rate or stream.guessed_rate or FALLBACK_RATE
    none = np.zeros(0, dtype=np.int64)
    timeline = Timeline(np.arange(count) / float(rate), rate)
    return FrameIndex(timeline, none, none, none, by_order=True)


def nominal_rate(stream: VideoStream, times: NDArray[np.float64]) -> Fraction:
    """Frames per second the video was meant to have.

    The header's base rate or average rate, whichever comes near what the timestamps show; dropped frames may make
    the shown rate lower by up to a third. Otherwise the rate the timestamps show.
    """
    measured = (len(times) - 1) / float(times[-1]) if len(times) > 1 and times[-1] > 0 else None
    stated = [rate for rate in (stream.base_rate, stream.average_rate) if rate]
    if measured is None:
        return stated[-1] if stated else FALLBACK_RATE
    for rate in stated:
        if 0.98 * measured <= rate < 1.5 * measured:
            return rate
    return Fraction(measured).limit_denominator(90_000)
