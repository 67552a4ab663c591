from __future__ import annotations

from pathlib import Path

import pytest

from helpers.annotation_files import HEADER, segment_row, write_annotations
from llavaction.base.errors import InputError
from llavaction.datasets.epic_kitchens import EpicKitchens, seconds


def test_reads_segments(tmp_path: Path):
    rows = [segment_row(0, "P01_11", 0.0, 1.89, 0, 0, nouns=(5,)), segment_row(1, "P01_11", 3661.56, 3662.45, 1, 1)]
    table = EpicKitchens(write_annotations(tmp_path, {"validation": rows})).segments("validation")
    first, second = table
    assert (first.start, first.stop, first.action, first.all_noun_classes) == (0.0, 1.89, (0, 0), (0, 5))
    assert (second.start, second.participant_id, second.narration) == (3661.56, "P01", "put chopping board")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (segment_row(1, "P01_11", 1.0, 2.0, 0, 0).replace("00:00:01.00", ""), "timestamp ''"),
        (segment_row(1, "P01_11", 3.0, 2.0, 0, 0), "must be greater than start"),
        (segment_row(1, "P01_11", 1.0, 2.0, 0, 0).replace(",0,plate,0,", ",0,plate,77,"), "noun_class 77 is not in"),
        (segment_row(1, "P01_11", 1.0, 2.0, 0, 0).replace(",0,plate,0,", ",x,plate,0,"), "verb_class 'x'"),
        (segment_row(1, "P01_11", 1.0, 2.0, 0, 0).replace('"[0]"', "plate"), "is not a list"),
        (segment_row(0, "P01_11", 5.0, 6.0, 0, 0), "also on line 2"),
    ],
)
def test_a_bad_row_is_left_out_and_named(tmp_path: Path, line: str, message: str):
    rows = [segment_row(0, "P01_11", 0.0, 1.0, 0, 0), line, segment_row(2, "P01_11", 3.0, 4.0, 1, 1)]
    dataset = EpicKitchens(write_annotations(tmp_path, {"validation": rows}))
    assert [segment.segment_id for segment in dataset.segments("validation")] == ["P01_11_0", "P01_11_2"]
    (remark,) = dataset.remarks
    assert (remark.file, remark.line, remark.refused) == ("EPIC_100_validation.csv", 3, True)
    assert message in remark.what


def test_missing_narration_timestamp_and_narration_are_no_fault(tmp_path: Path):
    cells = segment_row(0, "P01_11", 0.0, 1.0, 0, 0).split(",")
    cells[3] = cells[8] = ""
    dataset = EpicKitchens(write_annotations(tmp_path, {"validation": [",".join(cells)]}))
    assert dataset.segments("validation")["P01_11_0"].narration == ""
    assert dataset.remarks == []


def test_a_segment_past_the_end_is_kept_and_remarked(tmp_path: Path):
    folder = write_annotations(tmp_path, {"validation": [segment_row(0, "P01_11", 9.0, 11.0, 0, 0)]})
    (folder / "EPIC_100_video_info.csv").write_text("video_id,duration,fps,resolution\nP01_11,10.0,50,1x1\n")
    dataset = EpicKitchens(folder)
    assert len(dataset.segments("validation")) == 1
    assert "stops at 11.00 s, the video at 10.00 s" in str(dataset.remarks[0])


def test_says_what_is_lost_without_train(tmp_path: Path):
    dataset = EpicKitchens(write_annotations(tmp_path, {"validation": [segment_row(0, "P01_11", 0.0, 1.0, 0, 0)]}))
    assert dataset.vocabulary.actions == ((0, 0),)
    assert any("no EPIC_100_train.csv" in note for note in dataset.notes)


def test_only_a_copy_of_a_split_file_stands_in_for_it(tmp_path: Path):
    folder = write_annotations(tmp_path, {"validation": [segment_row(0, "P01_11", 0.0, 1.0, 0, 0)]})
    (folder / "EPIC_100_test_timestamps.csv").write_text("narration_id\n")
    dataset = EpicKitchens(folder)
    assert dataset.splits == ("validation",)
    assert dataset.notes == []
    with pytest.raises(InputError, match=r"no EPIC_100_val\.csv"):
        dataset.segments("val")
    (folder / "EPIC_100_validation.csv").rename(folder / "EPIC_100_validation_copy.csv")
    dataset = EpicKitchens(folder)
    assert len(dataset.segments("validation")) == 1
    assert "EPIC_100_validation_copy.csv is used in its place" in dataset.notes[0]


def test_segments_whose_classes_are_kept_back(tmp_path: Path):
    folder = write_annotations(tmp_path, {"validation": [segment_row(0, "P01_11", 0.0, 1.0, 0, 0)]})
    head = "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,start_frame,stop_frame"
    rows = ["P02_3_0,P02,P02_3,00:00:01.00,00:00:02.50,60,150", "P02_3_1,P02,P02_3,00:00:03.00,00:00:02.50,60,150"]
    (folder / "EPIC_100_test_timestamps.csv").write_text("\n".join([head, *rows]) + "\n")
    (folder / "EPIC_100_unseen_participant_ids_test.csv").write_text("participant_id\nP02\n")
    dataset = EpicKitchens(folder)
    (segment,) = dataset.segments("test", unlabelled=True)
    assert (segment.segment_id, segment.participant_id, segment.start, segment.stop) == ("P02_3_0", "P02", 1.0, 2.5)
    assert (segment.labelled, segment.action, segment.narration, segment.all_noun_classes) == (False, (-1, -1), "", ())
    assert dataset.groups("test") == {"unseen participants": {"P02_3_0"}}
    assert (dataset.remarks[0].line, dataset.notes) == (3, [])
    assert dataset.splits == ("validation",)
    with pytest.raises(InputError, match="its segments can only be predicted and recognised"):
        dataset.segments("test")
    assert all(segment.labelled for segment in dataset.segments("validation", unlabelled=True))


@pytest.mark.parametrize("name", ["EPIC_100_test.csv", "EPIC_100_test_timestamps.csv", "test.csv"])
def test_any_table_without_classes_is_a_list_of_segments(tmp_path: Path, name: str):
    folder = write_annotations(tmp_path / "annotations", {"validation": [segment_row(0, "P01_11", 0.0, 1.0, 0, 0)]})
    (folder / name).write_text("id,video,start,end\na,P02_3,00:00:01.00,2.5\nb,P02_3,4,\n")
    dataset = EpicKitchens(folder)
    (segment,) = dataset.segments("test", unlabelled=True)
    assert (segment.segment_id, segment.video_id, segment.start, segment.stop) == ("a", "P02_3", 1.0, 2.5)
    assert not segment.labelled and dataset.splits == ("validation",)
    assert [(remark.file, remark.line, remark.refused) for remark in dataset.remarks] == [(name, 3, True)]
    with pytest.raises(InputError, match=r"no EPIC_100_test\.csv") as refused:
        dataset.segments("test")
    assert "can only be predicted and recognised" in str(refused.value.hint)
    (folder / name).write_text("id,video,start\na,P02_3,1\n")
    with pytest.raises(InputError, match=r"lacks the column\(s\) stop"):
        EpicKitchens(folder).segments("test", unlabelled=True)


def test_a_foreign_card_beside_the_folder_is_not_taken_for_ours(tmp_path: Path):
    rows = [segment_row(0, "P01_11", 0.0, 1.0, 0, 0).replace('"[0]"', '"[None]"'), segment_row(1, "P01_11", 1, 2, 0, 0)]
    folder = write_annotations(tmp_path / "annotations", {"validation": rows})
    (tmp_path / "dataset.json").write_text('[{"a": 1}]')
    dataset = EpicKitchens(folder)
    assert (dataset.name, dataset.licence) == ("annotations", "not stated")
    assert [segment.segment_id for segment in dataset.segments("validation")] == ["P01_11_1"]


def test_name_and_licence(tmp_path: Path):
    folder = write_annotations(tmp_path / "mice", {"validation": [segment_row(0, "P01_11", 0.0, 1.0, 0, 0)]})
    assert (EpicKitchens(folder).name, EpicKitchens(folder).licence) == ("mice", "not stated")
    verbs = folder / "EPIC_100_verb_classes.csv"
    verbs.write_text("id,key,instances\n0,take,[]\n1,put,[]\n2,wash,[]\n3,open,[]\n")
    dataset = EpicKitchens(folder)
    assert dataset.name == "EPIC-KITCHENS-100" and dataset.licence.startswith("CC BY-NC 4.0")
    (tmp_path / "dataset.json").write_text('{"name": "Mice", "licence": "CC0"}')
    assert (EpicKitchens(folder).name, EpicKitchens(folder).licence) == ("Mice", "CC0")


def test_clear_errors(tmp_path: Path):
    with pytest.raises(InputError, match="no such annotation folder"):
        EpicKitchens(tmp_path / "nowhere")
    folder = write_annotations(tmp_path / "a", {"validation": [segment_row(0, "P01_11", 0.0, 1.0, 0, 0)]})
    with pytest.raises(InputError, match="splits found here: validation"):
        EpicKitchens(folder).segments("train")
    (folder / "EPIC_100_validation.csv").write_text(HEADER.replace("stop_timestamp", "stop") + "\n")
    with pytest.raises(InputError, match=r"EPIC_100_validation.csv:1: lacks the column\(s\) stop_timestamp"):
        EpicKitchens(folder).segments("validation")
    (folder / "EPIC_100_verb_classes.csv").write_text("id,key,instances\n0,take,take\n")
    with pytest.raises(InputError, match=r"EPIC_100_verb_classes.csv:2: 'take' is not a list"):
        EpicKitchens(folder)


@pytest.mark.parametrize(
    ("text", "value"), [("00:00:00.56", 0.56), ("01:01:01.5", 3661.5), ("02:03", 123.0), ("7", 7.0)]
)
def test_seconds(text: str, value: float):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "nan:x", "1:2:3:4", "00:00:-1"])
def test_bad_timestamps(text: str):
    with pytest.raises(InputError, match="HH:MM:SS"):
        seconds(text)


def test_real_files(shared: Path):
    dataset = EpicKitchens(shared / "data" / "ek100")
    assert len(dataset.segments("validation")) == 9668
    assert len(dataset.segments("train")) == 67217
    (remark,) = dataset.remarks
    assert (remark.line, remark.refused) == (8546, False)
    sizes = {name: len(members) for name, members in dataset.groups("validation").items()}
    assert sizes == {"tail verbs": 1760, "tail nouns": 1900, "unseen participants": 1065, "tail actions": 3105}
