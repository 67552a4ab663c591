"""A reader of one video stream.

For each group of pictures that holds a wanted frame the reader seeks to its keyframe and hands packets to the decoder
until the wanted frames are in, leaving out those no other picture refers to. Nothing is decoded that is not needed,
and what comes out equals a decode of the whole file from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import ArrayLike, NDArray

from llavaction.video.damage import OWNS_UP, Run
from llavaction.video.entry import NOT_INTERLACED, EntryPoints
from llavaction.video.errors import CorruptVideoError, VideoError
from llavaction.video.frames import FrameBuffer, Frames, Side, Size
from llavaction.video.h264 import is_unreferenced
from llavaction.video.index import FrameIndex, frame_index
from llavaction.video.opening import STILL_CODECS, choose_stream, decoder_options, open_container, packets_of
from llavaction.video.order import WAITED_FOR
from llavaction.video.pictures import to_image
from llavaction.video.plan import plan_clip, plan_times
from llavaction.video.sampling import Draws, Timeline

NO_TIME = -(1 << 63)
"""Stands for the timestamp of a packet that has none."""


class VideoReader:
    """One video stream of a file, open for reading clips.

    Args:
        path: the file.
        stream: its place among the file's video streams, from 0; None takes the main one.
        threads: threads for one picture, where it is coded in slices. More can be faster on an idle machine; a
            damaged picture may then come out differently.

    Raises:
        MissingVideoError: there is no such file.
        CorruptVideoError: it is no video, or holds no frame.
        VideoError: it has no such stream.

    Attributes:
        index: its frames.
        video_streams: how many video streams the file has.
        has_audio: whether it has sound.
    """

    def __init__(self, path: str | Path, *, stream: int | None = None, threads: int = 1) -> None:
        self.path = Path(path)
        self._stream_number, self._threads = stream, threads
        self._reformatter = VideoReformatter()
        self._quickly = True
        self._open()
        try:
            self.index: FrameIndex = frame_index(self.path, self._container, self._stream)
            if len(self.index.pts) == 1 and stream is None and self.has_audio and self._entries.codec in STILL_CODECS:
                raise CorruptVideoError("holds sound and one still picture, no video", file=self.path)
        except BaseException:
            self._container.close()
            raise
        if self.index.learnt.needs_care:
            self._quickly = False
            self._reopen()

    def _open(self) -> None:
        self._container = open_container(self.path, quickly=self._quickly)
        self.video_streams, self.has_audio = len(self._container.streams.video), bool(self._container.streams.audio)
        try:
            self._stream = choose_stream(self._container, self._stream_number, self.path)
        except VideoError:
            self._container.close()
            raise
        self._decoder = self._stream.codec_context
        self._entries = EntryPoints(self._decoder)
        self._decoder.options = decoder_options(self._entries.codec)
        self._decoder.thread_type, self._decoder.thread_count = "SLICE", self._threads
        self._is_introduced = False

    def _reopen(self) -> None:
        self._container.close()
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def codec(self) -> str:
        """FFmpeg's name of the decoder."""
        return self._decoder.name

    @property
    def timeline(self) -> Timeline:
        """When each frame is shown."""
        return self.index.timeline

    def first_picture(self) -> VideoFrame:
        """The first picture as it is stored: not turned, not converted.

        Raises:
            CorruptVideoError: it cannot be decoded.
        """
        for packet in chain(self._packets(None), [None]):
            pictures = self._decode(packet)
            if pictures:
                self._decoder.flush_buffers()
                return pictures[0]
        raise CorruptVideoError("its first frame cannot be decoded", file=self.path)

    def clip(
        self,
        start: float = 0.0,
        stop: float | None = None,
        count: int = 8,
        *,
        size: Size = None,
        side: Side = "short",
        jitter: Draws | None = None,
    ) -> Frames:
        """``count`` frames of [start, stop) seconds, chosen by :meth:`Timeline.pick`; see :func:`read_clip`."""
        try:
            indices, error = plan_clip(self.timeline, start, stop, count, self.path, jitter=jitter)
        except VideoError as fault:
            return Frames.nothing(fault)
        return self.frames(indices, size=size, side=side, error=error)

    def at(self, times: ArrayLike, *, size: Size = None, side: Side = "short") -> Frames:
        """The frames on show at the given seconds; see :func:`read_times`."""
        try:
            indices, error = plan_times(self.timeline, times, self.path)
        except VideoError as fault:
            return Frames.nothing(fault)
        return self.frames(indices, size=size, side=side, error=error)

    def frames(
        self,
        indices: Sequence[int] | NDArray[np.int64],
        *,
        size: Size = None,
        side: Side = "short",
        error: VideoError | None = None,
    ) -> Frames:
        """Decode frames by their index in the timeline, in any order.

        Args:
            indices: which frames, each within the timeline.
            size: as in :func:`read_clip`.
            side: as in :func:`read_clip`.
            error: what is already known to be wrong with the request.
        """
        buffer = FrameBuffer([int(index) for index in indices])
        if self.index.by_order:
            self._decode_in_order(buffer, size, side)
        else:
            lost = set(self.index.lost.tolist())
            self._decode_by_key(buffer, lost, size, side, back=0 if self.index.can_seek else len(self.index.keys))
            if self._quickly and not lost.issuperset(buffer.open):
                self._quickly = False
                self._reopen()
                self._decode_by_key(buffer, lost, size, side, back=1)
                self.index.learnt.needs_care = lost.issuperset(buffer.open)
            if not self.index.can_seek and not lost.issuperset(buffer.open):  # on behind what is damaged
                self._decode_by_key(buffer, lost, size, side, back=0)
        return buffer.finish(self.timeline.times[buffer.wanted], error, str(self.path))

    def _decode_by_key(self, buffer: FrameBuffer, lost: set[int], size: Size, side: Side, *, back: int) -> None:
        """Fill the buffer one group of pictures at a time, each from its keyframe or from one ``back`` keys before."""
        index = self.index

        def key_of(frame: int) -> int:
            return max(int(np.searchsorted(index.keys, index.pts[frame], side="right")) - 1 - back, -1)

        for key, members in groupby([frame for frame in buffer.open if frame not in lost], key_of):
            frame_of = {int(index.pts[frame]): frame for frame in members}
            for pts, image in self._group(key, frame_of, buffer.picture_size or size, side).items():
                buffer.put(frame_of[pts], image)

    def _group(self, key: int, timestamps: Iterable[int], size: Size, side: Side) -> dict[int, NDArray[np.uint8]]:
        """Decode from a key until the wanted pictures are in; by timestamp, those that no damage has reached.

        Damage reaches every picture decoded after it.
        """
        run = Run(recovering=key < 0 and self._entries.codec == "h264")
        images: dict[int, NDArray[np.uint8]] = {}
        waiting, all_wanted = set(timestamps), set(timestamps)

        def take(pictures: list[VideoFrame]) -> None:
            for picture in pictures:
                if run.is_whole(picture) and picture.pts in all_wanted:
                    target = next((image.shape[:2] for image in images.values()), size)
                    images[picture.pts] = to_image(picture, target, side, self._reformatter)

        two_packets_a_frame = self._entries.codec == "h264" and self._decoder.field_order not in NOT_INTERLACED
        self._begin_anew()
        for packet in self._packets_from(key):
            pts, is_last = NO_TIME if packet.pts is None else int(packet.pts), not waiting
            if pts not in all_wanted and self._is_needless(packet):
                continue
            is_behind = pts in self.index.behind and not (run.is_new and key >= 0)
            run.feed(pts)
            if is_behind and run.breaks(pts):
                break
            waiting.discard(pts)
            pictures = self._decode(packet)
            take(pictures or [])
            if (pictures is None and run.breaks(pts)) or (not waiting and (is_last or not two_packets_a_frame)):
                break
        take(self._decode(None) or [])
        if self._entries.codec not in OWNS_UP:
            run.find_silent_losses(self.index.pts)
        return {pts: image for pts, image in images.items() if run.is_sound(pts)}

    def _is_needless(self, packet: Packet) -> bool:
        """Whether no other picture refers to this one. Asked of H.264 only: in HEVC the mark leaves out some layers."""
        if self._entries.codec != "h264" or self._decoder.field_order not in NOT_INTERLACED:
            return False
        return is_unreferenced(memoryview(packet), self._entries.prefix)

    def _decode_in_order(self, buffer: FrameBuffer, size: Size, side: Side) -> None:
        """Fill the buffer from a stream without timestamps, whose packets are known by their number."""
        index = self.index

        def key_of(frame: int) -> int:
            return int(np.searchsorted(index.keys, frame, side="right")) - 1

        readable = [frame for frame in buffer.open if index.pts[frame] >= 0]
        if not readable:
            return
        packets, following = enumerate(self._packets(None)), 0
        for key, members in groupby(readable, key_of):
            frame_of = {int(index.pts[frame]): frame for frame in members}
            begin, last = int(index.seek_to[key]) if key >= 0 else 0, max(frame_of)
            if following <= begin:
                self._begin_anew()
            for number, packet in packets:
                following = number + 1
                if number < begin:
                    continue
                packet.pts = number
                self._keep(self._decode(packet) or [], frame_of, buffer, size, side)
                if not frame_of or number > last + WAITED_FOR:
                    break
            else:
                self._keep(self._decode(None) or [], frame_of, buffer, size, side)

    def _decode(self, packet: Packet | None) -> list[VideoFrame] | None:
        """Pictures that come out; None where the packet is damaged."""
        if packet is not None and packet.is_corrupt:
            return None
        try:
            return self._decoder.decode(packet)
        except av.error.FFmpegError:
            return None

    def _begin_anew(self) -> None:
        """Forget all pictures, but not what the stream's first packet says of the encoder."""
        if not self._is_introduced and self.index.prelude:
            with suppress(av.error.FFmpegError):
                self._decoder.decode(Packet(self.index.prelude))
        self._is_introduced = True
        if self._decoder.is_open:
            self._decoder.flush_buffers()

    def _keep(
        self, pictures: list[VideoFrame], frame_of: dict[int, int], buffer: FrameBuffer, size: Size, side: Side
    ) -> None:
        """Put the wanted pictures into the buffer and strike them out."""
        for picture in pictures:
            if picture.pts in frame_of and not picture.is_corrupt:
                image = to_image(picture, buffer.picture_size or size, side, self._reformatter)
                buffer.put(frame_of.pop(picture.pts), image)

    def _packets_from(self, key: int) -> Iterator[Packet]:
        """Packets in decoding order from a key on; from an earlier one if decoding cannot begin there after all.

        Before the first key lies the file's beginning.
        """
        no_entries = self.index.learnt.no_entries
        while key >= 0:
            if key not in no_entries:
                packets = self._packets_behind(key)
                first = next(packets, None)
                if first is None:
                    return
                if self._entries.accepts(first):
                    yield first
                    yield from packets
                    return
                no_entries.add(key)
            key -= 1
        yield from self._packets(None)

    def _packets_behind(self, key: int) -> Iterator[Packet]:
        """Packets in decoding order from a keyframe on; from the file's first one should seeking go too far."""
        begin, reached = int(self.index.keys[key]), False
        for target in (int(self.index.seek_to[key]), None) if self.index.can_seek else (None,):
            for packet in self._packets(target):
                reached = reached or packet.pts == begin
                if reached:
                    yield packet
                elif target is not None and packet.is_keyframe and (packet.pts or 0) > begin:
                    break
            if reached:
                return

    def _packets(self, seek_to: int | None) -> Iterator[Packet]:
        """Packets from a timestamp (or the beginning) until the end of the file or the first one that is unreadable."""
        try:
            if seek_to is None:
                self._reopen()
                self._begin_anew()
            else:
                self._container.seek(seek_to, stream=self._stream)
        except av.error.FFmpegError:
            return
        yield from packets_of(self._container, self._stream)
