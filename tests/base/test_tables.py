from __future__ import annotations

import re
from pathlib import Path

import pytest

from llavaction.base.errors import InputError
from llavaction.base.tables import Table

COLUMNS = ("id", "text", "start")
ROWS = [("a", "take plate", "0.5"), ("b", "wash, dry", "1.5"), ("c", 'the 6" pan', "2.5")]
PLAIN = 'id,text,start\na,take plate,0.5\nb,"wash, dry",1.5\nc,"the 6"" pan",2.5\n'


def read(path: Path, raw: bytes | str) -> tuple[list[tuple[str, ...]], list[tuple[int, str]], list[str]]:
    """Cells of good rows, (line, fault) of others, and notes."""
    path.write_bytes(raw.encode() if isinstance(raw, str) else raw)
    table = Table(path, COLUMNS)
    rows = list(table)
    good = [tuple(row.cells[name] for name in COLUMNS) for row in rows if not row.fault]
    return good, [(row.line, row.fault) for row in rows if row.fault], table.notes


FORMS = {
    "plain": (PLAIN, ""),
    "bom and crlf": (b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode(), ""),
    "cr only": (PLAIN.replace("\n", "\r"), ""),
    "no last break": (PLAIN.strip(), ""),
    "blank lines": ("\n\n" + PLAIN.replace("\n", "\n\n , ,\n"), ""),
    "utf-16": (PLAIN.encode("utf-16"), "UTF-16"),
    "utf-16 without mark": (PLAIN.encode("utf-16-le"), "UTF-16-LE"),
    "tabs": ("id\ttext\tstart\na\ttake plate\t0.5\nb\twash, dry\t1.5\nc\tthe 6\" pan\t2.5\n", "line 1: .*tabs"),
    "semicolons": ('id;text;start\na;take plate;0.5\nb;"wash, dry";1.5\nc;the 6" pan;2.5\n', "semicolons"),
    "sep line": ('sep=;\nid;text;start\na;take plate;0.5\nb;wash, dry;1.5\nc;the 6" pan;2.5\n', "line 2: .*semicolons"),
    "bars": ('id|text|start\na|take plate|0.5\nb|wash, dry|1.5\nc|the 6" pan|2.5\n', "bars"),
    "index": (",id,text,start\n" + "".join(f"{i},{line}\n" for i, line in enumerate(PLAIN.splitlines()[1:])), ""),
    "capitals": (PLAIN.replace("id,text,start", "ID, Text ,START"), "'ID' as 'id', 'Text ' as 'text'"),
    "blanks": (PLAIN.replace(",", " , ").replace('"wash ,  dry"', '"wash, dry"'), "blanks around cells"),
    "excel's empty columns": ("".join(line + ",,\n" for line in PLAIN.splitlines()), ""),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_same_table(tmp_path: Path, form: str) -> None:
    raw, said = FORMS[form]
    good, faults, notes = read(tmp_path / "t.csv", raw)
    assert (good, faults) == (ROWS, [])
    if said:
        assert any(re.search(said, note) for note in notes)
    else:
        assert notes == []


def test_western_european_text_is_read_and_said(tmp_path: Path) -> None:
    good, faults, notes = read(tmp_path / "t.csv", PLAIN.replace("plate", "crème brûlée").encode("cp1252"))
    assert good[0] == ("a", "take crème brûlée", "0.5")
    assert faults == []
    assert notes[0].startswith("line 2: byte 0xe8 is not UTF-8")


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("line", [2, 9, 59, 60])
def test_a_quote_that_is_not_closed_costs_its_own_row_only(tmp_path: Path, line: int, quoted: bool) -> None:
    """Also where a quote of a later row would close it, and where the next row has a stray quote as well."""
    text = '"take, plate"' if quoted else "take plate"
    lines = ["id,text,start", *(f"r{number},{text},{number}.5" for number in range(2, 61))]
    lines[line - 1] = f'r{line},"6 inch pan,{line}.5'
    good, faults, _ = read(tmp_path / "t.csv", "\n".join(lines) + "\n")
    assert [row[0] for row in good] == [f"r{number}" for number in range(2, 61) if number != line]
    assert [(where, "quote" in what) for where, what in faults] == [(line, True)]
    lines[line - 2 if line > 2 else line] = f'rx,"5 inch,{line}.5'
    good, faults, _ = read(tmp_path / "t.csv", "\n".join(lines) + "\n")
    assert len(good) == 57
    assert len(faults) == 2


def test_cells_of_several_lines_are_one_row(tmp_path: Path) -> None:
    good, faults, _ = read(tmp_path / "t.csv", 'id,text,start\na,"take\n\nthe plate",0.5\n"b\n2",x,"1\n"\nc,y,2\n')
    assert good == [("a", "take\n\nthe plate", "0.5"), ("b\n2", "x", "1"), ("c", "y", "2")]
    assert faults == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,take, the plate,0.5", "4 cells, the header has 3"),
        ('a,"take "the" plate",0.5', "write it twice"),
        ("a,ta\0ke,0.5", "NUL"),
        ("a," + "x" * 200_000 + ",0.5", "field larger than field limit"),
        ("a," + "x" * (1 << 21) + ",0.5", "longer than 1,048,576"),
    ],
)
def test_rows_that_cannot_be_read_are_named(tmp_path: Path, row: str, message: str) -> None:
    good, faults, _ = read(tmp_path / "t.csv", f"id,text,start\nb,x,1\n{row}\nc,y,2\n")
    assert [cells[0] for cells in good] == ["b", "c"]
    ((line, what),) = faults
    assert line == 3
    assert message in what


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"id,text\n", r"t.csv:1: lacks the column\(s\) start; found \['id', 'text'\]"),
        (b"id,text,start,Text\n", "two columns 'text'"),
        (b'id,"text,start\n', r"t.csv:1: lacks|quote that is not closed"),
        (b"\xff\xfei\x00d\x00", "lacks the column"),
        (b"\xff\xfe\x00\xd8", "is not UTF-16 text"),
    ],
)
def test_files_that_are_no_such_table(tmp_path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path / "t.csv", raw)
