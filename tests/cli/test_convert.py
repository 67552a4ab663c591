"""``llavaction convert`` as a person calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.published_checkpoints import HEADS, assert_same_tensors, load_folder, write_published
from llavaction.base.errors import InputError
from llavaction.cli.convert import size_in_bytes
from llavaction.cli.main import cli, main


def test_there_and_back(tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", tokenizer=True, vision_supervision="three_tokens", **HEADS)
    command = [sys.executable, "-m", "llavaction.cli.main", "convert", source, tmp_path / "ours", "--verify", "--json"]
    done = subprocess.run([*map(str, command), "--shard-size", "50KB"], capture_output=True, text=True, check=True)
    assert "rope_scaling" not in done.stderr  # the library's remarks on settings it does not know
    result = json.loads(done.stdout)
    assert result["to"] == "ours"
    assert result["tensors"] == len(load_folder(source))
    assert result["shards"] == len(list((tmp_path / "ours").glob("*.safetensors"))) > 1
    assert result["difference"] < 2e-5
    assert result["folder"] == str(tmp_path / "ours")
    arguments = ["convert", str(tmp_path / "ours"), str(tmp_path / "back"), "--to", "published", "--verify"]
    printed = CliRunner().invoke(cli, arguments, catch_exceptions=False).output
    assert "every tensor reads back bit for bit" in printed
    assert "difference of the logits" in printed
    assert_same_tensors(load_folder(source), load_folder(tmp_path / "back"))


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_published(tmp_path / "source", tower=False)
    for arguments, message in (
        ([source, tmp_path / "x"], "--vision-tower"),
        ([source, tmp_path / "x", "--to", "published"], "is in the format 'published' already"),
        ([tmp_path / "nowhere", tmp_path / "x"], "no such folder"),
        ([source, tmp_path / "x", "--shard-size", "much"], "'much' is not a size"),
    ):
        monkeypatch.setattr(sys, "argv", ["llavaction", "convert", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 1
        assert message in capsys.readouterr().err
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("1.5 gb", 1_500_000_000), ("500MB", 5 * 10**8), ("20k", 20_000), ("17", 17), ("9B", 9)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-4GB", "0", "4 TB", "0.1B", "4GiB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="is not a size"):
        size_in_bytes(text)
