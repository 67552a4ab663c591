"""A run's folder: its journal survives a kill at any byte, and one process writes it at a time."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from llavaction.base.errors import InputError
from llavaction.base.records import Record, read_json, read_records
from llavaction.runs.folder import METRICS, RunFolder
from llavaction.runs.journal import Journal
from llavaction.runs.locks import RunLockedError

FILE = "notes.jsonl"
FACTS = {"bytes": 3, "modified": 1, "sha256_of_parts": "a"}


class Note(Record):
    name: str
    text: str = "a few words"


NOTES = [Note(name=name) for name in "abc"]


def opened(folder: Path) -> Journal[Note]:
    return Journal(folder / FILE, Note, "name")


def names(folder: Path) -> list[str]:
    return [note.name for note in read_records(folder / FILE, Note)]


def test_a_half_written_line_is_cut_off(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(NOTES)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-10])
    with opened(tmp_path) as journal:
        assert list(journal.done) == ["a", "b"]
        journal.append(NOTES[2:])
    assert (tmp_path / FILE).read_bytes() == whole


def test_rewriting_keeps_the_journal_open(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(NOTES)
        journal.rewrite(reversed(NOTES[:2]))
        journal.append(NOTES[2:])
    assert names(tmp_path) == ["b", "a", "c"]


def test_a_journal_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a batch fits, the rest does not: none of it is in the file, and the next one is."""
    path = tmp_path / FILE
    with opened(tmp_path) as journal:
        journal.append([Note(name="a")])
        whole = path.read_bytes()
        stream = journal._stream
        assert stream is not None

        class Full:
            def __getattr__(self, name: str) -> object:
                return getattr(stream, name)

            def write(self, content: memoryview) -> int:
                if len(path.read_bytes()) > len(whole):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return stream.write(content[: len(content) // 2])

        monkeypatch.setattr(journal, "_stream", Full())
        with pytest.raises(InputError, match=r"notes\.jsonl: cannot be written: No space left on device"):
            journal.append([Note(name="b"), Note(name="c")])
        assert path.read_bytes() == whole
        assert set(journal.done) == {"a"}
        monkeypatch.setattr(journal, "_stream", stream)
        journal.append([Note(name="d")])
        assert set(journal.done) == {"a", "d"}
    with opened(tmp_path) as journal:
        assert set(journal.done) == {"a", "d"}


def test_a_damaged_finished_line_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"text": "a"}\n')
    for _ in range(2):  # the lock was given back, the complaint is the same
        with RunFolder(tmp_path) as home, pytest.raises(InputError, match=r"notes.jsonl:1: .*name"):
            home.journal(FILE, Note, "name")


def test_only_one_writer(tmp_path: Path) -> None:
    second = RunFolder(tmp_path / "run")
    with RunFolder(tmp_path / "run"), pytest.raises(RunLockedError, match="another process is writing"):
        second.__enter__()
    with RunFolder(tmp_path / "run") as home:
        home.journal(FILE, Note, "name").append(NOTES)
    with second as home:
        assert list(home.journal(FILE, Note, "name").done) == ["a", "b", "c"]


def test_a_run_is_settled_once(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as home:
        home.settle({"seed": 1, "workers": 2}, started=False, videos={"v": FACTS})
        home.complete({"accuracy": 1})
    assert len(read_json(tmp_path / "environment.json")["environments"]) == 1
    with RunFolder(tmp_path) as home:
        home.settle({"seed": 1, "workers": 3}, started=True, free=("workers",), videos={"v": FACTS})
        with pytest.raises(InputError, match="seed was 1, now 2"):
            home.settle({"seed": 2, "workers": 3}, started=True)
        with pytest.raises(InputError, match="1 of the run's 1 videos changed"):
            home.settle({"seed": 1, "workers": 3}, started=True, videos={"v": {**FACTS, "bytes": 4}})
        assert read_json(tmp_path / METRICS) == {"accuracy": 1}
        home.go_on()
        assert not (tmp_path / METRICS).exists()
