"""Written files hold what was given, byte for byte the same each time, and are whole or absent."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.filming import everything, film, pictures, uneven_times
from llavaction.base.errors import InputError
from llavaction.video.write import VideoWriter, write_video


def test_pictures_come_back(tmp_path: Path) -> None:
    path = film(tmp_path / "deep" / "a.mp4", count=20, fps=Fraction(30000, 1001), crf=0, pixel_format="yuv444p")
    times, images = everything(path)
    np.testing.assert_allclose(times, np.arange(20) * 1001 / 30000)
    assert np.abs(images.astype(int) - np.stack(list(pictures(20)))).mean() < 2


def test_times_come_back(tmp_path: Path) -> None:
    given = uneven_times(30)
    times, _ = everything(film(tmp_path / "a.mp4", count=30, times=given))
    np.testing.assert_allclose(times, given, atol=1e-5)


def test_same_frames_same_bytes(tmp_path: Path) -> None:
    paths = [film(tmp_path / f"{name}.mp4", count=30, metadata={"title": "made"}) for name in range(20)]
    assert len({path.read_bytes() for path in paths}) == 1
    with av.open(str(paths[0])) as container:
        assert container.metadata["title"] == "made"
        assert "creation_time" not in container.metadata


def test_keyframe_distance_and_quality(tmp_path: Path) -> None:
    sizes = {}
    for crf in (15, 35):
        path = film(tmp_path / f"{crf}.mp4", count=40, gop=8, crf=crf)
        sizes[crf] = path.stat().st_size
        with av.open(str(path)) as container:
            keys = [n for n, p in enumerate(p for p in container.demux(video=0) if p.size) if p.is_keyframe]
        assert keys[0] == 0 and np.diff([*keys, 40]).max() <= 8
    assert sizes[15] > 1.5 * sizes[35]


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    def broken() -> object:
        yield from pictures(5)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_video(tmp_path / "a.mp4", broken(), 30)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no frame was given"):
        write_video(tmp_path / "b.mp4", [], 30)
    assert list(tmp_path.iterdir()) == []
    old = film(tmp_path / "c.mp4", count=5)
    before = old.read_bytes()
    with pytest.raises(RuntimeError):
        write_video(old, broken(), 30)  # type: ignore[arg-type]
    assert old.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["c.mp4"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    good = np.zeros((32, 32, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="sides must be even"):
        write_video(path, [np.zeros((31, 32, 3), dtype=np.uint8)], 30)
    with pytest.raises(InputError, match=r"expected frames uint8 \(32, 32, 3\)"):
        write_video(path, [good, good[:16]], 30)
    with pytest.raises(InputError, match="height, width, 3"):
        write_video(path, [good[..., 0]], 30)
    with pytest.raises(InputError, match="float32"):
        write_video(path, [good.astype(np.float32)], 30)  # type: ignore[list-item]
    with pytest.raises(InputError, match="fps > 0"):
        write_video(path, [good], 0)
    with pytest.raises(InputError, match="cannot be written with nonsense"):
        write_video(path, [good], 30, codec="nonsense")
    with pytest.raises(InputError, match="does not begin after"):
        write_video(path, [good, good], 30, times=[0.5, 0.5])
    with pytest.raises(InputError, match="one time"):
        write_video(path, [good, good], 30, times=[0.5])
    with VideoWriter(path, fps=30) as writer, pytest.raises(InputError, match="needs its time"):
        writer.add(good)
        writer.add(good, time=1.0)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
