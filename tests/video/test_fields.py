"""Interlaced H.264 in field pictures: a frame is two packets."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.filming import everything
from llavaction.video.decode import read_clip
from llavaction.video.fields import Bits, FieldPairs
from llavaction.video.probe import probe
from llavaction.video.reader import VideoReader


class Writer:
    """Writes numbers the way H.264 has them."""

    def __init__(self) -> None:
        self.bits = ""

    def fixed(self, value: int, count: int) -> Writer:
        self.bits += f"{value:0{count}b}" if count else ""
        return self

    def golomb(self, *values: int) -> Writer:
        for value in values:
            binary = f"{value + 1:b}"
            self.bits += "0" * (len(binary) - 1) + binary
        return self

    def aligned(self) -> bytes:
        padded = self.bits + "0" * (-len(self.bits) % 8)
        return int(padded, 2).to_bytes(len(padded) // 8, "big")

    def closed(self) -> bytes:
        return self.fixed(1, 1).aligned()


def unit(kind: int, payload: bytes) -> bytes:
    escaped = bytearray()
    for byte in payload:
        if byte <= 3 and escaped[-2:] == b"\x00\x00":
            escaped.append(3)
        escaped.append(byte)
    return b"\x00\x00\x00\x01" + bytes([kind]) + bytes(escaped)


def field_pictures(frames: int) -> bytes:
    """16 x 32 pixels, one uncompressed macroblock a field; the shade of field f of frame n is 40 + 3 n + f."""
    parameters = Writer().fixed(77, 8).fixed(0, 8).fixed(30, 8).golomb(0, 0, 0, 4, 1).fixed(0, 1).golomb(0, 0)
    parameters.fixed(0, 1).fixed(0, 1).fixed(1, 1).fixed(0, 1).fixed(0, 1)
    picture = Writer().golomb(0, 0).fixed(0, 1).fixed(0, 1).golomb(0, 0, 0).fixed(0, 1).fixed(0, 2).golomb(0, 0, 0)
    picture.fixed(1, 1).fixed(0, 1).fixed(0, 1)
    out = unit(0x67, parameters.closed()) + unit(0x68, picture.closed())
    for n in range(frames):
        for bottom in (0, 1):
            is_idr = n == 0 and bottom == 0
            head = Writer().golomb(0, 7, 0).fixed(n % 16, 4).fixed(1, 1).fixed(bottom, 1)
            if is_idr:
                head.golomb(0)
            head.fixed((2 * n + bottom) % 256, 8)
            head.fixed(0, 2 if is_idr else 1)  # how references are marked
            head.golomb(0, 1, 25)  # quantiser, no deblocking, uncompressed
            shade = 40 + 3 * n + bottom
            payload = head.aligned() + bytes([shade]) * 256 + bytes([128]) * 128 + b"\x80"
            out += unit(0x09, b"\xf0") + unit(0x65 if is_idr else 0x61, payload)
    return out


@pytest.fixture(scope="module")
def camcorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of 25 per second as 80 packets of a transport stream."""
    folder = tmp_path_factory.mktemp("fields")
    (folder / "a.h264").write_bytes(field_pictures(40))
    path = folder / "a.ts"
    with av.open(str(folder / "a.h264")) as source, av.open(str(path), "w") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in source.demux(stream) if packet.size):
            packet.stream, packet.time_base = copy, Fraction(1, 50)
            packet.pts = packet.dts = 50 + number
            sink.mux(packet)
        assert number == 79
    return path


def test_two_packets_are_one_frame(camcorder: Path) -> None:
    info = probe(camcorder)
    assert (info.frames, info.width, info.height) == (40, 16, 32)
    times, images = everything(camcorder)
    assert len(images) == 40
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-3)
    rising = images[:, 0::2].mean(axis=(1, 2, 3))
    assert np.all(np.diff(rising) > 2)
    with VideoReader(camcorder) as video:
        for number in (0, 39, 7, 8, 21):
            found = video.frames([number])
            assert found.error is None
            np.testing.assert_array_equal(found.images[0], images[number])
    clip = read_clip(camcorder, 0.4, 1.2, 10)
    assert clip.status == "complete"
    np.testing.assert_array_equal(clip.images, images[[11, 13, 15, 17, 19, 21, 23, 25, 27, 29]])


def test_numbers_of_any_length() -> None:
    bits = Bits(Writer().golomb(0, 5, 300).fixed(9, 7).golomb(1, 2, 3, 4).closed())
    assert [bits.golomb(), bits.golomb(), bits.golomb(), bits.take(7)] == [0, 5, 300, 9]
    assert [bits.signed() for _ in range(4)] == [1, -1, 2, -2]
    with pytest.raises(ValueError, match="cut off"):
        Bits(b"\x00").golomb()


def test_a_field_that_stays_alone_pairs_with_none() -> None:
    whole = field_pictures(3)
    pictures = [b"\x00\x00\x00\x01\x09" + part for part in whole.split(b"\x00\x00\x00\x01\x09")[1:]]
    pairs = FieldPairs(whole.split(b"\x00\x00\x00\x01\x09")[0], None)
    order = [pictures[0], pictures[2], pictures[3], pictures[5], pictures[4]]
    assert [pairs.is_second(memoryview(picture)) for picture in order] == [False, False, True, False, True]
