from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from llavaction.base.errors import InputError
from llavaction.base.files import clear_away, temporary, temporary_folder, whole
from llavaction.base.locks import folder_lock
from llavaction.base.records import write_text


def test_temporary_names_cannot_be_foreseen(tmp_path: Path) -> None:
    names = {temporary(tmp_path / "a.json").name for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith(".a.json.") and name.endswith(".part") for name in names)
    assert not any(str(os.getpid()) == name.split(".")[3] for name in names)
    assert len({temporary_folder(tmp_path / "new" / "b") for _ in range(5)}) == 5
    assert len(temporary(tmp_path / ("x" * 255)).name) <= 255


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
