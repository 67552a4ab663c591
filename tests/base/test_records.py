from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llavaction.base.errors import InputError
from llavaction.base.records import Record, read_json, read_lines, read_records, write_records, write_text
from llavaction.base.registry import resolve
from llavaction.base.seeding import hashed_rng, hashed_seed


class Point(Record):
    name: str
    x: float


def test_round_trip(tmp_path: Path):
    points = [Point(name="é", x=1.5), Point(name="b", x=-2)]
    assert write_records(tmp_path / "p.jsonl", points) == 2
    assert list(read_records(tmp_path / "p.jsonl", Point)) == points


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"name": "a"}', "p.jsonl:2: not a valid Point: x: Field required"),
        ('{"name": "a", "x": 1, "nmae": 2}', "nmae: unknown key; did you mean 'name'"),
        ('{"name": "a", "x": "far"}', r"x: .*\(found 'far'\)"),
        ("{", "p.jsonl:2: not JSON"),
    ],
)
def test_errors_name_file_line_and_field(tmp_path: Path, line: str, message: str):
    (tmp_path / "p.jsonl").write_text('{"name": "a", "x": 1}\n' + line + "\n")
    with pytest.raises(InputError, match=message):
        list(read_records(tmp_path / "p.jsonl", Point))


def test_a_torn_last_line_is_forgiven_in_a_journal_only(tmp_path: Path):
    (tmp_path / "p.jsonl").write_text('{"name": "a", "x": 1}\n{"name": "b", "x')
    assert [point.name for point in read_records(tmp_path / "p.jsonl", Point, journal=True)] == ["a"]
    with pytest.raises(InputError, match=r"p\.jsonl:2"):
        list(read_records(tmp_path / "p.jsonl", Point))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "p.txt"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_impossible_folder_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "file" / "p.txt", "new")


def test_json_errors_name_the_line(tmp_path: Path):
    (tmp_path / "a.json").write_text('{\n "a": 1,\n}')
    with pytest.raises(InputError, match=r"a.json:[23]: not JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "b.json")


def test_seeds_depend_on_names_only():
    code = "from llavaction.base.seeding import hashed_rng; print(hashed_rng('a', 1).random())"
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert drawn == {f"{hashed_rng('a', 1).random()}\n".encode()}
    assert len({hashed_seed("a", 1), hashed_seed("a", "1"), hashed_seed("a1"), hashed_seed("a", 1, "")}) == 4


def test_registry_suggests():
    with pytest.raises(InputError, match="unknown colour 'gren'\n  hint: did you mean 'green'"):
        resolve({"green": "a:b", "red": "a:c"}, "gren", "colour")


def test_a_file_of_blank_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "few.jsonl").write_text('"a"\n' + "\n" * 1000 + '"b"\n')
    assert [value for _, value in read_lines(tmp_path / "few.jsonl")] == ["a", "b"]
    (tmp_path / "many.jsonl").write_text('"a"\n' + "\n" * 100_001)
    with pytest.raises(InputError, match=r"many.jsonl:100002: has more than 100,000 blank lines"):
        list(read_lines(tmp_path / "many.jsonl"))
