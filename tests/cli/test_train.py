"""``llavaction train``: settings on the command line, and errors without a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from kitchenette import film_colours, settings, write_mixture

from llavaction.base.errors import InputError
from llavaction.cli.main import cli


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
    assert stored["steps"] == 2 and stored["learning_rates"]["tower"] is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lerning_rates.tower=1", "unknown key 'lerning_rates'; did you mean 'learning_rates'"),
        ("learning_rates.towre=1", "unknown key 'towre'; did you mean 'tower'"),
        ("model=nowhere", "nowhere: no such folder"),
        ("model=tiny:lava_video", "unknown tiny model family 'lava_video'\n.*did you mean 'llava_video'"),
        ("videos=nowhere", "nowhere: no such folder of videos"),
        ("steps", "'steps' is not KEY=VALUE"),
        ("global_batch=3", "global_batch 3 is no multiple of micro_batch 2"),
    ],
)
def test_what_is_refused(recipe: Path, tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        arguments = ["train", "--config", str(recipe), f"output={tmp_path}/run", setting]
        CliRunner().invoke(cli, arguments, catch_exceptions=False)
