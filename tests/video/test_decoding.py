"""Clips equal a full decode, whatever the coding, the container and the timestamps."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from helpers.filming import everything, film, pictures, uneven_times
from llavaction.base.errors import InputError
from llavaction.video.decode import read_all, read_clip, read_times
from llavaction.video.errors import CorruptVideoError, EmptyClipError, MissingVideoError, ShortVideoError, VideoError
from llavaction.video.reader import VideoReader
from llavaction.video.sampling import frame_indices

CODINGS: dict[str, dict[str, Any]] = {
    "gop12.mp4": {"gop": 12},
    "gop250.mp4": {"gop": 250, "count": 120},
    "many_b.mp4": {"gop": 30, "options": {"bf": "8", "b_strategy": "0"}},
    "no_b.mp4": {"options": {"bf": "0"}},
    "open_gop.mp4": {"gop": 12, "count": 100, "options": {"x264-params": "open-gop=1:keyint=12"}},
    "open_gop.mkv": {"gop": 12, "count": 100, "options": {"x264-params": "open-gop=1:keyint=12"}},
    "intra.mp4": {"gop": 1},
    "ntsc.mp4": {"fps": Fraction(30000, 1001)},
    "uneven.mp4": {"count": 48, "times": uneven_times(48)},
    "uneven.mkv": {"count": 48, "times": uneven_times(48)},
    "milliseconds.mkv": {"fps": 60},
    "full_chroma.mp4": {"pixel_format": "yuv444p", "height": 63, "width": 95},
    "hevc.mp4": {"codec": "libx265", "preset": "ultrafast", "gop": 20, "options": {"x265-params": "log-level=none"}},
    "vp9.webm": {"codec": "libvpx-vp9", "pixel_format": "yuv444p", "count": 30, "options": {"deadline": "realtime"}},
    "hidden_frames.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}},
    "interlaced.mp4": {"options": {"x264-params": "tff=1"}},
    "mpeg4.avi": {"codec": "mpeg4", "gop": 12},
    "b_frames.avi": {"gop": 12},
    "motion_jpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "animation.gif": {"codec": "gif", "pixel_format": "rgb8", "fps": 10, "count": 20},
    "camcorder.ts": {"gop": 12},
    "bare.h264": {"gop": 12},
    "one_frame.mp4": {"count": 1},
}


@pytest.mark.parametrize("name", CODINGS)
def test_any_frames_in_any_order_equal_a_full_decode(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, **CODINGS[name])
    times, images = everything(path)
    assert len(images) == CODINGS[name].get("count", 60)
    rng = np.random.default_rng(3)
    with VideoReader(path) as video:
        assert len(video.timeline) == len(images)
        for _ in range(4):
            asked = rng.integers(0, len(images), 6)
            found = video.frames(asked)
            assert found.error is None
            np.testing.assert_array_equal(found.images, images[asked])
            np.testing.assert_allclose(found.times, times[asked] if not video.index.by_order else found.times)


@pytest.mark.parametrize("name", ["gop12.mp4", "gop250.mp4", "milliseconds.mkv", "b_frames.avi"])
def test_clips_take_the_published_frames_at_constant_rate(tmp_path: Path, name: str) -> None:
    fps = CODINGS[name].get("fps", 30)
    path = film(tmp_path / name, **CODINGS[name])
    _, images = everything(path)
    for start, stop, count in [(0.0, 2.0, 8), (0.37, 0.95, 16), (0.2, 0.21, 3), (0.5, 0.9, 1)]:
        numbers = frame_indices(round(start * fps), min(round(stop * fps), len(images)), count)
        found = read_clip(path, start, min(stop, len(images) / fps), count)
        assert found.error is None
        np.testing.assert_array_equal(found.images, images[numbers])
        np.testing.assert_allclose(found.times, numbers / fps, atol=1e-3)


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mkv"])
def test_variable_rate_shows_the_frame_that_has_begun(tmp_path: Path, name: str) -> None:
    begun = np.array(uneven_times(48))
    path = film(tmp_path / name, count=48, times=begun)
    _, images = everything(path)
    asked = [0.0, 0.03, 0.19, 0.29, 0.595, 1.0, 1.3, 3.2, 5.9]
    found = read_times(path, asked)
    number = [int(np.sum(begun <= second) - 1) for second in asked]
    np.testing.assert_array_equal(found.images, images[number])
    np.testing.assert_allclose(found.times, begun[number], atol=1e-3)


def test_frames_that_nothing_refers_to_are_left_out_only_when_unwanted(tmp_path: Path) -> None:
    """Each frame alone: the wanted one may be such a frame, or refer to any other."""
    path = film(tmp_path / "b.mp4", count=40, gop=40, options={"bf": "3"})
    _, images = everything(path)
    with VideoReader(path) as video:
        for number in range(40):
            np.testing.assert_array_equal(video.frames([number]).images[0], images[number])


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_rotation_is_applied(tmp_path: Path, rotation: int, suffix: str) -> None:
    upright = film(tmp_path / f"upright{suffix}", count=10)
    turned = film(tmp_path / f"turned{suffix}", count=10, rotation=rotation)
    _, expected = everything(upright)
    found = read_clip(turned, 0, 1 / 3, 10)
    np.testing.assert_array_equal(found.images, np.rot90(expected, -rotation // 90, axes=(1, 2)))
    # A hand-made matrix in the track header says the same as FFmpeg's.
    patched = tmp_path / f"patched{suffix}"
    patched.write_bytes(with_matrix(upright.read_bytes(), rotation))
    np.testing.assert_array_equal(read_clip(patched, 0, 1 / 3, 10).images, found.images)


def with_matrix(data: bytes, rotation: int) -> bytes:
    """Overwrite the matrix of the only track header (version 0: it begins 40 bytes after the type)."""
    quarter = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[rotation]
    a, b, c, d = (value << 16 for value in quarter)
    matrix = b"".join(v.to_bytes(4, "big", signed=True) for v in (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    at = data.index(b"tkhd") + 4 + 40
    return data[:at] + matrix + data[at + 36 :]


def test_mirrored_video_is_mirrored_back(tmp_path: Path) -> None:
    upright = film(tmp_path / "a.mp4", count=4)
    data = with_matrix(upright.read_bytes(), 0)
    at = data.index(b"tkhd") + 44
    mirrored = tmp_path / "m.mp4"
    mirrored.write_bytes(data[:at] + (-(1 << 16)).to_bytes(4, "big", signed=True) + data[at + 4 :])
    _, expected = everything(upright)
    np.testing.assert_array_equal(read_clip(mirrored, count=4).images, expected[:, :, ::-1])


@pytest.mark.parametrize(
    ("size", "side", "shape"),
    [(32, "short", (32, 48)), (48, "long", (32, 48)), ((20, 30), "short", (20, 30)), (128, "short", (128, 192))],
)
def test_sizes(tmp_path: Path, size: Any, side: Any, shape: tuple[int, int]) -> None:
    path = film(tmp_path / "a.mp4", count=12)
    small = read_clip(path, count=3, size=size, side=side)
    assert small.images.shape == (3, *shape, 3)
    full = read_clip(path, count=3).images
    assert abs(float(small.images.mean()) - float(full.mean())) < 2


def test_size_is_that_of_the_picture_as_seen(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=4, rotation=90)
    assert read_clip(path, count=2).images.shape == (2, 96, 64, 3)
    assert read_clip(path, count=2, size=(30, 20)).images.shape == (2, 30, 20, 3)
    assert read_clip(path, count=2, size=48, side="long").images.shape == (2, 48, 32, 3)
    with pytest.raises(InputError, match="size"):
        read_clip(path, count=2, size=0)


def test_more_frames_than_the_clip_has_repeat(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=30)
    found = read_clip(path, 0.5, 0.5 + 1 / 30, 8)
    assert len(found) == 8
    assert found.times.tolist() == [0.5] * 8
    assert (found.images == found.images[0]).all()


def test_several_streams(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=rate) for rate in (25, 10)]
        for stream, (height, width) in zip(streams, [(32, 48), (64, 96)], strict=True):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for stream in streams:
            for image in pictures(20, stream.height, stream.width):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode(None))
    for number, (height, width) in enumerate([(32, 48), (64, 96)]):
        _, images = everything(path, stream=number)
        assert images.shape == (20, height, width, 3)
        with VideoReader(path, stream=number) as video:
            assert float(video.timeline.rate) == (25, 10)[number]
            np.testing.assert_array_equal(video.frames([3, 17]).images, images[[3, 17]])
    assert len(read_clip(path, count=2)) == 2
    missing = read_clip(path, count=2, stream=2)
    assert isinstance(missing.error, VideoError)
    assert "2 video stream" in str(missing.error)


def test_timestamps_that_do_not_begin_at_zero(tmp_path: Path) -> None:
    plain = film(tmp_path / "a.mp4", count=40)
    late = tmp_path / "late.mkv"
    with av.open(str(plain)) as source, av.open(str(late), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                packet.pts += round(7 / stream.time_base)
                packet.dts += round(7 / stream.time_base)
                packet.stream = copy
                target.mux(packet)
    found, expected = read_clip(late, 0.5, 1.0, 4), read_clip(plain, 0.5, 1.0, 4)
    np.testing.assert_array_equal(found.images, expected.images)
    np.testing.assert_allclose(found.times, expected.times, atol=1e-3)


def test_span_is_judged_against_the_video(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=60)
    within = read_clip(path, 1.5, 2.01, 4)
    assert within.error is None
    overhang = read_clip(path, 1.5, 2.5, 4)
    assert isinstance(overhang.error, ShortVideoError)
    np.testing.assert_array_equal(overhang.images, read_clip(path, 1.5, 2.0, 4).images)
    after = read_clip(path, 2.0, 3.0, 4)
    assert isinstance(after.error, ShortVideoError)
    assert "2.00 s" in str(after.error)
    assert after.images.shape == (0, 0, 0, 3)
    for start, stop in [(1.0, 1.0), (1.0, 0.5), (float("nan"), 1.0), (0.0, float("inf"))]:
        empty = read_clip(path, start, stop, 4)
        assert isinstance(empty.error, EmptyClipError)
        assert len(empty) == 0
    np.testing.assert_array_equal(read_clip(path, -1.0, 1.0, 4).images, read_clip(path, 0.0, 1.0, 4).images)
    np.testing.assert_array_equal(read_clip(path, count=4).images, read_clip(path, 0.0, 2.0, 4).images)


def test_times_past_the_end(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=30)
    found = read_times(path, [0.5, 2.0])
    assert isinstance(found.error, ShortVideoError)
    assert found.error.missing == (1,)
    assert found.times.tolist() == [0.5, pytest.approx(29 / 30)]
    assert len(read_times(path, [2.0])) == 0
    assert isinstance(read_times(path, []).error, EmptyClipError)
    with pytest.raises(InputError, match="0 or more"):
        read_times(path, [-1.0])


def test_missing_video(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        found = read_clip(path, 0, 1, 4)
        assert isinstance(found.error, MissingVideoError)
        assert str(path) in str(found.error)
        assert len(found) == 0
        with pytest.raises(MissingVideoError):
            read_clip(path, 0, 1, 4, strict=True)
        with pytest.raises(MissingVideoError):
            next(read_all(path))


def test_jitter_moves_the_choice(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=60)
    draws = [read_clip(path, 0, 2, 6, jitter=np.random.default_rng(seed)).times.tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=30)
    assert read_clip(path, 0, 5, 2).times[-1] < 1
    shutil.copy(film(tmp_path / "b.mp4", count=150), path)
    assert read_clip(path, 0, 5, 2).times[-1] > 3


def test_reading_twice_and_with_more_threads_is_the_same(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=60, options={"slices": "4"})
    first = read_clip(path, 0.3, 1.7, 8).images
    np.testing.assert_array_equal(first, read_clip(path, 0.3, 1.7, 8).images)
    np.testing.assert_array_equal(first, read_clip(path, 0.3, 1.7, 8, threads=3).images)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = read_clip(path, 0, 1, 2)
    assert isinstance(found.error, CorruptVideoError)
    assert "no video stream" in str(found.error)


def test_a_whole_decode_is_strict_where_the_decoder_is_not(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    rng = np.random.default_rng(0)
    images = np.kron(rng.integers(0, 255, (12, 16, 24, 3), dtype=np.uint8), np.ones((1, 4, 4, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert len(list(read_all(path))) == 12
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 400] = bytes(400)
    path.write_bytes(raw)
    with pytest.raises(CorruptVideoError, match="damaged"):
        list(read_all(path))
