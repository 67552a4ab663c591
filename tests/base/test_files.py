from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from llavaction.base.errors import InputError
from llavaction.base.files import Part, clear_away, sweep, whole
from llavaction.base.fingerprints import joined_sources
from llavaction.base.records import file_sha256, write_text
from llavaction.runs.locks import folder_lock


def test_temporary_names_cannot_be_foreseen(tmp_path: Path) -> None:
    names = {Part(tmp_path / "a.json").path.name for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith(".a.json.") and name.endswith(".part") for name in names)
    assert not any(str(os.getpid()) == name.split(".")[3] for name in names)
    assert len({Part(tmp_path / "new" / "b", folder=True).path for _ in range(5)}) == 5
    assert len(Part(tmp_path / ("x" * 255)).path.name) <= 255


def test_a_link_in_the_way_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody guesses the first name and puts a link to another file there."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    tokens = iter(["guessed", "guessed", "free"])
    monkeypatch.setattr("llavaction.base.files.secrets.token_hex", lambda _: next(tokens))
    (tmp_path / ".a.json.guessed.part").symlink_to(victim)
    write_text(tmp_path / "a.json", "new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "a.json").read_text() == "new"
    assert not (tmp_path / ".a.json.free.part").exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_mode_that_new_files_have(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").symlink_to(victim)
    with pytest.raises(InputError), folder_lock(folder):
        pass
    assert not victim.exists()


def test_clearing_away_a_link_spares_what_is_behind(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    clear_away(tmp_path / "link")
    clear_away(tmp_path / "never there")
    assert not (tmp_path / "link").exists()
    assert (tmp_path / "kept/file").exists()
    clear_away(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"), whole(tmp_path / "file" / "a"):
        pass


_LEAVES_PARTS = """
import os, signal, sys
from pathlib import Path
from llavaction.base.files import Part
parts = [Part(Path(sys.argv[1]) / "a.json"), Part(Path(sys.argv[1]) / "b.MP4", suffix=".part.MP4")]
parts.append(Part(Path(sys.argv[1]) / "model", folder=True))
parts[0].path.write_text("half")
(parts[2].path / "weights").write_text("half")
print("ready", flush=True)
if sys.argv[2] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def test_parts_of_killed_writers_are_swept_up_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _LEAVES_PARTS, str(tmp_path)]
    subprocess.run([*command, "dies"], check=False, stdout=subprocess.DEVNULL)
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left) == 3
    kept = (".thesis.part", ".a.json.1234.part", "a.json.0123456789ab.part", ".a.json.0123456789ab.part.d.e")
    for name in kept:
        (tmp_path / name).write_text("a user's")
    (tmp_path / ".link.0123456789ab.part").symlink_to(tmp_path / ".thesis.part")
    with subprocess.Popen([*command, "waits"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as at_work:
        assert at_work.stdout is not None
        at_work.stdout.readline()
        mine = Part(tmp_path / "a.json")  # a process sweeps a folder when it first writes into it
        now = {path.name for path in tmp_path.iterdir()}
        assert not now & left
        assert now >= {*kept, mine.path.name, ".link.0123456789ab.part"}
        assert len(now) == len(kept) + 2 + 3  # those of the process at work
        at_work.kill()
    assert sweep(tmp_path) == 3
    mine.drop()
    assert {path.name for path in tmp_path.iterdir()} == {*kept, ".link.0123456789ab.part"}


def test_taking_a_run_s_folder_sweeps_it(tmp_path: Path) -> None:
    write_text(tmp_path / "first", "this process has written here")
    subprocess.run([sys.executable, "-c", _LEAVES_PARTS, str(tmp_path), "dies"], check=False, capture_output=True)
    with folder_lock(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "first"]


def test_a_full_disk_is_told_from_other_errors(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(InputError, match=r"a: cannot be written: No space left.*\n.*make room"), whole(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(InputError) as other, whole(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert "make room" not in str(other.value)
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_no_source_hides_another(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "p.jsonl" for folder in "ab"]
    for path, text in zip(paths, "xy", strict=True):
        path.parent.mkdir()
        path.write_text(text)
    found = joined_sources({"p.jsonl": "a table's", "q.csv": "another's"}, paths)
    digests = sorted(map(file_sha256, paths))
    assert found == {
        "p.jsonl": "a table's", "q.csv": "another's", "p.jsonl (2)": digests[0], "p.jsonl (3)": digests[1]
    }  # fmt: skip
    assert joined_sources({"p.jsonl": "a table's", "q.csv": "another's"}, paths[::-1]) == found
    assert joined_sources({}, paths[:1]) == {"p.jsonl": file_sha256(paths[0])}
