"""A clip whose frames no memory holds is refused before they are decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.filming import film
from llavaction.actions.segments import Clip
from llavaction.video.decode import read_clip, read_times
from llavaction.video.errors import VideoError
from llavaction.video.frames import MOST_BYTES, FrameBuffer
from llavaction.video.library import VideoLibrary


def test_more_bytes_than_any_clip_may_have(tmp_path: Path) -> None:
    path = film(tmp_path / "kitchen.mp4", count=12, fps=6)
    few = read_clip(path, count=8)
    height, width = few.images.shape[1:3]
    count = MOST_BYTES // few.images[0].nbytes + 1
    problem = rf"{count} frames of {width} x {height} pixels take 4\.3 GB, at most 4\.3 GB are read at once"
    found = read_clip(path, count=count)
    assert found.status == "none"
    assert found.images.nbytes == 0
    with pytest.raises(VideoError, match=problem):
        read_clip(path, count=count, strict=True)
    with pytest.raises(VideoError, match=problem):
        read_times(path, np.zeros(count), strict=True)
    with pytest.raises(VideoError, match=problem):
        VideoLibrary(tmp_path).read(Clip(video_id="kitchen", start=0.0, stop=2.0), count, strict=True)
    assert len(read_clip(path, count=2000, size=(8, 8))) == 2000


def test_as_many_frames_of_1080p_as_fit() -> None:
    picture = np.zeros((1080, 1920, 3), np.uint8)
    most = MOST_BYTES // picture.nbytes
    FrameBuffer(range(most)).put(0, picture)
    for count in (most + 1, 100000):
        with pytest.raises(VideoError, match=f"{count} frames of 1920 x 1080 pixels take"):
            FrameBuffer(range(count)).put(0, picture)
