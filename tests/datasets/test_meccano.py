"""MECCANO's tables of actions."""

from __future__ import annotations

from pathlib import Path

import pytest

from llavaction.base.errors import InputError
from llavaction.datasets.label_table import ALL
from llavaction.datasets.meccano import Meccano
from llavaction.datasets.registry import open_annotations

HEADER = "video_id,action_id,action_name,start_frame,end_frame\n"
TRAIN = "0001,5,take_bolt,00001.jpg,00012.jpg\n0001,17,align_objects,00013.jpg,00018.jpg\n"
TEST = "0008,5,take_bolt,00025.jpg,00025.jpg\n"


def folder_of(path: Path, header: str = HEADER, **tables: str) -> Path:
    path.mkdir()
    for split, rows in (tables or {"train": TRAIN, "test": TEST}).items():
        (path / f"MECCANO_{split}_actions.csv").write_text(header + rows)
    return path


@pytest.mark.parametrize("header", ["", HEADER])
def test_spans_are_frames_at_twelve_a_second_last_one_included(tmp_path: Path, header: str) -> None:
    dataset = open_annotations(folder_of(tmp_path / "a", header))
    assert isinstance(dataset, Meccano) and dataset.splits == ("train", "test")
    first, second = dataset.segments("train")
    assert (first.segment_id, first.video_id, first.start, first.stop) == ("0001_train_1", "0001", 0.0, 1.0)
    assert (second.start, second.stop, second.action) == (1.0, 1.5, (17, 0))
    (only,) = dataset.segments("test")
    assert (only.start, only.stop) == (2.0, pytest.approx(2 + 1 / 12, abs=1e-6))
    assert len(dataset.segments(ALL)) == 3 and dataset.vocabulary.one_label
    assert dataset.vocabulary.action_name((17, 0)) == "align_objects"
    assert sorted(dataset.sources("train")) == ["MECCANO_test_actions.csv", "MECCANO_train_actions.csv"]
    assert any("--fps 12" in note for note in dataset.notes)


def test_tables_named_by_their_split_and_frames_from_zero(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text("0007,3,plug_screw,00000.jpg,00011.jpg\n")
    dataset = open_annotations(tmp_path)
    assert isinstance(dataset, Meccano) and dataset.splits == ("validation",)
    (segment,) = dataset.segments("validation")
    assert (segment.start, segment.stop) == (0.0, 1.0)
    assert any("frame 0" in note for note in dataset.notes)


def test_the_number_of_classes_is_told_where_it_is_not_that_of_the_release(tmp_path: Path) -> None:
    everything = "".join(f"0001,{n},action_{n},{n + 1:05d}.jpg,{n + 9:05d}.jpg\n" for n in range(61))
    whole = Meccano(folder_of(tmp_path / "a", train=everything, val=everything, test=everything))
    assert len(whole.verbs) == 61 and len(whole.notes) == 1
    part = Meccano(folder_of(tmp_path / "b", train=TRAIN, val=TRAIN, test=TEST))
    assert "name 2 actions, not the 61 of the release" in part.notes[0]


def test_rows_that_cannot_be_used_are_left_out_with_their_line(tmp_path: Path) -> None:
    bad = [
        ("0001,x,take_bolt,00001.jpg,00012.jpg", "action_id 'x' is not a whole number"),
        ("0001,5,take_bolt,00012.jpg", "has 4 cells; expected video_id, action_id"),
        ("0001,5,take_bolt,12,19", "'12' and '19' are not both names of frames"),
        ("0001,5,take_bolt,00012.jpg,00011.jpg", "ends with frame 11, before its first, 12"),
        ("0001,5,,00012.jpg,00013.jpg", "has no action_name"),
    ]
    dataset = Meccano(folder_of(tmp_path / "a", train=TRAIN + "".join(f"{row}\n" for row, _ in bad)))
    assert len(dataset.segments("train")) == 2
    left_out, rows = dataset.refused("train")
    assert [remark.line for remark in left_out] == [4, 5, 6, 7, 8] and rows == 7
    for remark, (_, said) in zip(left_out, bad, strict=True):
        assert said in remark.what and remark.file == "MECCANO_train_actions.csv"


def test_what_cannot_be_read_at_all_is_named(tmp_path: Path) -> None:
    other = folder_of(tmp_path / "a", train=TRAIN + "0002,5,put_bolt,00001.jpg,00002.jpg\n")
    with pytest.raises(InputError, match=r"action 5 is called 'put_bolt', on line 2 of .* 'take_bolt'") as refused:
        Meccano(other)
    assert refused.value.line == 4
    with pytest.raises(InputError, match="holds no table of MECCANO's actions"):
        Meccano(tmp_path)
    (tmp_path / "a" / "train.csv").write_text(TRAIN)
    with pytest.raises(InputError, match="holds two tables of 'train'"):
        Meccano(other)
    with pytest.raises(InputError, match="has no split 'validation'"):
        Meccano(folder_of(tmp_path / "b")).segments("validation")
