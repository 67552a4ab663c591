"""What a file is said to hold."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from helpers.filming import film, uneven_times
from llavaction.video.errors import MissingVideoError, VideoError
from llavaction.video.probe import probe


def test_constant_rate(tmp_path: Path) -> None:
    info = probe(film(tmp_path / "a.mp4", count=90, fps=25))
    assert (info.width, info.height, info.rotation, info.frames) == (96, 64, 0, 90)
    assert info.duration == pytest.approx(3.6)
    assert info.rate == 25
    assert not info.variable_frame_rate and not info.has_audio
    assert (info.codec, info.pixel_format, info.video_streams) == ("h264", "yuv420p", 1)
    assert info.path == tmp_path / "a.mp4"


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".avi", ".ts", ".gif"])
def test_frames_are_counted_where_the_header_does_not(tmp_path: Path, suffix: str) -> None:
    coding = {".webm": {"codec": "libvpx-vp9"}, ".gif": {"codec": "gif", "pixel_format": "rgb8"}}.get(suffix, {})
    info = probe(film(tmp_path / f"a{suffix}", count=23, fps=10, **coding))
    assert info.frames == 23
    assert info.duration == pytest.approx(2.3, abs=2e-3)
    assert not info.variable_frame_rate


def test_variable_rate(tmp_path: Path) -> None:
    times = uneven_times(48)
    info = probe(film(tmp_path / "a.mp4", count=48, times=times))
    assert info.variable_frame_rate
    assert info.rate == pytest.approx(47 / times[-1], rel=1e-6)
    assert info.duration > times[-1]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_size_is_as_seen(tmp_path: Path, rotation: int) -> None:
    info = probe(film(tmp_path / "a.mov", count=3, rotation=rotation))
    assert info.rotation == rotation
    assert (info.width, info.height) == ((64, 96) if rotation in (90, 270) else (96, 64))


def test_sound_and_number_of_streams(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.height, video.width, video.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("aac", rate=16000)
        for _ in range(3):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), "rgb24")))
        container.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    info = probe(path)
    assert info.has_audio and info.video_streams == 1 and info.frames == 3
    with pytest.raises(VideoError, match="there is no 1"):
        probe(path, 1)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingVideoError, match=r"none\.mp4"):
        probe(tmp_path / "none.mp4")
