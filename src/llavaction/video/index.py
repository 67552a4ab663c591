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

from llavaction.video.asf import is_short
from llavaction.video.avi import listed_numbers
from llavaction.video.entry import NOT_INTERLACED, EntryPoints
from llavaction.video.errors import CorruptVideoError
from llavaction.video.fields import FieldPairs
from llavaction.video.holes import FEW, NO_HOLES, Clock, Holes, Ledger, find_holes
from llavaction.video.mp4 import SampleTable, is_fragmented, read_sample_table
from llavaction.video.opening import all_packets, is_cover, open_container, packets_of
from llavaction.video.order import LOST, decode_order, pictures_despite_damage, prepare, stream_at
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


def _none() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


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
        lost: int64, frames that are gone from the file, rising. Where ``by_order``, their ``pts`` say so.
        behind: timestamps of packets that a hole in the file begins in or that follow one: all that is decoded after
            them refers to what is gone, up to the next key.
        can_seek: whether the container can be trusted to find a key; otherwise the file is read up to there.
        prelude: what the decoder has to be given before it begins anywhere but at the first packet.
        learnt: what reading has shown since.
    """

    timeline: Timeline
    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    seek_to: NDArray[np.int64]
    by_order: bool = False
    lost: NDArray[np.int64] = field(default_factory=_none)
    behind: frozenset[int] = frozenset()
    can_seek: bool = True
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
    ledger = Ledger()
    is_key: list[bool] = []
    is_shown: list[bool] = []
    is_packed: list[bool] = []
    prelude = b""
    with open_container(path) as container:
        stream = stream_at(container, stream_index)
        context = stream.codec_context
        entries = EntryPoints(context)
        is_interlaced = entries.codec == "h264" and context.field_order not in NOT_INTERLACED
        fields = FieldPairs(context.extradata, entries.prefix) if is_interlaced else None
        for packet in all_packets(container):
            if packet.stream_index != stream_index:
                ledger.others += packet.size
                continue
            if not packet.size:
                ledger.empty.append(packet.pts)
                continue
            prelude = prelude if is_key else entries.prelude(packet)
            ledger.note(packet)
            is_key.append(entries.accepts(packet))
            is_packed.append(entries.is_packed(packet))
            is_shown.append(not packet.is_discard and not (fields and fields.is_second(memoryview(packet))))
        if not any(is_shown):
            raise CorruptVideoError("holds no frame that can be read", file=path)
        formats = set(container.format.name.split(","))
        untimed = bool(UNTIMED & formats) and context.reorder_depth > 0
        marks = _renumber(path, stream, ledger) if "avi" in formats else None
        is_renumbered = marks is not None
        clock = ledger.clock(by_decoding=untimed or is_renumbered)
        keys, shown = np.asarray(is_key), np.asarray(is_shown)
        holes, tick = NO_HOLES, float(stream.time_base or Fraction(1, 1000))
        if "mp4" not in formats or is_fragmented(path):
            holes = find_holes(
                ledger, clock, shown, formats | {entries.codec}, tick, is_short="asf" in formats and is_short(path)
            )
        doubts = bool(clock.doubtful.any()) if fields else float(np.mean(clock.doubtful)) > FEW
        intact = ~np.isin(np.arange(len(shown)), sorted(holes.broken))
        packed = bool(np.any(np.asarray(is_packed) & intact))
        if untimed or is_renumbered or packed or clock.parts > 1 or doubts:
            by_rank = untimed or is_renumbered or packed or doubts
            return _by_order(path, container, stream, clock, by_rank, holes, prelude, marks)
        keys &= ~clock.doubtful & intact
        shown &= ~clock.doubtful & intact
        if keys.any():
            early = _shown_before(path, stream_index, clock.ticks, keys)
            shown &= (clock.ticks >= clock.ticks[keys].min()) | np.isin(clock.ticks, early)
        return _index(stream, container, clock.ticks, ledger.decoding_times(clock), keys, shown, prelude, holes)


def _renumber(path: str | Path, stream: VideoStream, ledger: Ledger) -> NDArray[np.bool_] | None:
    """Give the packets of an AVI file the numbers its list has for them, where some are gone.

    Returns:
        bool [packets], which are listed as keyframes; None where none is gone.
    """
    listed = listed_numbers(path, stream.index, stream.frames, ledger.positions, ledger.sizes)
    if listed is None:
        return None
    numbers, marks = listed
    ledger.pts = ledger.dts = [number if number >= 0 else None for number in numbers.tolist()]
    return marks


def _shown_before(
    path: str | Path, stream_index: int, pts: NDArray[np.int64], is_key: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Which pictures before the first keyframe, in order of display, FFmpeg shows: those that need nothing before."""
    begin = int(pts[is_key].min())
    early = {int(tick) for tick in pts[pts < begin]}
    timestamps: list[int] = []
    if early:
        with open_container(path) as container:
            stream = stream_at(container, stream_index)
            prepare(stream.codec_context)
            for picture in pictures_despite_damage(container, stream):
                if picture.pts is not None and picture.pts >= begin:
                    break
                if picture.pts in early and not picture.is_corrupt:
                    timestamps.append(picture.pts)
    return np.asarray(timestamps, dtype=np.int64)


def _index(
    stream: VideoStream,
    container: InputContainer,
    pts: NDArray[np.int64],
    dts: NDArray[np.int64],
    is_key: NDArray[np.bool_],
    is_shown: NDArray[np.bool_],
    prelude: bytes,
    holes: Holes = NO_HOLES,
) -> FrameIndex:
    """Sort samples (given in decoding order) by presentation time; some are only there for others to refer to."""
    tick = stream.time_base or Fraction(1, 1000)
    lost = np.union1d(holes.lost, pts[sorted(holes.broken)])
    shown = np.union1d(pts[is_shown], lost)
    times = (shown - shown[0]) * float(tick)
    rate = nominal_rate(stream, times)
    timeline = Timeline(times + _late_by(container, stream, float(shown[0] * tick), rate), rate, float(tick))
    names = set(container.format.name.split(","))
    keys = seek_to = np.zeros(0, dtype=np.int64)
    if is_key.any():
        order = np.argsort(pts[is_key])
        keys = pts[is_key][order]
        seek_to = dts[is_key][order] if names & BY_DECODING_TIME else keys
    return FrameIndex(
        timeline,
        shown,
        keys,
        seek_to,
        lost=np.searchsorted(shown, lost),
        behind=frozenset(pts[sorted(holes.behind | holes.broken)].tolist()),
        can_seek=bool(names & SEEKABLE),
        prelude=prelude,
    )


def _by_order(
    path: str | Path,
    container: InputContainer,
    stream: VideoStream,
    clock: Clock,
    by_rank: bool,
    holes: Holes,
    prelude: bytes,
    marks: NDArray[np.bool_] | None,
) -> FrameIndex:
    """The index of a stream without one clock of its own: the order in which its pictures come out of the decoder.

    Args:
        path: the file.
        container: the same, open.
        stream: the video.
        clock: when its packets say they are shown.
        by_rank: the times are right, but not those of these packets.
        holes: what is missing.
        prelude: as in :class:`FrameIndex`.
        marks: bool [packets], which the container marks as keyframes, where that is known better than from reading.
    """
    order = decode_order(path, stream.index, holes, marks)
    rate = stream.average_rate or stream.guessed_rate or FALLBACK_RATE
    tick = float(stream.time_base or 1 / rate)
    packets, keys = order.packets, order.keys
    times = np.arange(len(packets)) / float(rate)
    ticks = clock.by_rank(len(packets)) if by_rank else clock.of_packets(packets)
    if "mp4" in container.format.name.split(","):
        ticks = None  # its pieces are an edit list's, which shows parts of the clock
    if ticks is not None:
        times = (ticks - ticks[0]) * tick
        lost = (holes.lost - ticks[0]) * tick
        places = np.searchsorted(times, lost)
        keys = keys + np.searchsorted(lost, times[keys], side="right")
        times, packets = np.insert(times, places, lost), np.insert(packets, places, LOST)
    first = float((stream.start_time or 0) * (stream.time_base or 0))
    timeline = Timeline(times + _late_by(container, stream, first, rate), rate, 0.0 if by_rank else tick)
    return FrameIndex(timeline, packets, keys, order.key_packets, by_order=True, prelude=prelude)


def _late_by(container: InputContainer, stream: VideoStream, first: float, rate: Fraction) -> float:
    """Seconds by which the first picture follows the beginning of the file, where that is a period or more.

    Players count from the beginning of the file, be it sound or picture; so do annotations made in them.

    Args:
        container: the file.
        stream: the video.
        first: when its first picture is shown, on the file's clock.
        rate: frames per second.
    """
    streams: list[AudioStream | VideoStream] = [*container.streams.audio, *container.streams.video]
    begins = [
        float(each.start_time * each.time_base)
        for each in streams
        if each.index != stream.index and each.start_time is not None and each.time_base and not is_cover(each)
    ]
    late = first - min([first, *begins])
    return late if late * float(rate) >= 1 - EDGE else 0.0


def nominal_rate(stream: VideoStream, times: NDArray[np.float64]) -> Fraction:
    """Frames per second the video was meant to have.

    The header's base rate or average rate, whichever comes near what the timestamps show; dropped frames may make
    the shown rate lower by up to a third. Otherwise the rate the timestamps show.
    """
    measured = (len(times) - 1) / float(times[-1]) if len(times) > 1 and times[-1] > 0 else None
    rates = [rate for rate in (stream.base_rate, stream.average_rate) if rate]
    if measured is None:
        return rates[-1] if rates else FALLBACK_RATE
    for rate in rates:
        if 0.98 * measured <= rate < 1.5 * measured:
            return rate
    return Fraction(measured).limit_denominator(90_000)
