"""Tables of labels: which videos are held out."""

from __future__ import annotations

from pathlib import Path

from llavaction.datasets.label_table import LabelTable
from llavaction.datasets.registry import open_annotations


def split_of(folder: Path, header: str, rows: list[str]) -> tuple[dict[str, set[str]], LabelTable]:
    """The videos of each split of a table."""
    folder.mkdir()
    (folder / "all.csv").write_text("\n".join([header, *rows]) + "\n")
    dataset = open_annotations(folder)
    assert isinstance(dataset, LabelTable)
    return {split: {segment.video_id for segment in dataset.segments(split)} for split in dataset.splits}, dataset


def test_videos_of_one_subject_stay_together(tmp_path: Path) -> None:
    days = [(animal, day, t) for animal in range(5) for day in range(4) for t in range(3)]
    rows = [f"s{animal}v{day},{t}.5,{t + 1},m{animal},walk" for animal, day, t in days]
    videos, dataset = split_of(tmp_path / "a", "video,start,stop,animal,label", rows)
    assert len(videos["validation"]) == 4 and len({video[:2] for video in videos["validation"]}) == 1
    assert len(videos["train"]) == 16
    assert "each 'animal' with all its videos" in "".join(dataset.notes)
    without = [f"s{animal}v{day},{t}.5,{t + 1},walk" for animal, day, t in days]
    videos, _ = split_of(tmp_path / "b", "video,start,stop,label", without)
    assert len({video[:2] for video in videos["validation"]}) > 1  # by their names alone they fall apart


def test_subjects_that_meet_stay_together(tmp_path: Path) -> None:
    pairs = {"v1": "ab", "v2": "bc", "v3": "d", "v4": "e", "v5": "f", "v6": "g"}
    rows = [f"{video},{i}.5,{i + 1},{one},walk" for video, both in pairs.items() for i, one in enumerate(both)]
    videos, _ = split_of(tmp_path / "a", "video,start,stop,subject,label", [*rows, "v6,3.5,4,,walk"])
    assert any({"v1", "v2"} <= found for found in videos.values())
    every = [f"{video},9.5,10,everybody,walk" for video in pairs]
    videos, dataset = split_of(tmp_path / "b", "video,start,stop,subject,label", rows + every)
    assert len(videos["validation"]) == 1
    assert "subjects are not kept apart" in "".join(dataset.notes)


def test_a_single_video_leaves_none_for_training_and_says_so(tmp_path: Path) -> None:
    videos, dataset = split_of(tmp_path / "a", "video,start,stop,label", ["v1,0.5,1,walk", "v1,1.5,2,rear"])
    assert videos == {"validation": {"v1"}} and len(dataset.vocabulary.actions) == 2
    (said,) = [note for note in dataset.notes if "training frequencies" in note]
    assert said.startswith("no segment is for training: ") and "EPIC" not in said and "3,806" not in said
