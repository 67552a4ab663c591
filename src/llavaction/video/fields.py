"""Interlaced H.264 whose two fields come as pictures of their own (ITU-T H.264, 7.3.2.1.1 and 7.3.3).

In a transport stream each field is a packet with a timestamp, and the decoder puts out one frame for the two. Here it
is told which packets hold a second field.
"""

from __future__ import annotations

from llavaction.video.h264 import IDR_SLICE, SLICE, units

PARAMETERS = 7
WITH_CHROMA = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
"""Profiles whose parameters tell the chroma format."""

EMULATED, MEANT = b"\x00\x00\x03", b"\x00\x00"
READ_OF_A_SLICE = 40
"""Bytes of a slice in which its header's first fields lie."""


class Bits:
    """Reads numbers of the lengths H.264 writes them in.

    Args:
        data: a unit behind its header byte.
    """

    def __init__(self, data: bytes) -> None:
        clean = data.replace(EMULATED, MEANT)
        self._bits, self._length, self._at = int.from_bytes(clean, "big"), len(clean) * 8, 0

    def take(self, count: int) -> int:
        """A number of ``count`` bits.

        Raises:
            ValueError: there are no more.
        """
        self._at += count
        if self._at > self._length:
            raise ValueError("unit cut off")
        return self._bits >> (self._length - self._at) & ((1 << count) - 1)

    def golomb(self) -> int:
        """An exponential Golomb number, ue(v)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """se(v)."""
        number = self.golomb()
        return (number + 1) // 2 if number & 1 else -(number // 2)


class FieldPairs:
    """Tells second fields from first ones and from whole frames.

    Args:
        extradata: parameters that are not among the packets.
        prefix: bytes of the length before each unit; None for start codes.
    """

    def __init__(self, extradata: bytes | None, prefix: int | None) -> None:
        self._prefix = prefix
        self._frame_num_bits, self._has_fields, self._has_planes = 0, False, False
        self._open: tuple[int, int] | None = None
        if prefix is None and extradata:
            self.is_second(memoryview(extradata))

    def is_second(self, picture: memoryview) -> bool:
        """Whether the packet, the next of the stream, holds the second field of the frame begun by the one before."""
        for unit in units(picture, self._prefix):
            if not len(unit):
                continue
            try:
                if unit[0] & 31 == PARAMETERS:
                    self._read_parameters(Bits(bytes(unit[1:])))
                elif unit[0] & 31 in (SLICE, IDR_SLICE):
                    return self._pair(self._field(Bits(bytes(unit[1:READ_OF_A_SLICE]))))
            except ValueError:
                return False
        return False

    def _pair(self, field: tuple[int, int] | None) -> bool:
        """Whether a field (frame number, 0 for top or 1 for bottom) goes with the one that waits."""
        second = field is not None and self._open == (field[0], 1 - field[1])
        self._open = None if second else field
        return second

    def _field(self, slice_header: Bits) -> tuple[int, int] | None:
        if not self._has_fields:
            return None
        for _ in range(3):  # first macroblock, type, picture parameters
            slice_header.golomb()
        if self._has_planes:
            slice_header.take(2)
        frame_number = slice_header.take(self._frame_num_bits)
        return (frame_number, slice_header.take(1)) if slice_header.take(1) else None

    def _read_parameters(self, bits: Bits) -> None:
        profile = bits.take(8)
        bits.take(16)
        bits.golomb()
        self._has_planes = False
        if profile in WITH_CHROMA:
            chroma = bits.golomb()
            self._has_planes = chroma == 3 and bool(bits.take(1))
            bits.golomb()
            bits.golomb()
            bits.take(1)
            if bits.take(1):
                for number in range(12 if chroma == 3 else 8):
                    if bits.take(1):
                        _skip_scaling(bits, 16 if number < 6 else 64)
        self._frame_num_bits = bits.golomb() + 4
        order = bits.golomb()
        if order == 0:
            bits.golomb()
        elif order == 1:
            bits.take(1)
            bits.signed()
            bits.signed()
            for _ in range(bits.golomb()):
                bits.signed()
        bits.golomb()
        bits.take(1)
        bits.golomb()
        bits.golomb()
        self._has_fields = not bits.take(1)


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
