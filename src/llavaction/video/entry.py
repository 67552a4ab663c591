"""Where decoding can begin: packets from which on every picture comes out as in a decode from the file's beginning.

Containers mark keyframes, but not all of them can be begun at: the picture may be whole while those after it refer to
what came before, or be made whole only by a number of pictures after it. What counts is what the coded picture says
itself. A codec this module does not know is decoded from the beginning of the file.
"""

from __future__ import annotations

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from llavaction.video import h264

BY_MARK = {"ffv1", "png"}
"""Codecs whose keyframes are taken as the container marks them. AVI marks by position: one packet lost shifts all."""

COMPLETE_HEADERS = {"vp8", "vp9", "av1", "hevc"}
"""Codecs whose keyframes restate all that decoding needs."""

HEVC_KEYS = range(16, 22)
"""Types of HEVC units (BLA, IDR, CRA) behind which, in order of display, nothing refers to what came before."""

NOT_INTERLACED = {0, 1}
"""Field orders (unknown, progressive) of streams whose every packet holds a whole picture."""

PICTURE, SEQUENCE, VOP = b"\x00\x00\x01\x00", b"\x00\x00\x01\xb3", b"\x00\x00\x01\xb6"
KEY_FRAME, TEMPORAL_DELIMITER, SEQUENCE_HEADER, FRAME_HEADER, FRAME = 0, 2, 1, 3, 6
INTRA = 1


class EntryPoints:
    """Tells which packets of a stream decoding can begin at.

    Args:
        context: the stream's decoder.
    """

    def __init__(self, context: VideoCodecContext) -> None:
        self.codec = context.codec.canonical_name
        self.prefix = h264.length_size(context.extradata, self.codec)
        self._intra_only = context.codec.intra_only

    def accepts(self, packet: Packet, *, is_marked: bool | None = None) -> bool:
        """Whether decoding can begin at this packet; frames to be shown before it may still be lost.

        Args:
            packet: the packet.
            is_marked: whether the container marks it as a keyframe, where that is known better than from the packet.
        """
        if not (packet.is_keyframe if is_marked is None else is_marked):
            return False
        if self._intra_only or self.codec in BY_MARK:
            return True
        reader = READERS.get(self.codec)
        data = memoryview(packet)
        return reader is not None and len(data) > 0 and reader(data, self.prefix)

    def is_packed(self, packet: Packet) -> bool:
        """Whether the packet holds two pictures, as DivX and Xvid pack B-frames: the second is shown with a later one.

        Such a stream is decoded from its beginning only.
        """
        return self.codec == "mpeg4" and bytes(packet).count(VOP) > 1

    def prelude(self, first: Packet) -> bytes:
        """What the decoder has to see of the stream's first packet before it begins elsewhere.

        Encoders introduce themselves there, and FFmpeg decodes by what is known of their faults: x264's 4:4:4 before
        build 151, DivX and Xvid. Tables may be sent there once and for all, too.
        """
        if self.codec == "h264":
            return h264.without_pictures(memoryview(first), self.prefix)
        return b"" if self.codec in COMPLETE_HEADERS else bytes(first)


def _h264(data: memoryview, prefix: int | None) -> bool:
    return h264.can_begin(data, prefix)


def _hevc(data: memoryview, prefix: int | None) -> bool:
    kinds = (unit[0] >> 1 & 63 for unit in h264.units(data, prefix) if len(unit))
    return next((kind in HEVC_KEYS for kind in kinds if kind < 32), False)


def _vp8(data: memoryview, prefix: int | None) -> bool:
    del prefix
    return not data[0] & 1


def _vp9(data: memoryview, prefix: int | None) -> bool:
    """Frame marker (2 bits), profile (2, one more if it is 3), show_existing_frame, frame_type, show_frame."""
    del prefix
    bits = f"{data[0]:08b}"
    at = 5 if bits[2:4] == "11" else 4
    return bits[:2] == "10" and bits[at : at + 3] == "001"


def _av1(data: memoryview, prefix: int | None) -> bool:
    """A sequence header, then a frame that is a shown key frame; one shown later may be preceded by others."""
    del prefix
    at, has_sequence = 0, False
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size, shift = 0, 0
        while sized and at < len(data):
            size, shift, at = size | (data[at] & 127) << shift, shift + 7, at + 1
            if not data[at - 1] & 128 or shift > 28:
                break
        if kind == SEQUENCE_HEADER and at < len(data):
            has_sequence = True
            if data[at] >> 3 & 1:  # a still picture, whose frames have short headers
                return True
        elif kind in (FRAME_HEADER, FRAME):
            return has_sequence and at < len(data) and data[at] >> 4 == 0b0001
        if not sized:
            return False
        at += size
    return False


def _mpeg12(data: memoryview, prefix: int | None) -> bool:
    """A sequence header, then an I picture."""
    del prefix
    head = bytes(data)
    picture = head.find(PICTURE)
    return 0 <= head.find(SEQUENCE) < picture and picture + 5 < len(head) and head[picture + 5] >> 3 & 7 == INTRA


def _mpeg4(data: memoryview, prefix: int | None) -> bool:
    """An I picture."""
    del prefix
    head = bytes(data)
    picture = head.find(VOP)
    return 0 <= picture < len(head) - 4 and head[picture + 4] >> 6 == 0


def _theora(data: memoryview, prefix: int | None) -> bool:
    """A data packet (first bit 0) of an intra frame (second bit 0)."""
    del prefix
    return data[0] >> 6 == 0


def _msmpeg4(data: memoryview, prefix: int | None) -> bool:
    """The picture's type in two bits, 0 for I."""
    del prefix
    return data[0] >> 6 == 0


def _wmv2(data: memoryview, prefix: int | None) -> bool:
    """The picture's type in one bit, 0 for I."""
    del prefix
    return data[0] >> 7 == 0


def _flv1(data: memoryview, prefix: int | None) -> bool:
    """Start code (17 bits), version (5), time (8), kind of size (3), perhaps width and height, type (2, 0 for I)."""
    del prefix
    head = int.from_bytes(bytes(data[:9]).ljust(9, b"\xff"), "big")
    kind = head >> 72 - 33 & 7
    at = 33 + {0: 16, 1: 32}.get(kind, 0)
    return head >> 72 - 17 == 1 and head >> 72 - at - 2 & 3 == 0


READERS = {
    "h264": _h264,
    "hevc": _hevc,
    "vp8": _vp8,
    "vp9": _vp9,
    "av1": _av1,
    "mpeg1video": _mpeg12,
    "mpeg2video": _mpeg12,
    "mpeg4": _mpeg4,
    "theora": _theora,
    "msmpeg4v2": _msmpeg4,
    "msmpeg4v3": _msmpeg4,
    "wmv1": _msmpeg4,
    "wmv2": _wmv2,
    "flv1": _flv1,
}
"""What the coded picture says, by codec."""
