"""Options made from a configuration's fields: names, types, choices, ranges, defaults and help are the fields'."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import Field

from llavaction.base.records import Strict
from llavaction.cli.generated import config_options
from llavaction.cli.main import cli


class Settings(Strict):
    """One field of each kind."""

    where: Path = Field(description="Where it is.")
    mood: Literal["calm", "wild"] = Field("calm", description="How it goes.")
    half_open: float = Field(0.5, gt=0, le=1, description="A share.")
    at_least: int | None = Field(None, ge=2, description="A number, or none.")
    free: int = Field(7, description="Any number.")
    swift: bool = Field(True, description="Whether it is fast.")
    folder: str = Field("here", description="A text that is a folder.")


ASKING = (
    "backend videos output seed frames fps prompt perspective option-orders limit batch-size workers retry-failed "
    "allow-missing set keys json"
)
"""Options of every command that asks about many clips."""
FOUND: list[dict[str, Any]] = []


@click.command()
@config_options(f"{__name__}:Settings", *Settings.model_fields, folder=click.Path(path_type=Path, file_okay=False))
def command(**values: Any) -> None:
    FOUND.append(values)


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["--where", "x", *arguments])


def test_defaults_are_those_of_the_fields() -> None:
    assert ran().exit_code == 0
    values = FOUND.pop()
    assert {name: values[name] for name in Settings.model_fields if name not in ("where", "folder")} == {
        "mood": "calm", "half_open": 0.5, "at_least": None, "free": 7, "swift": True,
    }  # fmt: skip
    assert values["where"] == Path("x") and values["folder"] == Path("here")
    assert Settings(**{**values, "folder": "here"}) == Settings(where=Path("x"))


def test_values_have_the_types_of_the_fields() -> None:
    assert ran("--at-least", "2", "--half-open", "1", "--no-swift", "--free", "-3", "--mood", "wild").exit_code == 0
    values = FOUND.pop()
    assert (values["at_least"], values["half_open"], values["swift"], values["free"]) == (2, 1.0, False, -3)
    assert values["mood"] == "wild" and isinstance(values["half_open"], float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mood", "odd"], "'odd' is not one of 'calm', 'wild'"),
        (["--half-open", "0"], "0.0 is not in the range 0<x<=1"),
        (["--at-least", "1"], "1 is not in the range x>=2"),
        (["--free", "some"], "'some' is not a valid integer"),
        (["--folder", __file__], "is a file"),
    ],
)
def test_what_the_field_refuses_the_option_refuses(arguments: list[str], message: str) -> None:
    done = ran(*arguments)
    assert done.exit_code == 2 and message in done.output


def test_a_field_without_default_is_needed_and_help_says_all() -> None:
    assert "Missing option '--where'" in CliRunner().invoke(command, []).output
    said = " ".join(ran("--help").output.split())
    for part in ("Where it is. [required]", "--mood [calm|wild]", "[default: calm]", "[default: 0.5; 0<x<=1]",
                 "A number, or none. [x>=2]", "[default: 7]", "--swift / --no-swift"):  # fmt: skip
        assert part in said


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("eval", f"annotations decision subtitles parsing parser audit cache no-cache {ASKING}"),
        ("recognise", "annotations split predictions stages candidates ranked-by fusion specialist-weight "
                      "prior-actions option-text challenge sls-pretraining sls-labels sls-data cache no-cache "
                          f"{ASKING}"),
        ("multilabel", "annotations split classes scores form fit thresholds "
                       f"{ASKING.replace('option-orders ', '')}"),
        ("benchmark build", "annotations split miner options text seed workers predictions output set keys json"),
        ("ask", "model start stop options frames set keys json"),
    ],
)  # fmt: skip
def test_the_options_of_a_command(name: str, options: str) -> None:
    found: click.Command = cli
    for part in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), part) or found
    named = {option.removeprefix("--") for parameter in found.params for option in parameter.opts
             if isinstance(parameter, click.Option)}  # fmt: skip
    assert named == set(options.split())
