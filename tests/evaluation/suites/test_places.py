"""Where a suite's files are looked for, and what is said of those that are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.evaluation.suites.config import Entry
from llavaction.evaluation.suites.places import Missing, Ready, locate, read_places

ENTRY = Entry(
    name="quiz",
    like="nextqa",
    describe={"expected": {"rows": 2}},
    files={"file": "*.csv", "lookup.answer.file": "answers.json"},
    beside=("more.json",),
    get="https://example.org",
)


def test_a_description_is_written_that_names_the_files(tmp_path: Path) -> None:
    folder, described = tmp_path / "quiz", tmp_path / "out" / "quiz.yaml"
    (folder / "videos").mkdir(parents=True)
    found = locate(ENTRY, folder, described)
    lacking = f"no {folder / '*.csv'}, {folder / 'answers.json'}, {folder / 'more.json'}; get it: https://example.org"
    assert found == Missing(lacking)
    for name in ("a.csv", "answers.json", "more.json"):
        (folder / name).write_text("")
    assert locate(ENTRY, folder, described) == Ready(described, None)
    assert read_yaml(described) == {
        "like": "nextqa",
        "expected": {"rows": 2},
        "file": str(folder / "*.csv"),
        "lookup": {"answer": {"file": str(folder / "answers.json")}},
        "videos": str(folder / "videos"),
    }
    written = described.stat().st_mtime_ns
    assert locate(ENTRY, folder, described) == Ready(described, None) and described.stat().st_mtime_ns == written


def test_own_descriptions_and_benchmark_folders_come_first(tmp_path: Path) -> None:
    folder, described = tmp_path / "quiz", tmp_path / "out.yaml"
    folder.mkdir()
    bare = Entry(name="quiz", optional={"videos": "../films"})
    assert locate(bare, folder, described) == Missing(f"no {folder / 'questions.jsonl'}")
    (folder / "questions.jsonl").write_text("")
    assert locate(bare, folder, described) == Ready(folder, None)
    (tmp_path / "films").mkdir()
    assert locate(bare, folder, described) == Ready(folder, folder / "../films")
    (folder / "quiz.yaml").write_text("")
    assert locate(ENTRY, folder, described) == Ready(folder / "quiz.yaml", None)
    assert not described.exists()


def test_places_are_a_folder_or_a_file(tmp_path: Path) -> None:
    assert read_places(tmp_path, ("a", "b")) == {"a": tmp_path / "a", "b": tmp_path / "b"}
    file = tmp_path / "places.yaml"
    file.write_text("a: elsewhere/a\n")
    places = read_places(file, ("a", "b"))
    assert places == {"a": tmp_path / "elsewhere/a"}
    assert locate(ENTRY, places.get("b"), file) == Missing("no place is told; get it: https://example.org")
    assert "no folder" in str(locate(ENTRY, places["a"], file))
    for text, problem in (("[a]\n", "expected lines"), ("a: 3\n", "expected lines"), ("c: x\n", "'c' is none of")):
        file.write_text(text)
        with pytest.raises(InputError, match=problem):
            read_places(file, ("a", "b"))
    with pytest.raises(InputError, match="no such folder of data"):
        read_places(tmp_path / "nowhere", ("a",))
