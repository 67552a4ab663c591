"""EPFL-Smart-Kitchen-30: its classes and split on the real files, its workbooks on ones in the published form."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.workbooks import write_workbook
from llavaction.base.errors import InputError
from llavaction.datasets.epfl_smart_kitchen import ALL, CONFUSED, EpflSmartKitchen
from llavaction.datasets.registry import open_annotations

SESSIONS = ("YH2002_2023_12_04_10_15_23", "YH2025_2023_09_08_09_06_51", "YH2003_2023_05_17_09_08_58")
SPLIT = "Training videos:\n{}\nValidation videos:\n{}\nTest videos:\n{}\n"
CLASSES = "['Take_off__Glove', 'Cut__Cucumber  ', 'Sauté__Tofu', 'Carry__Pot_lid']"
HEAD = ["Start", "End", "Verbs", "Nouns", "Confusion"]
ROWS: list[list[object]] = [
    [1.5, 2.75, "Cut", "Cucumber  ", 0],
    [2.75, 3.0, "Sauté", "Tofu", 1],
    [3.0, 4.0, "Take_off", None, 0],
    [4.0, 5.0, "Carry", "Glove", 0],
    [5.0, 6.0, "Carry", "Pot_lid", None],
    [7.0, 6.0, "Carry", "Pot_lid", 0],
    [8.0, 9.0, "Take_off", None, 0],
]


def folder_of(path: Path, rows: list[list[object]] | None = None, head: list[str] | None = None) -> Path:
    home = path / "benchmarks" / "action_segmentation"
    (home / "data").mkdir(parents=True)
    (home / "config.yaml").write_text(f"data_path: ./data\nlist_of_actions: {CLASSES}\n")
    (home / "data" / "split_file_85_25_fixed_test.txt").write_text(SPLIT.format(*SESSIONS))
    for session in SESSIONS[:2]:
        participant, _, time = session.partition("_")
        place = path / "pose" / participant / time / "annotations"
        place.mkdir(parents=True)
        name = "actions_annotations.xlsx" if session == SESSIONS[0] else "actions_annotation.xlsx"
        write_workbook(place / name, {"Sheet1": [list(head or HEAD), *(rows or ROWS)]})
    return path


def test_the_real_classes_and_sessions(shared: Path) -> None:
    dataset = open_annotations(shared / "data" / "epfl_smart_kitchen")
    assert isinstance(dataset, EpflSmartKitchen)
    assert (len(dataset.vocabulary.actions), len(dataset.verbs), len(dataset.nouns)) == (581, 31, 78)
    assert [len(dataset.sessions[split]) for split in ("train", "validation", "test")] == [26, 7, 16]
    names = {dataset.vocabulary.action_name(action) for action in dataset.vocabulary.actions}
    assert {"cut cucumber", "sauté tofu", "take off glove", "put on glove", "put pot lid"} <= names
    assert len(names) == 581 and not any(name != name.strip() or "_" in name for name in names)
    assert dataset.splits == () and dataset.notes[0] == "0 of 49 sessions have a workbook of actions"
    assert "blanks at the ends of 9 classes" in dataset.notes[1]
    with pytest.raises(InputError, match="0 of its 16 sessions have a workbook"):
        dataset.segments("test")


def test_segments_of_a_session(tmp_path: Path) -> None:
    dataset = open_annotations(folder_of(tmp_path))
    assert isinstance(dataset, EpflSmartKitchen) and dataset.splits == ("train", "validation")
    table = list(dataset.segments("train"))
    assert [segment.segment_id for segment in table] == [f"{SESSIONS[0]}_{line}" for line in (2, 3, 6)]
    assert [dataset.vocabulary.action_name(segment.action) for segment in table] == [
        "cut cucumber",
        "sauté tofu",
        "carry pot lid",
    ]
    first = table[0]
    assert (first.start, first.stop, first.participant_id) == (1.5, 2.75, "YH2002")
    assert first.video_id == "YH2002_2023_12_04_10_15_23_hololens"
    assert dataset.groups("train") == {CONFUSED: {f"{SESSIONS[0]}_3", f"{SESSIONS[0]}_6"}}
    assert dataset.vocabulary.count(first.action, "train") == 1 and len(dataset.vocabulary.actions) == 4
    assert len(dataset.segments(ALL)) == 6 and len(dataset.files(ALL)) == 2
    assert set(dataset.sources("validation")) == {
        "benchmarks/action_segmentation/config.yaml",
        "benchmarks/action_segmentation/data/split_file_85_25_fixed_test.txt",
        "pose/YH2025/2023_09_08_09_06_51/annotations/actions_annotation.xlsx",
    }


def test_rows_without_noun_or_class_are_counted_and_bad_ones_named(tmp_path: Path) -> None:
    dataset = EpflSmartKitchen(folder_of(tmp_path))
    dataset.segments("train")
    book = "pose/YH2002/2023_12_04_10_15_23/annotations/actions_annotations.xlsx"
    said = [str(remark) for remark in dataset.remarks]
    assert f"{book}:4: 2 rows have no noun and are left out; this is the first" in said
    assert f"{book}:5: 1 rows are none of the 4 classes and are left out; this is the first" in said
    assert any(text.startswith(f"{book}:7: ") and "must be greater than start" in text for text in said)
    left_out, rows = dataset.refused("train")
    assert sorted(remark.line for remark in left_out) == [4, 5, 7, 8] and rows == 7


def test_what_is_not_in_its_form_is_named_with_file_and_line(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", head=["Start", "End", "Verb", "Nouns", "Confusion"])
    with pytest.raises(InputError, match=r"lacks the column\(s\) verbs") as refused:
        EpflSmartKitchen(folder).segments("train")
    assert refused.value.line == 1
    home = folder / "benchmarks" / "action_segmentation"
    split = home / "data" / "split_file_85_25_fixed_test.txt"
    for text, problem, line in (
        (f"{SESSIONS[0]}\n", "stands above the first split", 1),
        (f"Training videos:\n{SESSIONS[0]}\n{SESSIONS[0]}\n", "is also on line 2", 3),
        ("Odd videos:\n", "begins no split", 1),
    ):
        split.write_text(text)
        with pytest.raises(InputError, match=problem) as refused:
            EpflSmartKitchen(folder)
        assert (refused.value.file, refused.value.line) == (split, line)
    split.unlink()
    with pytest.raises(InputError, match="holds 0 split files"):
        EpflSmartKitchen(folder)
    (home / "config.yaml").write_text("a: 1\nlist_of_actions: ['Cut__Tofu',\n 'Cut']\n")
    with pytest.raises(InputError, match="'Cut' is no class such as"):
        EpflSmartKitchen(folder)
