"""Any layout gives the frames of the whole video it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from helpers.filming import everything, film, pictures
from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.video.decode import read_clip
from llavaction.video.errors import CorruptVideoError, EmptyClipError, MissingVideoError, ShortVideoError, VideoError
from llavaction.video.library import VideoLibrary
from llavaction.video.sampling import frame_indices
from llavaction.video.write import write_video

SPANS = [(0.0, 1.89, 8), (1.4, 2.6, 16), (1.3, 4.75, 32), (1.98, 2.02, 16), (3.99, 4.01, 8), (5.8, 6.0, 8)]


def clip(start: float, stop: float, video_id: str = "P01_01") -> Clip:
    return Clip(video_id=video_id, start=start, stop=stop)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    """Six seconds at 30 frames per second."""
    return np.stack(list(pictures(180)))


@pytest.fixture(scope="module")
def chunked(tmp_path_factory: pytest.TempPathFactory, images: NDArray[np.uint8]) -> Path:
    """Chunks of 2 seconds, as published ones are of 15."""
    root = tmp_path_factory.mktemp("chunks")
    for start in (0, 2, 4):
        write_video(root / f"P01/P01_01.MP4/{start}.MP4", images[start * 30 : start * 30 + 60], 30, crf=5)
    return root


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory, images: NDArray[np.uint8]) -> Path:
    root = tmp_path_factory.mktemp("frames")
    folder = root / "P01" / "rgb_frames" / "P01_01"
    folder.mkdir(parents=True)
    for number, image in enumerate(images, start=1):
        Image.fromarray(image).save(folder / f"frame_{number:010d}.png")
    return root


@pytest.mark.parametrize("place", ["P01_01.mp4", "P01/P01_01.MP4", "P01/videos/P01_01.MKV"])
def test_whole_videos(tmp_path: Path, images: NDArray[np.uint8], place: str) -> None:
    path = write_video(tmp_path / place, images, 30)
    library = VideoLibrary(tmp_path)
    assert library.layout == "videos"
    assert library.video_ids == ["P01_01"]
    names = ("P01_01", "p01_01", path.name, str(Path(place).with_suffix("")), place)
    for name in names:
        assert library.path(name) == path
    found = library.read(clip(1.4, 2.6), 16, size=32)
    np.testing.assert_array_equal(found.images, read_clip(path, 1.4, 2.6, 16, size=32).images)


@pytest.mark.parametrize(("start", "stop", "count"), SPANS)
def test_chunks_give_the_published_frames(
    chunked: Path, images: NDArray[np.uint8], start: float, stop: float, count: int
) -> None:
    library = VideoLibrary(chunked)
    assert library.layout == "chunks"
    found = library.read(clip(start, stop), count)
    # The published reader ends at the last frame, not after it.
    numbers = frame_indices(round(start * 30), min(round(stop * 30), 179), count)
    assert found.error is None
    np.testing.assert_allclose(found.times, numbers / 30, atol=1e-9)
    expected = {number: everything(chunked / f"P01/P01_01.MP4/{number // 60 * 2}.MP4")[1] for number in set(numbers)}
    for number, image in zip(numbers, found.images, strict=True):
        np.testing.assert_array_equal(image, expected[number][number % 60])
        distance = np.abs(images.astype(int) - image).mean(axis=(1, 2, 3))
        assert int(np.argmin(distance)) == number


@pytest.mark.parametrize(("start", "stop", "count"), SPANS)
def test_extracted_frames(extracted: Path, images: NDArray[np.uint8], start: float, stop: float, count: int) -> None:
    library = VideoLibrary(extracted, fps=30)
    assert library.layout == "frames"
    found = library.read(clip(start, stop), count)
    numbers = np.minimum(frame_indices(round(start * 30), round(stop * 30), count), 179)
    assert found.error is None
    np.testing.assert_array_equal(found.images, images[numbers])
    np.testing.assert_allclose(found.times, numbers / 30)


def test_frame_rate_of_extracted_frames(extracted: Path, images: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="give fps"):
        VideoLibrary(extracted).read(clip(0, 1), 4)
    table = VideoLibrary(extracted, fps={"P01_01": 60.0})
    np.testing.assert_array_equal(table.read(clip(1.0, 2.0), 4).images, images[frame_indices(60, 120, 4)])
    unknown = VideoLibrary(extracted, fps={"P01_02": 60.0}).read(clip(0, 1), 4)
    assert isinstance(unknown.error, VideoError)
    assert "no frame rate" in str(unknown.error)
    small = VideoLibrary(extracted, fps=30).read(clip(0, 1), 2, size=48, side="long")
    assert small.images.shape == (2, 32, 48, 3)


def test_extracted_frames_that_are_absent_or_damaged(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    for number in range(20):
        if number not in (6, 7):
            Image.fromarray(images[number]).save(folder / f"{number}.png")
    (folder / "12.png").write_bytes(b"no image")
    library = VideoLibrary(tmp_path, fps=10)
    found = library.read(clip(0.0, 2.0, "v"), 20)
    assert isinstance(found.error, MissingVideoError)
    assert found.error.missing == (6, 7, 12)
    np.testing.assert_array_equal(found.images[[6, 7, 12]], images[[5, 5, 11]])
    assert isinstance(library.read(clip(1.0, 2.0, "v"), 10).error, CorruptVideoError)
    assert isinstance(library.read(clip(2.5, 3.0, "v"), 2).error, ShortVideoError)
    none = library.read(clip(0.6, 0.8, "v"), 2)
    assert isinstance(none.error, MissingVideoError)
    assert len(none) == 0


def test_missing_chunks(chunked: Path, tmp_path: Path) -> None:
    folder = tmp_path / "P01" / "P01_01.MP4"
    folder.mkdir(parents=True)
    for start in (0, 4):
        (folder / f"{start}.MP4").write_bytes((chunked / f"P01/P01_01.MP4/{start}.MP4").read_bytes())
    (folder / "6.MP4").write_bytes(b"no video")
    whole, library = VideoLibrary(chunked), VideoLibrary(tmp_path)
    gap = library.read(clip(1.0, 5.0), 8)
    assert isinstance(gap.error, MissingVideoError)
    assert "begins at 2 s" in str(gap.error)
    assert gap.error.missing == (2, 3, 4, 5)
    complete = whole.read(clip(1.0, 5.0), 8)
    np.testing.assert_array_equal(gap.images[[0, 1, 6, 7]], complete.images[[0, 1, 6, 7]])
    np.testing.assert_array_equal(gap.images[[2, 5]], complete.images[[1, 1]])
    ends_in_gap = library.read(clip(1.0, 3.0), 4)
    assert isinstance(ends_in_gap.error, MissingVideoError)
    assert len(ends_in_gap) == 4
    within_gap = library.read(clip(2.5, 3.0), 4)
    assert isinstance(within_gap.error, MissingVideoError)
    assert len(within_gap) == 0
    broken = library.read(clip(5.0, 7.0), 4)
    assert isinstance(broken.error, CorruptVideoError)
    assert broken.error.missing == (2, 3)
    np.testing.assert_array_equal(broken.images[0], everything(folder / "4.MP4")[1][157 - 120])
    assert len(library.read(clip(6.5, 7.0), 4)) == 0


def test_chunks_that_end_early(chunked: Path) -> None:
    library = VideoLibrary(chunked)
    assert library.read(clip(5.0, 6.02), 4).error is None
    over = library.read(clip(5.0, 8.0), 4)
    assert isinstance(over.error, ShortVideoError)
    np.testing.assert_array_equal(over.images, library.read(clip(5.0, 6.0), 4).images)
    past = library.read(clip(6.5, 8.0), 4)
    assert isinstance(past.error, ShortVideoError)
    assert len(past) == 0


def test_one_chunk_is_the_whole_video(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4" / "0.mp4", count=90)
    found = VideoLibrary(tmp_path).read(clip(0.5, 2.5, "a"), 8)
    np.testing.assert_array_equal(found.images, read_clip(path, 0.5, 2.5, 8).images)


def test_one_file_per_segment(tmp_path: Path) -> None:
    path = film(tmp_path / "P01_01_7.mp4", count=60)
    library = VideoLibrary(tmp_path)
    found = library.read(clip(100.0, 102.0), 8, segment_id="P01_01_7")
    np.testing.assert_array_equal(found.images, read_clip(path, 0.0, 2.0, 8).images)
    np.testing.assert_allclose(found.times, 100 + frame_indices(0, 60, 8) / 30)
    assert library.path("P01_01", "P01_01_7") == path
    assert library.missing(["P01_01_7", "P01_01_8"]) == ["P01_01_8"]
    whole = film(tmp_path / "P01_01.mp4", count=60)
    assert VideoLibrary(tmp_path).path("P01_01", "P01_01_7") == whole


def test_the_length_of_a_video_is_known_in_every_layout(
    chunked: Path, extracted: Path, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    whole = write_video(tmp_path / "P01_01.mp4", images, 30)
    seconds = len(images) / 30
    assert VideoLibrary(tmp_path).length("P01_01") == pytest.approx(seconds, abs=1e-3)
    assert VideoLibrary(tmp_path).length("elsewhere", "P01_01") == pytest.approx(seconds, abs=1e-3)
    assert VideoLibrary(chunked).length("P01_01") == pytest.approx(seconds, abs=1e-3)
    assert VideoLibrary(extracted, fps=30).length("P01_01") == pytest.approx(seconds)
    assert VideoLibrary(extracted, fps=15).length("P01_01") == pytest.approx(2 * seconds)
    with pytest.raises(InputError, match="do not tell their frame rate"):
        VideoLibrary(extracted).length("P01_01")
    with pytest.raises(MissingVideoError, match="no video 'P01_02'"):
        VideoLibrary(tmp_path).length("P01_02")
    whole.write_bytes(b"nothing of a video")
    with pytest.raises(CorruptVideoError):
        VideoLibrary(tmp_path).length("P01_01")


def test_missing_videos_are_named_with_the_nearest(tmp_path: Path) -> None:
    for name in ("P01_01", "P01_02", "P22_117"):
        film(tmp_path / f"{name}.mp4", count=2)
    library = VideoLibrary(tmp_path)
    found = library.read(clip(0, 1, "P22_17"), 4)
    assert isinstance(found.error, MissingVideoError)
    assert "did you mean 'P22_117'?" in str(found.error)
    assert "3 videos" in str(found.error)
    assert len(found) == 0
    assert library.missing(["P01_02", "P05_01", "P05_01", "a"]) == ["P05_01", "a"]
    with pytest.raises(MissingVideoError):
        library.read(clip(0, 1, "Q"), 4, strict=True)


def test_same_name_twice(tmp_path: Path) -> None:
    for folder in ("train", "val"):
        film(tmp_path / folder / "a.mp4", count=4)
    film(tmp_path / "c.mp4", count=4)
    film(tmp_path / "C.mp4" / "0.mp4", count=4)
    library = VideoLibrary(tmp_path)
    assert library.layout == "mixed"
    with pytest.raises(MissingVideoError, match="2 videos are called 'a'"):
        library.path("a")
    assert library.path("val/a") == tmp_path / "val" / "a.mp4"
    assert library.path("c") == tmp_path / "c.mp4"
    assert library.path("C") == tmp_path / "C.mp4"


def test_folders_without_videos(tmp_path: Path) -> None:
    with pytest.raises(MissingVideoError, match="holds no videos"):
        VideoLibrary(tmp_path)
    with pytest.raises(MissingVideoError, match="no such folder"):
        VideoLibrary(tmp_path / "none")


def test_damage_and_ends_come_through(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", count=30)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    library = VideoLibrary(tmp_path)
    assert isinstance(library.read(clip(0.5, 3.0, "a"), 4).error, ShortVideoError)
    assert isinstance(library.read(clip(0.5, 3.0, "b"), 4).error, CorruptVideoError)
    with pytest.raises(ShortVideoError):
        library.read(clip(0.5, 3.0, "a"), 4, strict=True)
    with pytest.raises(InputError, match="at least 1"):
        library.read(clip(0.0, 1.0, "a"), 0)
    assert not issubclass(EmptyClipError, ShortVideoError)
