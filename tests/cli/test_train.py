"""``llavaction train``: settings on the command line, and errors without a traceback."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from helpers.kitchenette import film_colours, settings, write_mixture
from llavaction import api, recipes
from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.cli import main
from llavaction.cli.main import cli
from llavaction.cli.train import run_command
from llavaction.training import preparation
from llavaction.training.preparation import PREPARED


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("train")
    film_colours(home / "videos")
    write_mixture(home / "records.jsonl")
    file = home / "recipe.yaml"
    file.write_text(yaml.safe_dump(settings(home)))
    return file


def test_a_recipe_and_what_replaces_it(recipe: Path) -> None:
    arguments = ["train", "--config", str(recipe), "steps=2", "learning_rates.tower=null", "--json"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    report = json.loads(result.stdout)
    assert report["final_loss"] > 1 and report["accuracy"] is None
    assert (Path(report["model"]) / "model.safetensors").is_file()
    stored = yaml.safe_load((recipe.parent / "run" / "config.yaml").read_text())
    assert stored["steps"] == 2 and stored["learning_rates"]["vision_tower"] is None


def test_from_python_by_name(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the recipe prepares is run before, and once."""
    monkeypatch.setitem(recipes.OWN, "here", recipe.parent)
    told: list[Sequence[str]] = []
    changes = {"output": str(tmp_path / "run"), "steps": 1, "prepare": ["data curate 'a b'"]}
    for _ in range(2):
        result = api.train("recipe", told.append, **changes, learning_rates={"vision_tower": None})
        assert told == [["data", "curate", "a b"]]
    assert (result.final_loss or 0) > 1 and result.model == tmp_path / "run" / "model"
    with pytest.raises(InputError, match="did you mean 'recipe'"):
        api.train("recipi")


def test_other_processes_prepare_nothing(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    told: list[Sequence[str]] = []
    monkeypatch.setattr("llavaction.training.run.train", lambda config: config)
    api.train(recipe, told.append, output=str(tmp_path / "run"), prepare=["data curate"])
    assert not told


def test_a_command_as_a_process_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    preparation.prepare(["compare --help"], tmp_path / PREPARED)
    assert "RUNS..." in capfd.readouterr().out and read_json(tmp_path / PREPARED) == ["compare --help"]
    with pytest.raises(InputError, match="prepare: 'llavaction compare a b' ended with status 1"):
        preparation.prepare(["compare --help", "compare a b"], tmp_path / PREPARED)
    assert "not a run folder" in capfd.readouterr().err and read_json(tmp_path / PREPARED) == ["compare --help"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lerning_rates.tower=1", "unknown key 'lerning_rates'; did you mean 'learning_rates'"),
        ("learning_rates.visoin_tower=1", "unknown key 'visoin_tower'; did you mean 'vision_tower'"),
        ("model=nowhere", "nowhere: no such folder"),
        ("model=tiny:lava_video", "unknown tiny model family 'lava_video'\n.*did you mean 'llava_video'"),
        ("videos=nowhere", "nowhere: no such folder of videos"),
        ("records=[{path: nowhere}]", "nowhere: no such file of records"),
        ("evaluation.benchmark=nowhere", "nowhere: no such benchmark"),
        ("steps", "'steps' is not KEY=VALUE"),
        ("prepare=['data curat']", "prepare: 'llavaction data curat': no such command 'curat'; did you mean 'curate'"),
        ("global_batch=3", "global_batch 3 is no multiple of micro_batch 2"),
    ],
)
def test_what_is_refused(recipe: Path, tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        arguments = ["train", "--config", str(recipe), f"output={tmp_path}/run", setting]
        CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_a_training_that_was_refused_leaves_its_folder_to_another(recipe: Path, tmp_path: Path) -> None:
    arguments = ["train", "--config", str(recipe), f"output={tmp_path}/run", "steps=1"]
    for wrong in ("model=nowhere", "records=[{path: nowhere}]"):
        with pytest.raises(InputError, match="nowhere"):
            CliRunner().invoke(cli, [*arguments, wrong], catch_exceptions=False)
        assert not (tmp_path / "run" / "config.yaml").exists()
    assert CliRunner().invoke(cli, arguments, catch_exceptions=False).exit_code == 0


def prepare(commands: list[str], done_file: Path) -> None:
    preparation.prepare(commands, done_file, run_command)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a command line with the command ``note`` has been told; "never" fails, "cannot" is refused."""
    told: list[str] = []

    @click.group()
    def group() -> None:
        pass

    @group.command()
    @click.argument("what")
    @click.option("--loud", is_flag=True)
    def note(what: str, loud: bool) -> None:
        if what == "never":
            raise InputError("never is not possible")
        if what == "cannot":
            raise click.UsageError("it cannot be")
        told.append(what.upper() if loud else what)

    monkeypatch.setattr(main, "cli", group)
    return told


def test_commands_are_run_once_and_in_order(
    done: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, commands = tmp_path / "new" / PREPARED, ["note one", "note 'two words' --loud", "note three"]
    prepare(commands, file)
    assert done == ["one", "TWO WORDS", "three"]
    assert read_json(file) == commands
    assert capsys.readouterr().err.splitlines() == [f"llavaction {command}" for command in commands]
    prepare(commands, file)
    assert len(done) == 3 and not capsys.readouterr().err
    prepare([*commands, "note four"], file)
    assert done[3:] == ["four"]


def test_a_changed_command_is_run_again_with_those_after_it(done: list[str], tmp_path: Path) -> None:
    file = tmp_path / PREPARED
    prepare(["note one", "note two", "note three"], file)
    prepare(["note one", "note other", "note three"], file)
    assert done[3:] == ["other", "three"]
    assert read_json(file) == ["note one", "note other", "note three"]
    prepare(["note one", "note between", "note other", "note three"], file)
    assert done[5:] == ["between", "other", "three"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("note never", "never is not possible"),
        ("note cannot", "prepare: 'llavaction note cannot': it cannot be"),
        ("note a --quiet", "prepare: 'llavaction note a --quiet': No such option.*--quiet"),
        ("nota a", "prepare: 'llavaction nota a': No such command 'nota'"),
    ],
)
def test_what_fails_is_named_and_tried_again(done: list[str], tmp_path: Path, wrong: str, message: str) -> None:
    file = tmp_path / PREPARED
    with pytest.raises(InputError, match=message):
        prepare(["note one", wrong, "note three"], file)
    assert done == ["one"] and read_json(file) == ["note one"]
    prepare(["note one", "note two", "note three"], file)
    assert done == ["one", "two", "three"]
