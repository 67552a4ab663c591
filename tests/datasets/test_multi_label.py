"""Annotations with several labels a clip."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from helpers.workbooks import CLASSES, CLIPS, animal_sheets, write_workbook
from llavaction.base.errors import InputError
from llavaction.datasets.multi_label import ALL, LabelledClip, MultiLabelAnnotations, open_multi_label
from llavaction.datasets.multi_label_classes import read_classes

FRAMES = "original_vido_id video_id frame_id path labels"


def _labels(found: MultiLabelAnnotations) -> dict[str, list[str]]:
    return {clip.clip_id: [found.classes.names[place] for place in clip.labels] for clip in found.clips}


def _write_csv(path: Path, rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


EXPECTED = {video: [CLASSES[int(label)] for label in labels.split(",")] for video, _, labels in CLIPS}


def test_the_workbook_of_animal_kingdom(tmp_path: Path) -> None:
    write_workbook(tmp_path / "AR_metadata.xlsx", animal_sheets())
    for path in (tmp_path, tmp_path / "AR_metadata.xlsx"):
        found = open_multi_label(path)
        assert found.classes.names == CLASSES and found.classes.named
        assert _labels(found) == EXPECTED
        assert found.splits == ("train", "test")
        assert found.clips[0] == LabelledClip("AAACXZTV", "AAACXZTV", 0.0, None, (0, 1), "train")
        assert found.notes == ["AR_metadata.xlsx:4: 'Yawning' has no id; it is 5, the one that no other class has"]
    truth = found.truth(found.of_split("test"))
    assert truth.tolist() == [[False, True, False, False, False, True], [False, False, False, False, True, False]]
    counts = found.training_counts()
    assert counts is not None and counts.tolist() == [1, 1, 0, 2, 1, 0]
    assert len(found.of_split(ALL)) == 5
    with pytest.raises(InputError, match="has no split 'validation'") as refused:
        found.of_split("validation")
    assert refused.value.hint == "splits: train, test, all"


def test_the_sheet_as_csv_with_its_classes_beside_it_or_named(tmp_path: Path) -> None:
    sheets = animal_sheets()
    path = _write_csv(tmp_path / "AR_metadata.csv", sheets["AR"])
    bare = open_multi_label(path)
    assert bare.classes.names == ("0", "1", "3", "4", "5") and not bare.classes.named  # 2 is used by none
    assert bare.notes[-1].startswith("the 5 classes have ids but no names")
    classes = _write_csv(tmp_path / "elsewhere.txt.csv", sheets["Action"])
    assert _labels(open_multi_label(path, classes)) == EXPECTED
    classes.rename(tmp_path / "Action.csv")
    assert _labels(open_multi_label(path)) == _labels(open_multi_label(tmp_path)) == EXPECTED


@pytest.mark.parametrize("fields", [5, 6])
def test_tables_with_a_row_a_frame(tmp_path: Path, fields: int) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    for name, split in (("train", "train"), ("val", "test")):
        lines = [FRAMES + " type" * (fields == 6)]
        for number, (video, of, labels) in enumerate(CLIPS):
            if of == split:
                quoted = f'"{labels}"' if "," in labels else labels
                row = f"{video} {number} {{0}} {video}/{video}_t{{0:06d}}.jpg {quoted}" + f" {of}" * (fields == 6)
                lines += [row.format(frame) for frame in range(1, 4)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    found = open_multi_label(tmp_path)
    assert _labels(found) == EXPECTED
    assert found.splits == (("train", "validation") if fields == 5 else ("train", "test"))  # the rows know better
    assert all(clip.stop is None for clip in found.clips) and found.notes == []


def test_frames_of_one_video_that_differ_are_joined_and_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text(f'{FRAMES}\nv 1 1 a.jpg "0,1"\nv 1 2 b.jpg 2\nw 2 1 c.jpg 1\n')
    found = open_multi_label(tmp_path / "val.csv")
    assert [clip.labels for clip in found.clips] == [(0, 1, 2), (1,)]
    assert found.notes[0] == "val.csv: frames of 1 videos differ in labels; a video has those of all"
    (tmp_path / "val.csv").write_text(f"{FRAMES}\nv 1 1 a.jpg 0, 1\n")
    with pytest.raises(InputError, match=r"val.csv:2: its sixth field is '1'; expected a split"):
        open_multi_label(tmp_path / "val.csv")
    (tmp_path / "val.csv").write_text(f"{FRAMES}\nv 1 1 a.jpg 0\nv 1 2\n")
    with pytest.raises(InputError, match=r"val.csv:3: has 3 fields; expected original_vido_id"):
        open_multi_label(tmp_path / "val.csv")


def test_a_plain_table_with_names_and_spans(tmp_path: Path) -> None:
    (tmp_path / "mice.csv").write_text(
        "file,start,stop,split,labels\n"
        'a.mp4,0,1.5,train,"dig, rear"\n'
        "a.mp4,2,3,val,Rear; groom\n"
        "a.mp4,2,3,val,dig\n"  # the same clip: a row a label
        "b.mp4,,,test,\n"
        "c.mp4,3,2,test,dig\n"
        "d.mp4,0,1,dev set,dig\n"
    )
    found = open_multi_label(tmp_path)
    assert found.classes.names == ("dig", "groom", "Rear")
    assert _labels(found) == {"a_0_1.5": ["dig", "Rear"], "a_2_3": ["dig", "groom", "Rear"], "b": []}
    assert [clip.split for clip in found.clips] == ["train", "validation", "test"]
    assert found.clips[2] == LabelledClip("b", "b", 0.0, None, (), "test")
    assert [(remark.line, remark.what) for remark in found.remarks] == [
        (6, "stops at 2 s, not after its start at 3 s"),
        (7, "split 'dev set' is none of train, validation, test"),
    ]


def test_a_name_that_holds_a_comma_is_one_class(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text('id,name\n3,"walk, slowly"\n7,run\n')
    (tmp_path / "a.csv").write_text('video,labels\nv,"walk, slowly"\nw,"7,3"\nx,"walk, slowly|run"\n')
    found = open_multi_label(tmp_path / "a.csv")
    assert found.classes.ids == (3, 7)
    assert [clip.labels for clip in found.clips] == [(0,), (0, 1), (0, 1)]
    assert np.array_equal(found.truth(found.clips), [[True, False], [True, True], [True, True]])


@pytest.mark.parametrize(
    ("rows", "problem", "hint"),
    [
        ("v,0;9", r"a.csv:2: '9' is none of the 2 classes", "ids are 0 to 1"),
        ("v,runn", r"a.csv:2: 'runn' is none of the 2 classes", "did you mean 'run'"),
    ],
)
def test_a_label_that_is_no_class_is_refused(tmp_path: Path, rows: str, problem: str, hint: str) -> None:
    (tmp_path / "classes.txt").write_text("walk\nrun\n")
    (tmp_path / "a.csv").write_text(f"video,labels\n{rows}\n")
    with pytest.raises(InputError, match=problem) as refused:
        open_multi_label(tmp_path / "a.csv")
    assert hint in str(refused.value.hint)


def test_the_list_with_the_other_order_is_refused(tmp_path: Path) -> None:
    rows = [["S/N", "action_category", "action", "index", "segment", "count"], [1, "General", "Eating", 40, "head", 9]]
    path = write_workbook(tmp_path / "df_action.xlsx", {"AR_count": rows})
    with pytest.raises(InputError, match="numbers the classes otherwise") as refused:
        read_classes(path)
    assert "AR_metadata.xlsx" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,name\n0,a\n0,b\n", r"c.csv:3: 'b' has the id 0 of 'a'"),
        ("id,name\n0,a\n1,A\n", r"c.csv:3: 'A' is listed on line 2 already"),
        ("id,name\nx,a\n", r"c.csv:2: the id of 'a' is 'x', not a whole number"),
        ("id,name\n#N/A,a\n#N/A,b\n", r"c.csv:2: 'a' has no id"),
        ("id,name\n5,a\n#N/A,b\n", r"c.csv:3: 'b' has no id, and which it is cannot be told"),
        ("id,title\n5,a\n", "lacks a column of class names"),
        ("id,name\n", "lists no class"),
    ],
)
def test_class_files_that_cannot_be_used(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(InputError, match=problem):
        read_classes(tmp_path / "c.csv")


def test_what_is_no_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        open_multi_label(tmp_path / "x")
    with pytest.raises(InputError, match="holds 0 tables"):
        open_multi_label(tmp_path)
    (tmp_path / "a.csv").write_text("video,when\nv,3\n")
    with pytest.raises(InputError, match="lacks a column of videos or labels"):
        open_multi_label(tmp_path)
    (tmp_path / "a.csv").write_text("video,labels\n,dig\n")
    with pytest.raises(InputError, match="has no row that can be used"):
        open_multi_label(tmp_path)
