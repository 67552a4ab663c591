from __future__ import annotations

import io
import json
import sys

import click
import pytest
from click.testing import CliRunner

from llavaction.base.notes import note
from llavaction.base.text import SafeStream, safe_output, same_when_read, shown


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("take plate – café 皿 😀", "take plate – café 皿 😀"),
        ("\x1b[2Jred\x1b[31m", "\\u001b[2Jred\\u001b[31m"),
        ("a\rb\bc\x7f\x9b2J", "a\\u000db\\u0008c\\u007f\\u009b2J"),
        ("abc\u202edcba\u2066x\u200f", "abc\\u202edcba\\u2066x\\u200f"),
        ("half \ud800", "half \\ud800"),
        ("two\nlines\t", "two\\u000alines\\u0009"),
    ],
)
def test_nothing_steers_the_terminal(text: str, safe: str) -> None:
    assert shown(text) == safe
    safe.encode()


def test_texts_of_several_lines_keep_them() -> None:
    assert shown("a\n\tb\x1b", lines=True) == "a\n\tb\\u001b"


def test_what_is_printed_is_safe_and_json_stays_json(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.StringIO()
    monkeypatch.setattr(sys, "stdout", raw)
    with safe_output():
        print(json.dumps({"label": "\x1b[31m\u202e\x9b"}, ensure_ascii=False))
        assert isinstance(sys.stdout, SafeStream)
    assert sys.stdout is raw
    assert not set(raw.getvalue()) & {"\x1b", "\u202e", "\x9b"}
    assert json.loads(raw.getvalue()) == {"label": "\x1b[31m\u202e\x9b"}
    with pytest.raises(TypeError):
        SafeStream(raw).write(b"")  # type: ignore[arg-type]


def test_commands_print_safely(tmp_path: object) -> None:
    from llavaction.cli.main import cli

    done = CliRunner().invoke(cli, ["ask", "no\x1b[31mvideo", "What\u202e?", "--model", "chance"])
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output


def test_a_note_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    note("read as\x1b semicolons", file="said-once.csv", line=3)
    note("read as\x1b semicolons", file="said-once.csv", line=3)
    assert capsys.readouterr().err == "note: said-once.csv:3: read as\\u001b semicolons\n"


def test_what_reads_the_same() -> None:
    assert same_when_read(" Chopping  board\n") == same_when_read("chopping board")
    assert same_when_read("cup") != same_when_read("cups")


def test_a_process_without_an_output_stays_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with safe_output():
        print("nowhere")
        click.echo("nowhere")
    assert sys.stdout is None
