"""A damaged file gives what can be decoded and says what is wrong; nothing else is ever raised."""

from __future__ import annotations

import pickle
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.filming import everything, film, pictures
from llavaction.base.errors import InputError, LlavactionError
from llavaction.video.decode import read_all, read_clip
from llavaction.video.errors import CorruptVideoError, ShortVideoError, VideoError
from llavaction.video.probe import probe
from llavaction.video.reader import VideoReader

STEADY = {"bf": "0", "sc_threshold": "0"}
"""No B-frames, and keyframes at equal distances only."""


def with_header_first(path: Path) -> Path:
    """Copy the packets into a file that begins with its header, as those meant for the web do."""
    target = path.with_name(f"web_{path.name}")
    with (
        av.open(str(path)) as source,
        av.open(str(target), "w", container_options={"movflags": "faststart"}) as sink,
    ):
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                sink.mux(packet)
    return target


def damaged(path: Path, frame: int) -> Path:
    """Overwrite the body of one frame, given by its place in the file, with zeros."""
    with av.open(str(path)) as container:
        entry = container.streams.video[0].index_entries[frame]
    data = bytearray(path.read_bytes())
    data[entry.pos + 4 : entry.pos + entry.size] = bytes(entry.size - 4)
    target = path.with_name(f"damaged_{path.name}")
    target.write_bytes(data)
    return target


def test_frames_before_the_damage_and_after_the_next_keyframe_are_read(tmp_path: Path) -> None:
    good = film(tmp_path / "a.mp4", count=60, gop=20, options=STEADY)
    _, expected = everything(good)
    bad = damaged(good, 27)
    found = read_clip(bad, 0, 2, 60)
    assert isinstance(found.error, CorruptVideoError)
    assert found.error.missing == tuple(range(27, 40))
    assert "13 of the 60" in str(found.error)
    readable = [row for row in range(60) if row not in found.error.missing]
    np.testing.assert_array_equal(found.images[readable], expected[readable])
    np.testing.assert_array_equal(found.images[27:40], expected[[26] * 13])
    assert found.times[27:40].tolist() == [found.times[26]] * 13
    assert read_clip(bad, 0.0, 0.8, 8).error is None
    assert read_clip(bad, 1.4, 2.0, 8).error is None
    with pytest.raises(CorruptVideoError):
        read_clip(bad, 0, 2, 60, strict=True)


def test_where_nothing_comes_before_the_next_frame_stands_in(tmp_path: Path) -> None:
    good = film(tmp_path / "a.mp4", count=60, gop=20, options=STEADY)
    _, expected = everything(good)
    found = read_clip(damaged(good, 27), 30 / 30, 50 / 30, 20)
    assert found.error is not None
    assert found.error.missing == tuple(range(10))
    np.testing.assert_array_equal(found.images[:10], expected[[40] * 10])
    nothing = read_clip(damaged(good, 27), 30 / 30, 35 / 30, 5)
    assert isinstance(nothing.error, CorruptVideoError)
    assert len(nothing) == len(nothing.times) == 0
    assert nothing.error.missing == (0, 1, 2, 3, 4)


def test_file_cut_off_behind_its_header(tmp_path: Path) -> None:
    whole = with_header_first(film(tmp_path / "a.mp4", count=60, gop=20))
    _, expected = everything(whole)
    cut = tmp_path / "cut.mp4"
    data = whole.read_bytes()
    cut.write_bytes(data[: round(len(data) * 0.7)])
    found = read_clip(cut, 0, 2, 60)
    assert isinstance(found.error, CorruptVideoError)
    lost = found.error.missing
    assert 0 < len(lost) < 40
    assert lost[-1] == 59
    readable = [row for row in range(60) if row not in lost]
    np.testing.assert_array_equal(found.images[readable], expected[readable])


def test_matroska_cut_off_is_a_shorter_video(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mkv", count=60, gop=20)
    cut = tmp_path / "cut.mkv"
    data = whole.read_bytes()
    cut.write_bytes(data[: round(len(data) * 0.5)])
    frames = probe(cut).frames
    assert 15 < frames < 45
    found = read_clip(cut, 0, 2, 60)
    assert isinstance(found.error, ShortVideoError)
    assert len(found) == 60
    assert isinstance(read_clip(cut, 1.9, 2, 4).error, ShortVideoError)


@pytest.mark.parametrize("content", [b"", b"no video", bytes(5000), b"\x00\x00\x00\x18ftypmp42" + bytes(100)])
def test_not_a_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    found = read_clip(path, 0, 1, 4)
    assert isinstance(found.error, CorruptVideoError)
    assert "a.mp4" in str(found.error) and "Traceback" not in str(found.error)
    with pytest.raises(CorruptVideoError):
        probe(path)
    with pytest.raises(CorruptVideoError):
        next(read_all(path))


def test_header_lost(tmp_path: Path) -> None:
    data = film(tmp_path / "a.mp4", count=10).read_bytes()
    path = tmp_path / "b.mp4"
    path.write_bytes(data[: data.index(b"moov") - 4])
    found = read_clip(path, 0, 1, 4)
    assert isinstance(found.error, CorruptVideoError)
    assert "cut off" in str(found.error)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
def test_random_damage_never_raises_anything_else(tmp_path: Path, suffix: str) -> None:
    """What is returned is whole: as many frames as asked for or none, and an error wherever there is none."""
    good = film(tmp_path / f"a{suffix}", count=30, gop=10)
    original = good.read_bytes()
    rng = np.random.default_rng(8)
    path = tmp_path / f"b{suffix}"
    faults = 0
    for _ in range(40):
        data = bytearray(original[: int(rng.integers(len(original) // 3, len(original) + 1))])
        for at in rng.integers(0, len(data), int(rng.integers(1, 40))):
            data[at] = int(rng.integers(256))
        path.write_bytes(data)
        found = read_clip(path, 0, 1, 10)
        assert len(found) == len(found.times) and len(found) in (0, 10)
        assert len(found) == 10 or isinstance(found.error, VideoError)
        faults += found.error is not None
    assert faults > 5


def packed(source: Path, target: Path) -> None:
    """Rewrite MPEG-4 with B-frames the way DivX packs it into AVI: each B-frame in the packet of the frame it precedes
    in display, with an empty frame in its own place.
    """
    with av.open(str(source)) as container, av.open(str(target), "w") as sink:
        stream = container.streams.video[0]
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
        extradata = stream.codec_context.extradata or b""
        copy = sink.add_stream_from_template(stream)
        copy.codec_context.extradata = extradata + b"\x00\x00\x01\xb2DivX503b1393p"
        placeholder = b"\x00\x00\x01\xb6\x51\x00\x00"  # a P picture that is not coded
        units: list[bytes] = []
        at = 0
        while at < len(packets):
            following = packets[at + 1] if at + 1 < len(packets) else b""
            if following and picture_type(following) == "B":
                units += [packets[at] + following, placeholder]
                at += 2
            else:
                units.append(packets[at])
                at += 1
        for number, unit in enumerate(units):
            packet = av.Packet(unit)
            packet.stream, packet.time_base = copy, copy.time_base
            packet.pts = packet.dts = number
            packet.is_keyframe = picture_type(unit) == "I"
            sink.mux(packet)


def picture_type(unit: bytes) -> str:
    """Type of the first picture: the two bits behind the picture's start code."""
    return "IPBS"[unit[unit.index(b"\x00\x00\x01\xb6") + 4] >> 6]


def test_packed_b_frames_are_known_by_their_order(tmp_path: Path) -> None:
    plain = tmp_path / "plain.avi"
    with av.open(str(plain), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.gop_size = 1, 12
        for image in pictures(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    path = tmp_path / "packed.avi"
    packed(plain, path)
    times, images = everything(path)
    _, expected = everything(plain)
    np.testing.assert_array_equal(images[:38], expected[:38])
    np.testing.assert_allclose(times, np.arange(len(times)) / 25)
    with VideoReader(path) as video:
        assert video.index.by_order
        np.testing.assert_array_equal(video.frames([17, 4, 30]).images, images[[17, 4, 30]])
        for number in range(len(video.timeline)):
            np.testing.assert_array_equal(video.frames([number]).images[0], images[number])


def test_errors_survive_the_trip_from_a_worker() -> None:
    error = CorruptVideoError("damaged", file="a.mp4", hint="copy it again", missing=(3, 4))
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is CorruptVideoError
    assert (str(back), back.missing) == (str(error), (3, 4))
    assert isinstance(back, (InputError, LlavactionError))


def test_missing_frames_are_named_beside_another_fault(tmp_path: Path) -> None:
    good = film(tmp_path / "a.mp4", count=60, gop=20, options=STEADY)
    found = read_clip(damaged(good, 50), 1.5, 3.0, 15)
    assert isinstance(found.error, ShortVideoError)
    assert found.error.missing == tuple(range(5, 15))


def test_one_damaged_packet_does_not_end_an_avi(tmp_path: Path) -> None:
    """With B-frames AVI has no presentation times. All but the damaged group is read, each frame in its own place."""
    settings = {"bf": "2", "sc_threshold": "0", "b_strategy": "0"}
    good = film(tmp_path / "a.avi", count=60, fps=10, gop=12, options=settings)
    _, expected = everything(good)
    with av.open(str(good)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = good.read_bytes()
    at = data.index(packets[28][16:])
    (tmp_path / "b.avi").write_bytes(data[:at] + bytes(len(packets[28]) - 16) + data[at + len(packets[28]) - 16 :])
    found = read_clip(tmp_path / "b.avi", 0, 6, 60)
    assert found.status == "partial"
    assert set(found.stand_ins) <= set(range(24, 36)) and found.stand_ins
    whole = [row for row in range(60) if row not in found.stand_ins]
    np.testing.assert_array_equal(found.images[whole], expected[whole])
    np.testing.assert_allclose(found.times[whole], np.arange(60)[whole] / 10)


def test_a_stream_that_is_not_announced_ends_nothing(tmp_path: Path) -> None:
    """Two transport streams joined, the second's video under another number."""
    paths = []
    for identity in (256, 300):
        paths.append(tmp_path / f"{identity}.ts")
        with av.open(str(paths[-1]), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"bf": "2", "preset": "ultrafast"})
            stream.id, stream.width, stream.height, stream.pix_fmt = identity, 96, 64, "yuv420p"
            for image in pictures(30):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode(None))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(path.read_bytes() for path in paths))
    _, images = everything(paths[0])
    found = read_clip(joined, 0.0, 2.0, 10)
    assert found.error is None
    np.testing.assert_array_equal(found.images, images[[1, 3, 5, 7, 9, 11, 13, 15, 17, 19]])
    assert len(everything(joined)[1]) >= 28
