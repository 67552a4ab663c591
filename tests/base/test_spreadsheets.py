"""Sheets of workbooks."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from helpers.workbooks import MAIN, write_workbook
from llavaction.base.errors import InputError
from llavaction.base.spreadsheets import Workbook

ROWS = [["Video", " Note ", None, "Count"], ["a & b", None, None, 3], [None, None, None, None], ["c", "<x>", "y", 2.5]]


@pytest.mark.parametrize("inline", [False, True])
def test_cells_come_out_as_texts_under_their_columns(tmp_path: Path, inline: bool) -> None:
    book = Workbook(write_workbook(tmp_path / "b.xlsx", {"one": [["x"]], "two & more": ROWS}, inline=inline))
    assert book.sheets == ("one", "two & more")
    columns, rows = book.table("two & more")
    assert columns == ("video", "note", "", "count")
    assert [(row.line, dict(row.cells)) for row in rows] == [
        (2, {"video": "a & b", "note": "", "count": "3"}),
        (4, {"video": "c", "note": "<x>", "count": "2.5"}),
    ]


def test_rich_texts_are_joined_and_pronunciations_left_out(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "b.xlsx", {"s": [["head"], ["Yawning"]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    parts["xl/sharedStrings.xml"] = (
        f'<sst xmlns="{MAIN}"><si><t>head</t></si>'
        "<si><r><t>Yaw</t></r><r><t>ning</t></r><rPh><t>joo-ning</t></rPh></si></sst>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    _, rows = Workbook(path).table("s")
    assert [row.cells["head"] for row in rows] == ["Yawning"]


def _broken(tmp_path: Path, part: str, text: str) -> Path:
    path = write_workbook(tmp_path / "b.xlsx", {"s": [["head"], ["x"]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    parts[part] = text
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("part", "text", "problem"),
    [
        ("xl/worksheets/sheet1.xml", "<worksheet><sheetData><row>", r"'xl/worksheets/sheet1.xml' is damaged"),
        (
            "xl/worksheets/sheet1.xml",
            '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><worksheet>&b;</worksheet>',
            "declares a document type",
        ),
        ("xl/worksheets/sheet1.xml", f'<worksheet xmlns="{MAIN}"><sheetData/></worksheet>', "sheet 's' is empty"),
        (
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{MAIN}"><row r="1"><c r="A1" t="s"><v>99</v></c></row></worksheet>',
            "damaged",
        ),
    ],
)
def test_what_is_damaged_is_said(tmp_path: Path, part: str, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        list(Workbook(_broken(tmp_path, part, text)).table("s")[1])


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_text("video,labels\n")
    with pytest.raises(InputError, match="no zip file") as refused:
        Workbook(tmp_path / "t.xlsx")
    assert refused.value.hint == "save the sheet as CSV"
    with zipfile.ZipFile(tmp_path / "z.xlsx", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(InputError, match=r"is no .xlsx workbook: it lacks xl/_rels/workbook.xml.rels"):
        Workbook(tmp_path / "z.xlsx")
    with pytest.raises(InputError, match="has no sheet 'AR'; found s"):
        Workbook(write_workbook(tmp_path / "b.xlsx", {"s": [["x"]]})).table("AR")
