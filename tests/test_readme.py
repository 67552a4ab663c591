"""The documents' commands: README's first steps and api.md run on a smaller kitchen, others name what there is."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from llavaction.cli.main import cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
KITCHEN = ("data", "kitchen-mini", "--set", "train_videos=2", "--set", "validation_videos=2", "--set", "test_videos=4")
SMALL = ("--set", "width=64", "--set", "height=48")


def commands(document: Path) -> list[list[str]]:
    """The command lines of a document that are llavaction's, and those within its sentences."""
    text = document.read_text(encoding="utf-8")
    lines = re.findall(
        r"^ *(?:torchrun .* -m llavaction\.cli\.main|llavaction) (.*?)(?:\s{2,}#.*)?$", text, re.MULTILINE
    )
    within = re.findall(r"`llavaction ([^`]*)`", text)
    return [shlex.split(line, comments=True) for line in (*lines, *within)]


def call(arguments: list[str]) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, (arguments, done.output)
    return done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_is_there(document: Path) -> None:
    for arguments in commands(document):
        context, command, words = click.Context(cli), cli, list(arguments)
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(context, words[0])
            assert found is not None, f"{document.name}: there is no 'llavaction {words[0]}'"
            command = found
            words.pop(0)
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= known | {"--help"}, f"{document.name}: {shlex.join(arguments)}"


def test_the_first_steps_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    steps = text.partition("After `make demo` these work")[2].partition("Larger models")[0]
    lines = [shlex.split(line) for line in re.findall(r"^ {4}llavaction (.*)$", steps, re.MULTILINE)]
    assert [line[0] for line in lines] == ["benchmark", "benchmark", "eval", "eval", "compare", "report", "ask"]
    monkeypatch.chdir(tmp_path)
    call([*KITCHEN, *SMALL, "--output", "runs/demo/kitchen_mini"])
    filmed = next(Path("runs/demo/kitchen_mini/videos").rglob("*.MP4"))
    for line in lines:
        if line[0] == "ask":
            line[1] = str(filmed)
        said = call(["24" if word == "100" else word for word in line])
        assert said.strip()
    assert Path("runs/report.html").is_file()
    (snippet,) = re.findall(r"The same from Python .*?:\n\n((?: {4}.*\n)+)", text)
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for code in (textwrap.dedent(snippet), *re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)):
        named = code.replace("runs/demo/kitchen_mini/videos/P07/P07_01.MP4", str(filmed))
        exec(named.replace("limit=100", "limit=24"), {})


def test_recognition_by_stages_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = commands(ROOT / "docs" / "recognition.md")
    lines = [line for line in lines if "--output" in line]
    assert [line[0] for line in lines] == ["specialist", "specialist", *["recognise"] * 3, "fuse", *["recognise"] * 2]
    monkeypatch.chdir(tmp_path)
    call([*KITCHEN, *SMALL, "--output", "runs/demo/kitchen_mini"])
    small = ("epochs=1", "channels=8", "frames=4", "height=24", "width=32")
    more = {"recognise": ["--limit", "24"], "train": [word for setting in small for word in ("--set", setting)]}
    for line in lines:
        assert call([*line, *more.get(line[0], []), *more.get(line[1], [])]).strip()
    for name in ("letters", "heads", "stages", "fused", "prior-actions"):
        assert Path("runs", name, "metrics.json").is_file()
