"""Frames say whether a clip is complete, and which rows show another moment than their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from helpers.filming import film, pictures
from llavaction.actions.segments import Clip
from llavaction.video.decode import read_clip
from llavaction.video.errors import ShortVideoError
from llavaction.video.frames import Frames
from llavaction.video.library import VideoLibrary


def test_rows_past_the_end_are_stand_ins(tmp_path: Path) -> None:
    """A clip of [1, 4) s of a 2-s video: of eight moments 0.375 s apart, five lie past the end."""
    path = film(tmp_path / "a.mp4", count=60)
    found = read_clip(path, 1.0, 4.0, 8)
    assert found.status == "partial"
    assert found.stand_ins == (3, 4, 5, 6, 7)
    assert isinstance(found.error, ShortVideoError) and found.error.missing == found.stand_ins
    np.testing.assert_array_equal(found.images, read_clip(path, 1.0, 2.0, 8).images)
    assert np.all(np.diff(found.times) > 0)
    assert read_clip(path, -2.0, 4.0, 4).stand_ins == (2, 3)


def test_complete_and_none(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=60)
    whole = read_clip(path, 0.0, 2.0, 8)
    assert (whole.status, whole.stand_ins) == ("complete", ())
    for nothing in (read_clip(path, 5.0, 6.0, 8), read_clip(tmp_path / "b.mp4", 0, 1, 8)):
        assert (nothing.status, nothing.stand_ins, len(nothing)) == ("none", (), 0)
    assert Frames(whole.images, whole.times).status == "complete"


def test_a_cut_that_costs_no_row_is_still_partial(tmp_path: Path) -> None:
    found = read_clip(film(tmp_path / "a.mp4", count=60), 0.0, 2.1, 4)
    assert (found.status, found.stand_ins) == ("partial", ())


def test_chunks_and_images_follow_the_same_rule(tmp_path: Path) -> None:
    for start in (0, 2):
        film(tmp_path / "chunks" / "c.mp4" / f"{start}.mp4", count=60)
    (tmp_path / "images" / "i").mkdir(parents=True)
    for number, image in enumerate(pictures(40)):
        Image.fromarray(image).save(tmp_path / "images" / "i" / f"{number:05d}.png")
    for folder, video in (("chunks", "c"), ("images", "i")):
        library = VideoLibrary(tmp_path / folder, fps=10)
        over = library.read(Clip(video_id=video, start=2.0, stop=8.0), 6)
        assert over.status == "partial", folder
        assert over.stand_ins == (2, 3, 4, 5), folder
        assert library.read(Clip(video_id=video, start=2.0, stop=4.0), 6).status == "complete", folder
