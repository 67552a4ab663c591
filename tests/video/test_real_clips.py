"""Real files of many makes equal their full decode."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from helpers.filming import everything
from llavaction.actions.segments import Clip
from llavaction.video.decode import read_all, read_clip, read_times
from llavaction.video.errors import CorruptVideoError, ShortVideoError
from llavaction.video.layouts import VIDEO_SUFFIXES
from llavaction.video.library import VideoLibrary
from llavaction.video.order import pictures_despite_damage
from llavaction.video.pictures import to_image
from llavaction.video.probe import probe
from llavaction.video.reader import VideoReader
from llavaction.video.sampling import frame_indices

DAMAGED = "corrupted.mp4"


def clips(shared: Path) -> list[Path]:
    return sorted(p for p in (shared / "data/clips").rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)


def test_every_clip_equals_its_full_decode(shared: Path) -> None:
    paths = [path for path in clips(shared) if path.name != DAMAGED]
    assert len(paths) >= 12
    for path in paths:
        rng = np.random.default_rng(len(path.name))
        size = None if path.stat().st_size < 300_000 else 90
        with VideoReader(path) as video:
            frames = len(video.timeline)
            limit = min(frames, 400)
            chosen = np.unique(np.append(rng.integers(0, limit, 12), [0, limit - 1]))
            reference = {}
            for number, (time, image) in enumerate(read_all(path, size=size)):
                if number in chosen:
                    reference[number] = (time, image)
                if number == limit - 1:
                    break
            found = video.frames(chosen, size=size)
            assert found.error is None, path
            for number, time, image in zip(chosen, found.times, found.images, strict=True):
                np.testing.assert_array_equal(image, reference[number][1], err_msg=f"{path} {number}")
                if not video.index.by_order:
                    assert time == pytest.approx(reference[number][0], abs=1e-6), path


def test_every_clip_takes_the_published_frames_by_time(shared: Path) -> None:
    """At constant rate; where frames were dropped, the frame that has begun."""
    for path in clips(shared):
        if path.name == DAMAGED:
            continue
        info = probe(path)
        with VideoReader(path) as video:
            timeline = video.timeline
        assert info.frames == len(timeline)
        start, stop = 0.1 * info.duration, min(0.9 * info.duration, 0.1 * info.duration + 3)
        rate = float(timeline.rate)
        picked = timeline.pick(start, stop, 16)
        if info.variable_frame_rate:
            assert picked.tolist() == timeline.shown_at(timeline.spread(start, stop, 16)).tolist()
            assert np.all(np.diff(picked) >= 0)
        else:
            ends = (int(np.round(second * rate)) for second in (start, stop))
            assert picked.tolist() == frame_indices(*ends, 16).tolist(), path
        found = read_clip(path, start, stop, 16, size=64)
        assert found.error is None and len(found) == 16
        np.testing.assert_allclose(found.times, timeline.times[picked])


def test_probed_facts(shared: Path) -> None:
    root = shared / "data/clips"
    facts = {
        "decord/video_90.mov": (320, 568, 90, 3, 30.0, False),
        "decord/flipping_a_pancake.mkv": (426, 240, 0, 310, 30.0, False),
        "deeplabcut/m3v1mp4.mp4": (640, 480, 0, 2330, 1e6 / 33333, False),
        "mmaction2/test_video_structuralize.mp4": (426, 240, 0, 300, 30000 / 1001, False),
        "torchcodec/h265_video.mp4": (128, 128, 0, 10, 10.0, False),
    }
    for name, expected in facts.items():
        info = probe(root / name)
        found = (info.width, info.height, info.rotation, info.frames, info.rate, info.variable_frame_rate)
        assert found == pytest.approx(expected), name
    dropped = probe(root / "mmaction2/part_0.mp4")
    assert (dropped.frames, dropped.variable_frame_rate) == (32, True)
    assert dropped.duration == pytest.approx(33 / 30, abs=1e-3)
    assert probe(root / "deeplabcut/m3v1mp4.mp4").pixel_format == "yuv444p"
    assert probe(next((root / "lavila").glob("*.mp4"))).has_audio


def test_rotated_clip_is_turned(shared: Path) -> None:
    found = read_clip(shared / "data/clips/decord/video_90.mov", 0, 0.1, 3)
    assert found.images.shape == (3, 568, 320, 3)
    np.testing.assert_array_equal(found.images, everything(shared / "data/clips/decord/video_90.mov")[1])


def test_dropped_frame(shared: Path) -> None:
    """One frame is missing from this clip: the one before stays on show."""
    path = shared / "data/clips/mmaction2/part_0.mp4"
    times, images = everything(path)
    gap = int(np.argmax(np.diff(times)))
    found = read_times(path, [times[gap] + 1.5 / 30, times[gap + 1]])
    np.testing.assert_array_equal(found.images, images[[gap, gap + 1]])


def test_corrupt_clip(shared: Path) -> None:
    path = shared / "data/clips/decord" / DAMAGED
    decoded: list[NDArray[np.uint8]] = []
    with pytest.raises(CorruptVideoError, match="damaged"):
        for _, image in read_all(path, size=180):
            decoded.append(image)
    assert len(decoded) == 28
    with av.open(str(path)) as container:  # FFmpeg reads on: number 28 was decoded before the damage and shown after
        pictures = pictures_despite_damage(container, container.streams.video[0])
        held_back = next(picture for number, picture in enumerate(pictures) if number == 28)
        decoded.append(to_image(held_back, 180, "short", VideoReformatter()))
    found = read_clip(path, 0, 5, 50, size=180)
    assert isinstance(found.error, CorruptVideoError)
    assert found.stand_ins == tuple(range(29, 50))
    np.testing.assert_array_equal(found.images[:29], np.stack(decoded))
    np.testing.assert_array_equal(found.images[29:], np.stack([decoded[28]] * 21))
    assert read_clip(path, 0, 2.5, 16).error is None
    nothing = read_clip(path, 3.5, 4.5, 8)
    assert isinstance(nothing.error, CorruptVideoError)
    assert len(nothing) == 0
    assert isinstance(read_clip(path, 5.5, 6.0, 8).error, ShortVideoError)


def test_the_folder_as_a_library(shared: Path) -> None:
    library = VideoLibrary(shared / "data/clips")
    assert library.layout == "videos"
    for path in clips(shared):
        name = path.relative_to(library.root).with_suffix("").as_posix()
        assert library.path(name) == path
        assert library.path(path.stem) == path
    found = library.read(Clip(video_id="zoom2_r0c1_100-400_wash_pan_in_sink", start=1.0, stop=3.0), 8, size=96)
    assert found.error is None and found.images.shape == (8, 96, 171, 3)
    assert library.missing(["demo", "P01_01"]) == ["P01_01"]
