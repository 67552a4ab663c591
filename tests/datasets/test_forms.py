"""One annotation folder in the forms other tools give it: the same segments, or what is wrong, by file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.annotation_files import HEADER, random_rows, segment_row, write_annotations
from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.datasets.cells import CellReader, seconds
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.datasets.registry import open_annotations

Rows = list[list[str]]
FILE = "EPIC_100_validation.csv"


def folder_of(path: Path) -> Path:
    folder = write_annotations(path, {"validation": random_rows(3, 20, 0), "train": random_rows(3, 20, 1)})
    videos = "".join(f"P{v + 1:02d}_{v:02d},60.0,50,1x1\n" for v in range(3))
    (folder / "EPIC_100_video_info.csv").write_text(f"video_id,duration,fps,resolution\n{videos}")
    return folder


def read(folder: Path) -> tuple[list[Segment], EpicKitchens]:
    dataset = EpicKitchens(folder)
    return list(dataset.segments("validation")), dataset


def rewritten(path: Path, change: Callable[[Rows], Rows], encoding: str = "utf-8", delimiter: str = ",") -> None:
    rows = list(csv.reader(io.StringIO(path.read_text())))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", delimiter=delimiter).writerows(change(rows))
    path.write_bytes(text.getvalue().encode(encoding))


def column(name: str, change: Callable[[str], str]) -> Callable[[Rows], Rows]:
    place = HEADER.split(",").index(name)
    return lambda rows: [rows[0], *([*row[:place], change(row[place]), *row[place + 1 :]] for row in rows[1:])]


def both(*changes: Callable[[Rows], Rows]) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        for one in changes:
            rows = one(rows)
        return rows

    return change


FORMS: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "decimal comma": (column("start_timestamp", lambda v: v.replace(".", ",")), "comma is read as the decimal point"),
    "float classes": (column("noun_class", lambda v: f"{v}.0"), "read as whole numbers"),
    "plain seconds": (
        both(*(column(f"{end}_timestamp", lambda v: str(seconds(v))) for end in ("start", "stop"))),
        "read as seconds",
    ),
    "minutes": (column("stop_timestamp", lambda v: v.removeprefix("00:")), ""),
    "json lists": (column("all_nouns", lambda v: v.replace("'", '"')), ""),
    "suffix": (column("video_id", lambda v: f"{v}.MP4"), "video_id 'P01_00.MP4' is read as 'P01_00', and 2 others"),
    "folder": (column("video_id", lambda v: f"{v[:3]}/videos/{v}.mp4"), "is read as 'P01_00', and 2 others"),
    "windows folder": (column("video_id", lambda v: f"D:\\{v[:3]}\\{v}.avi"), "is read as 'P01_00', and 2 others"),
    "lower case": (column("video_id", str.lower), "'p01_00' is taken for 'P01_00' of EPIC_100_video_info.csv"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_segments(tmp_path: Path, form: str) -> None:
    folder = folder_of(tmp_path)
    expected, _ = read(folder)
    change, said = FORMS[form]
    rewritten(folder / FILE, change)
    found, dataset = read(folder)
    assert len(found) == 60
    assert found == expected
    assert dataset.remarks == []
    notes = [note for note in dataset.notes if note.startswith(FILE)]
    assert any(said in note for note in notes) if said else notes == []


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-16", "\t"), ("utf-8-sig", ";"), ("cp1252", ",")])
def test_every_file_in_another_form(tmp_path: Path, encoding: str, delimiter: str) -> None:
    folder = folder_of(tmp_path)
    expected, plain = read(folder)
    for path in folder.glob("*.csv"):
        rewritten(path, lambda rows: rows, encoding, delimiter)
    found, dataset = read(folder)
    assert (found, dataset.verbs, dataset.nouns, dataset.videos) == (expected, plain.verbs, plain.nouns, plain.videos)


def test_times_in_another_unit_are_an_error_not_a_guess(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    milliseconds = [
        column(f"{end}_timestamp", lambda v: str(int(1000 * seconds(v)) + 100)) for end in ("start", "stop")
    ]
    rewritten(folder / FILE, both(*milliseconds))
    with pytest.raises(InputError, match=r"has no usable row") as error:
        read(folder)
    assert "P01_00_0 starts at 100.00 s, the video ends at 60.00 s; are the times in seconds?" in str(error.value)
    (folder / "EPIC_100_video_info.csv").unlink()
    _, dataset = read(folder)
    assert any("if they are milliseconds or frame numbers" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("00:00:05:12", "depend on the rate"),
        ("1,500", "may be 1.500 or 1500 seconds"),
        ("00:75:03", "60 or more"),
        ("9000000", "more than ten days"),
        ("nan", "is not HH:MM:SS"),
        ("inf", "is not HH:MM:SS"),
        ("1e5", "is not HH:MM:SS"),
        ("1_0", "is not HH:MM:SS"),
        ("٣", "is not HH:MM:SS"),
        ("-1", "is not HH:MM:SS"),
    ],
)
def test_times_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"), [("75:03.5", 4503.5), ("01:02:03,25", 3723.25), (" 2.82 ", 2.82), (",5", 0.5), ("3.", 3.0)]
)
def test_times_as_people_write_them(text: str, value: float) -> None:
    assert seconds(text) == value


def test_missing_lists_and_numbers_that_are_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    rewritten(folder / FILE, column("all_noun_classes", lambda v: "nan"))
    found, dataset = read(folder)
    assert all(segment.all_noun_classes == (segment.noun_class,) for segment in found)
    assert any("all_noun_classes 'nan' and the like are read as an empty list" in note for note in dataset.notes)
    info = folder / "EPIC_100_video_info.csv"
    info.write_text('video_id,duration,fps\na,nan,50\nb,10,inf\nc,-1,50\nd,1e400,50\ne,"12,5",30\n')
    dataset = EpicKitchens(folder)
    assert {name: facts.duration for name, facts in dataset.videos.items()} == {"e": 12.5}
    assert [remark.line for remark in dataset.remarks] == [2, 3, 4, 5]


def test_videos_of_one_name_in_two_folders_stay_two(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "EPIC_100_video_info.csv").unlink()
    names = iter(["x/1.mp4", "y/1.mp4", "y/2.mp4"] * 20)
    rewritten(folder / FILE, column("video_id", lambda _: next(names)))
    assert {segment.video_id for segment in read(folder)[0]} == {"x/1", "y/1", "2"}


def test_a_file_joined_with_itself_is_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    rewritten(folder / FILE, lambda rows: [*rows, *([f"again_{row[0]}", *row[1:]] for row in rows[1:])])
    found, dataset = read(folder)
    assert len(found) == 120
    assert any("60 segments have the video, times and classes of another one" in note for note in dataset.notes)


def test_an_open_quote_names_its_line_and_costs_one_row(tmp_path: Path) -> None:
    """README's own columns, none quoted: nothing would ever close the quote."""
    folder = folder_of(tmp_path)
    names = ["narration_id", "participant_id", "video_id", "start_timestamp", "stop_timestamp", "narration"]
    keep = [HEADER.split(",").index(name) for name in (*names, "verb_class", "noun_class")]
    lines = [",".join(row[i] for i in keep) for row in csv.reader(io.StringIO((folder / FILE).read_text()))]
    cells = lines[30].split(",")
    lines[30] = ",".join([*cells[:5], f'"{cells[5]}', *cells[6:]])
    (folder / FILE).write_text("\n".join(lines) + "\n")
    found, dataset = read(folder)
    assert len(found) == 59
    (remark,) = dataset.remarks
    assert (remark.line, remark.refused) == (31, True)
    assert "a quote" in remark.what


def test_a_class_row_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    path = folder / "EPIC_100_verb_classes.csv"
    path.write_text(path.read_text().replace("1,put,", '1,"put,'))
    with pytest.raises(InputError, match=r"verb_classes.csv:3: .*quote"):
        EpicKitchens(folder)


def test_a_comma_may_part_thousands_or_decimals(tmp_path: Path) -> None:
    assert seconds("0,652") == 0.652  # no thousands begin with 0
    reader = CellReader(tmp_path / "x.csv")
    assert [reader.number(text, "duration") for text in ("12,5", "0,652", "1652")] == [12.5, 0.652, 1652]
    with pytest.raises(InputError, match=r"duration '1,652' may be 1\.652 or 1652"):
        reader.number("1,652", "duration")


@pytest.mark.parametrize("nothing", ["nan", "NA", "NaN", "None", "null", "n/a", "N/A", "-", " nan "])
def test_a_cell_that_says_nothing_is_no_label(tmp_path: Path, nothing: str) -> None:
    rows = ["v1,0,1,run", f"v1,1,2,{nothing}", "v2,0,1,rear", f"v2,1,2,{nothing}", "v2,2,3,run"]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mice.csv").write_text("\n".join(["video_id,start,stop,label", *rows]) + "\n")
    dataset = open_annotations(tmp_path / "a")
    assert [label.key for label in dataset.verbs.values()] == ["rear", "run"]
    assert len(dataset.segments("all")) == 3
    assert [(remark.line, remark.refused) for remark in dataset.remarks] == [(3, True), (5, True)]
    assert str(dataset.remarks[0]) == f"mice.csv:3: has no label ('{nothing.strip()}') (row left out)"


def test_a_narration_that_says_nothing_is_none_and_a_class_needs_a_name(tmp_path: Path) -> None:
    rows = [segment_row(0, "P01_01", 0, 1, 0, 0, text="nan"), segment_row(1, "P01_01", 1, 2, 0, 0, text="take it")]
    folder = write_annotations(tmp_path, {"train": rows})
    dataset = open_annotations(folder)
    assert [segment.narration for segment in dataset.segments("train")] == ["", "take it"]
    assert dataset.vocabulary.narrations_of((0, 0)) == {"take it": 1}
    path = folder / "EPIC_100_noun_classes.csv"
    path.write_text(path.read_text().replace("2,knife,", "2,None,"))
    with pytest.raises(InputError, match="has no key"):
        open_annotations(folder)
