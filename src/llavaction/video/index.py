"""Opening a video file and knowing its frames: when each is shown and where decoding can begin.

MP4 and QuickTime files list their samples in the header (see :mod:`llavaction.video.mp4`); other containers are read
through once, packet by packet, without decoding. The result is kept for the files used last.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from llavaction.video.entry import NOT_INTERLACED, EntryPoints
from llavaction.video.errors import CorruptVideoError
from llavaction.video.fields import FieldPairs
from llavaction.video.mp4 import SampleTable, read_sample_table
from llavaction.video.opening import is_cover, open_container, packets_of
from llavaction.video.order import decode_order, pictures_despite_damage, stream_at
from llavaction.video.sampling import EDGE, Timeline

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


@dataclass
class Learnt:
    """What reading a video has shown.

    Attributes:
        no_entries: places in ``FrameIndex.keys`` at which, against the container's word, decoding cannot begin.
        needs_care: the file has to be opened the thorough way.
    """

    no_entries: set[int] = field(default_factory=set)
    needs_care: bool = False


@dataclass(frozen=True)
class FrameIndex:
    """Every frame of one video stream.

    Attributes:
        timeline: when each frame begins, from the beginning of the file.
        pts: int64 [frames], presentation timestamps in the stream's ticks, rising. Where ``by_order``, the number of
            the packet that holds each frame, -1 where damage took it.
        keys: int64 [keys], presentation timestamps of the frames decoding can begin at, rising; frames before the
            first are decoded from the beginning of the file. Where ``by_order``, the numbers of these frames.
        seek_to: int64 [keys], what to give to seek so as to land on each key. Where ``by_order``, the number of each
            key's packet.
        by_order: the timestamps are missing or contradict each other: a frame is known only by its place in the
            sequence the decoder puts out.
        prelude: what the decoder has to be given before it begins anywhere but at the first packet.
        learnt: what reading has shown since.
    """

    timeline: Timeline
    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    seek_to: NDArray[np.int64]
    by_order: bool = False
    prelude: bytes = b""
    learnt: Learnt = field(default_factory=Learnt, compare=False)


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
    if table is None or not _agree(table, entries):
        return None
    first = next(packets_of(container, stream), None)
    if first is None or first.pts is None or first.dts is None or first.dts != entries[0].timestamp:
        return None
    dts = table.dts + first.dts
    pts = table.pts + (first.pts - table.pts[0])
    if table.is_key.any() and pts.min() < pts[table.is_key].min():
        return None  # pictures before the first keyframe may never be shown: the packets tell
    prelude = EntryPoints(stream.codec_context).prelude(first)
    return _index(stream, container, pts, dts, table.is_key, np.ones(len(pts), dtype=bool), prelude)


def _agree(table: SampleTable, entries: Any) -> bool:
    """Whether FFmpeg's own index has as many samples, with the same spacing, none of them dropped."""
    if len(entries) != len(table.dts):
        return False
    looked_at = (0, len(table.dts) // 2, -1)
    spaced = all(entries[at].timestamp - entries[0].timestamp == table.dts[at] for at in looked_at)
    return spaced and not any(entries[at].is_discard for at in looked_at)


def _from_packets(path: str | Path, stream_index: int) -> FrameIndex:
    """The index by the packets of the whole file, opened afresh as few containers seek to their beginning."""
    pts: list[int | None] = []
    dts: list[int | None] = []
    is_key: list[bool] = []
    is_shown: list[bool] = []
    prelude, is_packed = b"", False
    with open_container(path) as container:
        stream = stream_at(container, stream_index)
        context = stream.codec_context
        entries = EntryPoints(context)
        is_interlaced = entries.codec == "h264" and context.field_order not in NOT_INTERLACED
        fields = FieldPairs(context.extradata, entries.prefix) if is_interlaced else None
        for packet in packets_of(container, stream):
            prelude = prelude if pts else entries.prelude(packet)
            pts.append(packet.pts)
            dts.append(packet.dts)
            is_key.append(entries.accepts(packet))
            is_packed = is_packed or entries.is_packed(packet)
            is_shown.append(not packet.is_discard and not (fields and fields.is_second(memoryview(packet))))
        if not any(is_shown):
            raise CorruptVideoError("holds no frame that can be read", file=path)
        read = np.asarray([tick for tick in dts if tick is not None], dtype=np.int64)
        untimed = UNTIMED & set(container.format.name.split(",")) and stream.codec_context.reorder_depth > 0
        falls = bool(np.any(np.diff(read) < 0))  # parts joined end to end, each with its own clock
        if untimed or falls or is_packed or None in pts or len(set(pts)) < len(pts):
            return _by_order(path, container, stream, read, np.asarray(is_shown), prelude)
        clock, keys, shown = np.asarray(pts, dtype=np.int64), np.asarray(is_key), np.asarray(is_shown)
        if keys.any():
            shown &= (clock >= clock[keys].min()) | np.isin(clock, _shown_before(path, stream_index, clock, keys))
        read = read if len(read) == len(clock) else clock
        return _index(stream, container, clock, read, keys, shown, prelude)


def _shown_before(
    path: str | Path, stream_index: int, pts: NDArray[np.int64], is_key: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Which pictures before the first keyframe, in order of display, FFmpeg shows: those that need nothing before."""
    begin = int(pts[is_key].min())
    early = {int(tick) for tick in pts[pts < begin]}
    found: list[int] = []
    if early:
        with open_container(path) as container:
            stream = stream_at(container, stream_index)
            stream.codec_context.thread_type, stream.codec_context.thread_count = "SLICE", 1
            for picture in pictures_despite_damage(container, stream):
                if picture.pts is not None and picture.pts >= begin:
                    break
                if picture.pts in early and not picture.is_corrupt:
                    found.append(picture.pts)
    return np.asarray(found, dtype=np.int64)


def _index(
    stream: VideoStream,
    container: InputContainer,
    pts: NDArray[np.int64],
    dts: NDArray[np.int64],
    is_key: NDArray[np.bool_],
    is_shown: NDArray[np.bool_],
    prelude: bytes,
) -> FrameIndex:
    """Sort samples (given in decoding order) by presentation time; some are only there for others to refer to."""
    tick = stream.time_base or Fraction(1, 1000)
    shown = np.sort(pts[is_shown])
    times = (shown - shown[0]) * float(tick)
    rate = nominal_rate(stream, times)
    timeline = Timeline(times + _late_by(container, stream, float(shown[0] * tick), rate), rate, float(tick))
    names = set(container.format.name.split(","))
    keys = seek_to = np.zeros(0, dtype=np.int64)
    if names & SEEKABLE and is_key.any():
        order = np.argsort(pts[is_key])
        keys = pts[is_key][order]
        seek_to = dts[is_key][order] if names & BY_DECODING_TIME else keys
    return FrameIndex(timeline, shown, keys, seek_to, prelude=prelude)


def _by_order(
    path: str | Path,
    container: InputContainer,
    stream: VideoStream,
    dts: NDArray[np.int64],
    is_shown: NDArray[np.bool_],
    prelude: bytes,
) -> FrameIndex:
    """The index of a stream without a clock of its own: the order in which its pictures come out of the decoder."""
    order = decode_order(path, stream.index)
    rate = stream.average_rate or stream.guessed_rate or FALLBACK_RATE
    count = len(order.packets)
    times = np.arange(count) / float(rate)
    if len(dts) == len(is_shown) == count and np.all(np.diff(dts) > 0):
        times = (dts - dts[0]) * float(stream.time_base or 1 / rate)  # frames that were left out take time, too
    first = float((stream.start_time or 0) * (stream.time_base or 0))
    timeline = Timeline(times + _late_by(container, stream, first, rate), rate)
    return FrameIndex(timeline, order.packets, order.keys, order.key_packets, by_order=True, prelude=prelude)


def _late_by(container: InputContainer, stream: VideoStream, first: float, rate: Fraction) -> float:
    """Seconds by which the first picture follows the beginning of the file, where that is a period or more.

    Players count from the beginning of the file, be it sound or picture; so do annotations made in them.

    Args:
        container: the file.
        stream: the video.
        first: when its first picture is shown, on the file's clock.
        rate: frames per second.
    """
    others: list[AudioStream | VideoStream] = [*container.streams.audio, *container.streams.video]
    begins = [
        float(other.start_time * other.time_base)
        for other in others
        if other.index != stream.index and other.start_time is not None and other.time_base and not is_cover(other)
    ]
    late = first - min([first, *begins])
    return late if late * float(rate) >= 1 - EDGE else 0.0


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
