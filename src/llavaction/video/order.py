"""The order in which a stream's pictures come out, for streams whose timestamps do not tell it.

AVI stores no presentation times, and files joined end to end begin their clock anew. Such a stream is decoded once
from its beginning; every picture is then known by the number of its packet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from llavaction.video.entry import NOT_INTERLACED, EntryPoints
from llavaction.video.errors import CorruptVideoError
from llavaction.video.holes import NO_HOLES, Holes
from llavaction.video.opening import decoder_options, open_container, packets_of

LOST = -1
"""Stands for the packet of a frame that cannot be shown."""


WAITED_FOR = 32
"""Packets after which a picture that has not come out will not: decoders hold back 16 at most."""


@dataclass(frozen=True)
class Order:
    """Frames in order of display.

    Attributes:
        packets: int64 [frames], the number of the packet each frame comes from, :data:`LOST` where damage took it.
        keys: int64 [keys], frames decoding can begin at, rising.
        key_packets: int64 [keys], their packets.
    """

    packets: NDArray[np.int64]
    keys: NDArray[np.int64]
    key_packets: NDArray[np.int64]


def stream_at(container: InputContainer, stream_index: int) -> VideoStream:
    """The video stream with this index in the container."""
    return next(stream for stream in container.streams.video if stream.index == stream_index)


def prepare(decoder: VideoCodecContext) -> None:
    """Set a decoder as all are that read pictures: bounded, open about damage, and on one thread."""
    decoder.options = decoder_options(decoder.codec.canonical_name)
    decoder.thread_type, decoder.thread_count = "SLICE", 1


def pictures_despite_damage(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Every picture that comes out, as FFmpeg reads on past packets it cannot decode."""
    for packet in chain(packets_of(container, stream), [None]):
        try:
            yield from stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            continue


def decode_order(
    path: str | Path, stream_index: int, holes: Holes = NO_HOLES, marks: NDArray[np.bool_] | None = None
) -> Order:
    """Decode a stream from its beginning and note which packet every frame comes from.

    A packet that cannot be decoded takes a frame, and those after it are lost too, up to the next one decoding can
    begin at: they refer to it. Frames before it are kept, and so is everyone's place.

    Args:
        path: the file.
        stream_index: which of its streams.
        holes: what is missing from the stream.
        marks: bool [packets], which the container marks as keyframes, where that is known better.

    Raises:
        CorruptVideoError: no frame can be decoded.
    """
    with open_container(path) as container:
        stream = stream_at(container, stream_index)
        prepare(stream.codec_context)
        entries = EntryPoints(stream.codec_context)
        shown: list[int] = []
        out_after: list[int] = []
        damaged: list[int] = list(holes.broken)
        entry_packets: list[int] = []
        hidden: set[int] = set()
        count, is_packed = 0, False
        for packet in chain(packets_of(container, stream), [None]):
            if packet is not None:
                if packet.is_discard:
                    hidden.add(count)
                marked = None if marks is None else bool(marks[count]) if count < len(marks) else False
                if entries.accepts(packet, is_marked=marked):
                    entry_packets.append(count)
                is_packed = is_packed or (entries.is_packed(packet) and count not in holes.broken)
                if packet.is_corrupt:
                    damaged.append(count)
                packet.pts = count
                count += 1
            try:
                pictures = stream.codec_context.decode(packet)
            except av.error.FFmpegError:
                damaged.append(count - 1)
                continue
            for picture in pictures:
                if picture.pts is None or not 0 <= picture.pts < count:
                    continue
                if picture.is_corrupt and picture.pts in shown[-WAITED_FOR:]:  # made up for one that is gone
                    damaged.append(picture.pts)
                    continue
                shown.append(picture.pts)
                out_after.append(count - 1)
                if picture.is_corrupt:
                    damaged.append(picture.pts)
        fields = stream.codec_context.field_order not in NOT_INTERLACED and entries.codec == "h264"
    if not shown:
        raise CorruptVideoError("holds no frame that can be decoded", file=path)
    if is_packed:
        return _order(shown, out_after, set(damaged), [], holes.behind)
    silent = set() if fields else set(range(count)) - set(shown) - hidden
    return _order(shown, out_after, set(damaged) | silent, entry_packets, holes.behind)


def _order(
    shown: list[int], out_after: list[int], damaged: set[int], entry_packets: list[int], behind: frozenset[int]
) -> Order:
    """Put the lost frames where they would have been, and give up those that refer to them.

    Args:
        shown: packets in the order their pictures came out.
        out_after: the last packet the decoder had been given when each came out.
        damaged: packets whose picture is lost or not whole.
        entry_packets: packets decoding can begin at, rising.
        behind: packets that follow a hole.
    """
    lost = np.asarray(sorted(damaged - set(shown)), dtype=np.int64)
    numbers = np.asarray(shown, dtype=np.int64)
    places = np.arange(len(numbers)) + np.searchsorted(lost, numbers)
    packets = np.full(len(numbers) + len(lost), LOST, dtype=np.int64)
    place_of = dict(zip(shown, places.tolist(), strict=False))
    entered = [entry for entry in entry_packets if entry in place_of and entry not in damaged]
    keys = np.asarray([place_of[entry] for entry in entered], dtype=np.int64)
    begins = np.asarray([0, *entered], dtype=np.int64)[np.searchsorted(keys, places, side="right")]
    faults = np.asarray(sorted([*damaged, *(packet - 0.5 for packet in behind)]))
    intact = np.searchsorted(faults, begins) == np.searchsorted(faults, numbers, side="right")
    last = np.asarray(out_after, dtype=np.int64)
    # before a lost one, or behind it?
    intact &= np.searchsorted(lost, numbers) == np.searchsorted(lost, last, side="right")
    cuts = np.asarray(sorted(behind), dtype=np.int64)
    intact &= np.searchsorted(cuts, numbers, side="right") == np.searchsorted(cuts, last, side="right")
    packets[places[intact]] = numbers[intact]
    return Order(packets, keys, np.asarray(entered, dtype=np.int64))
