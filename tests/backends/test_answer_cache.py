from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from llavaction.backends.answer_cache import AnswerCache, default_file

KEY, OTHER = b"k" * 32, b"o" * 32


def test_what_is_put_is_got_by_the_next_to_open_the_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "answers.sqlite"
    first = AnswerCache(path)
    first.put({KEY: b"one", OTHER: b"two"})
    assert AnswerCache(path).get([KEY, OTHER, b"x" * 32]) == {KEY: b"one", OTHER: b"two"}
    first.put({KEY: b"three"})
    assert (first.get([KEY]), len(first)) == ({KEY: b"three"}, 2)


WRITER = """
import sys
from llavaction.backends.answer_cache import AnswerCache
cache, name = AnswerCache(sys.argv[1]), sys.argv[2]
for number in range(200):
    cache.put({f"{name}{number:031d}".encode(): f"{name} {number}".encode(), b"s" * 32: name.encode()})
print(cache.usable)
"""


def test_three_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdout=subprocess.PIPE, text=True)
        for name in "abc"
    ]
    assert [writer.communicate()[0].strip() for writer in writers] == ["True"] * 3
    cache = AnswerCache(path)
    assert len(cache) == 601
    keys = {f"{name}{number:031d}".encode(): f"{name} {number}".encode() for name in "abc" for number in range(200)}
    assert cache.get(keys) == keys


def not_a_database(path: Path) -> None:
    path.write_text("this is a diary, not a database\n" * 100)


def cut_off(path: Path) -> None:
    AnswerCache(path).close()
    path.write_bytes(path.read_bytes()[:5000])


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


def of_a_later_version(path: Path) -> None:
    AnswerCache(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("no folder")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (not_a_database, "file is not a database"),
        (cut_off, "malformed"),
        (of_another_program, "is a database of another program"),
        (of_a_later_version, "another version of the toolkit"),
        (a_folder, "is no file"),
        (a_pipe, "is no file"),
        (below_a_file, "File exists"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_note_and_no_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, said: str
) -> None:
    path = tmp_path / "in" / "answers.sqlite"
    path.parent.mkdir()
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    cache = AnswerCache(path)
    cache.put({KEY: b"one"})
    assert (cache.usable, cache.get([KEY]), len(cache)) == (False, {}, 0)
    told = capsys.readouterr().err
    assert said in told and "answers are neither taken from the cache nor kept" in told
    assert (path.read_bytes() if path.is_file() else None) == before  # what is somebody else's stays as it is


def test_a_file_that_cannot_be_written_is_a_note_and_no_cache(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    AnswerCache(path).close()
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("whoever runs this may write files that nobody may write")
    assert not AnswerCache(path).usable


def test_a_file_that_is_damaged_while_it_is_open_is_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.sqlite"
    cache = AnswerCache(path)
    cache.put({KEY: b"one"})
    cache._database.execute("DROP TABLE answers")  # type: ignore[union-attr]
    assert cache.get([KEY]) == {}
    assert (cache.usable, cache.get([KEY])) == (False, {})
    assert "no such table" in capsys.readouterr().err


def test_an_answer_that_is_not_as_it_was_written_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    AnswerCache(path).put({KEY: b"[1.5]", OTHER: b"[2.5]"})
    with sqlite3.connect(path) as database:
        database.execute("UPDATE answers SET answer = ? WHERE key = ?", (b"[9.5]", KEY))
        database.execute("UPDATE answers SET answer = 17, digest = 'x' WHERE key = ?", (OTHER,))
    assert AnswerCache(path).get([KEY]) == {}
    assert AnswerCache(path).get([OTHER]) == {}


def test_the_default_place_is_the_users_folder_of_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_file() == tmp_path / "llavaction" / "answers.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert default_file() == Path.home() / ".cache" / "llavaction" / "answers.sqlite"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_file() == Path.home() / "Library" / "Caches" / "llavaction" / "answers.sqlite"
