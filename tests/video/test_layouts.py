"""Layouts are told apart by what the folders hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from llavaction.video.layouts import Kind, chunk_length, find_sources


def found(root: Path, *files: str) -> list[tuple[str, str]]:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return [(source.name, str(source.kind)) for source in find_sources(root)]


def test_whole_videos_flat_and_nested(tmp_path: Path) -> None:
    names = ["a.mp4", "B.MKV", "P01/P01_01.MP4", "P02/videos/P02_03.MP4", "notes.txt", ".hidden.mp4", ".git/x.mp4"]
    assert found(tmp_path, *names) == [
        ("B", "videos"),
        ("P01/P01_01", "videos"),
        ("P02/videos/P02_03", "videos"),
        ("a", "videos"),
    ]


def test_chunk_folders(tmp_path: Path) -> None:
    names = [f"P01/P01_01.MP4/{start}.MP4" for start in (0, 15, 30, 45)] + ["P01/P01_02/0.mp4", "P01/P01_02/300.mp4"]
    assert found(tmp_path, *names) == [("P01/P01_01", "chunks"), ("P01/P01_02", "chunks")]
    chunks = find_sources(tmp_path)[0].chunks
    assert [start for start, _ in chunks] == [0, 15, 30, 45]
    assert chunk_length([0, 15, 30, 45]) == 15
    assert chunk_length([15, 45]) == 15
    assert chunk_length([0]) is None


def test_single_chunk_is_told_by_the_name_of_its_folder(tmp_path: Path) -> None:
    assert found(tmp_path, "P01/P01_01.MP4/0.MP4") == [("P01/P01_01", "chunks")]
    assert found(tmp_path, "other/0.mp4") == [("P01/P01_01", "chunks"), ("other/0", "videos")]


@pytest.mark.parametrize("names", [["set/0.mp4", "set/1.mp4", "set/2.mp4"], ["set/7.mp4", "set/12.mp4"]])
def test_numbered_videos_are_no_chunks(tmp_path: Path, names: list[str]) -> None:
    assert {kind for _, kind in found(tmp_path, *names)} == {"videos"}


def test_frame_folders(tmp_path: Path) -> None:
    names = [f"P01/rgb_frames/P01_01/frame_{number:010d}.jpg" for number in (1, 2, 3)]
    names += ["P01/flow_frames/P01_01/u/frame_0000000001.jpg", "clip7/frames/0001.PNG", "P01/P01_05.MP4"]
    assert found(tmp_path, *names) == [
        ("P01/P01_05", "videos"),
        ("P01/rgb_frames/P01_01", "frames"),
        ("clip7", "frames"),
    ]
    assert find_sources(tmp_path)[1].video_id == "P01_01"


def test_pictures_beside_videos_are_no_frames(tmp_path: Path) -> None:
    assert found(tmp_path, "day/P01_01.mp4", "day/P01_01.jpg") == [("day/P01_01", "videos")]


def test_kinds_are_text() -> None:
    assert Kind.CHUNKS == "chunks"
