"""Every recipe runs: the same file with a tiny model, toy data and two steps."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from helpers.kitchenette import clip_record, film_colours, text_record, write_benchmark
from kitchen_mini.renderer import KitchenMiniConfig
from llavaction.base.records import read_json, write_records
from llavaction.cli.main import cli
from llavaction.cli.options import mapping
from llavaction.cli.train import run_command
from llavaction.curation.mixture import load_mixture
from llavaction.curation.records import ActionLabels
from llavaction.recipes import collected, mixture_file, recipe_file
from llavaction.specialists.config import SpecialistConfig
from llavaction.training.config import TrainConfig, load_config
from llavaction.training.preparation import prepare
from llavaction.training.run import train

RECIPES = list(collected().values())
MIXTURES = list(collected("mixtures").values())
PREPARED = [path for path in RECIPES if load_config(path).prepare]
"""Recipes that make their own data."""
GOES_ON_FROM = {"kitchen-mini-two-stage": "kitchen-mini"}
"""Recipes that also read what another one leaves."""
TINY = {"qwen3-vl-8b-lora": "qwen3_vl", "llavaction-0.5b": "llava_onevision"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("data")
    film_colours(home / "videos")
    write_benchmark(home / "benchmark", count=3)
    records = [clip_record(number) for number in range(4)]
    largest = ActionLabels(verb=6, noun=10, action=22)  # of the tiny model's heads
    records.append(records[0].model_copy(update={"record_id": "largest", "labels": largest}))
    write_records(home / "records.jsonl", [*records, text_record(1)])
    return home


def tiny(recipe: Path, home: Path, output: Path) -> list[tuple[str, Any]]:
    """What makes a recipe tiny; everything else stays as it says."""
    config = load_config(recipe)
    changes: list[tuple[str, Any]] = [
        ("output", str(output)),
        ("videos", str(home / "videos")),
        ("num_frames", 2),
        ("global_batch", 2),
        ("micro_batch", min(config.micro_batch, 2)),
        ("records", [{"path": str(home / "records.jsonl")}]),
        ("steps", 2),
        ("workers", 0),
        ("device", "cpu"),
        ("deepspeed", None),
        ("fsdp", None),
    ]
    family = TINY.get(recipe.stem, "llava_video")
    changes.append(("model", f"tiny:{family}"))
    if family == "llava_video":  # the tiny one has an action token of its own
        changes.append(("action", None))
    for number, stage in enumerate(config.resolved()):
        if config.stages:
            changes.append((f"stages.{number}.steps", 2))
        if stage.evaluation is not None:
            prefix = f"stages.{number}." if config.stages else ""
            changes += [
                (f"{prefix}evaluation.{key}", value)
                for key, value in (("benchmark", str(home / "benchmark")), ("every", 2))
            ]
    return changes


@pytest.mark.parametrize("recipe", [path for path in RECIPES if path not in PREPARED], ids=lambda path: path.stem)
def test_every_recipe_runs(recipe: Path, data: Path, tmp_path: Path) -> None:
    config = load_config(recipe, tiny(recipe, data, tmp_path / "run"))
    result = train(config)
    losses = [line["loss"] for line in result.metrics if "loss" in line]
    assert len(losses) >= len(config.resolved()) and all(0 < loss < 20 for loss in losses)
    assert (result.model / "model.safetensors").is_file()
    for key in ("learning_rates", "lora", "precision", "gradient_checkpointing", "lr_schedule", "supervise"):
        assert getattr(config, key) == getattr(load_config(recipe), key)  # what the recipe is about was not changed


def test_published_settings() -> None:
    for name in ("llavaction-7b", "llavaction-0.5b"):
        config: TrainConfig = load_config(recipe_file(name))
        rates = config.learning_rates
        assert (rates.vision_tower, rates.projector, rates.language_model, rates.action) == (2e-6, 1e-5, 1e-5, 1e-5)
        assert (config.global_batch, config.num_frames, config.epochs, config.warmup_ratio) == (64, 16, 2, 0.03)
        assert (config.lr_schedule, config.weight_decay, config.precision) == ("cosine", 0.0, "bfloat16")
        assert config.action is not None and config.action.sizes == (97, 300, 3806)
    deepspeed = load_config(recipe_file("llavaction-7b")).deepspeed
    assert deepspeed is not None and read_json(deepspeed)["zero_optimization"]["stage"] == 3


def parsed(command: str) -> tuple[str, dict[str, Any]]:
    """The full name of a command and its options, as click reads them; it is not run."""
    group: click.Command = cli
    context, names, rest = None, [], shlex.split(command)
    while isinstance(group, click.Group):
        context = click.Context(group, parent=context)
        name, found, rest = group.resolve_command(context, rest)
        assert name is not None and found is not None
        names.append(name)
        group = found
    return " ".join(names), group.make_context(names[-1], list(rest), parent=context).params


def test_a_command_that_is_none_is_noticed() -> None:
    assert parsed("data curate --annotations a --mixture b --output c")[0] == "data curate"
    for wrong in ("data cure", "dato curate", "data curate --annotations a --mixture b --output c --unknown"):
        with pytest.raises(click.UsageError):
            parsed(wrong)


@pytest.mark.parametrize("recipe", PREPARED, ids=lambda path: path.stem)
def test_what_a_recipe_prepares(recipe: Path) -> None:
    config = load_config(recipe)
    made: list[Path] = []
    if recipe.stem in GOES_ON_FROM:
        earlier = load_config(recipe.with_stem(GOES_ON_FROM[recipe.stem]))
        made = [parsed(command)[1]["output"] for command in earlier.prepare]
        assert Path(config.model) == earlier.output / "model"
    for command in config.prepare:
        name, options = parsed(command)
        if name == "data kitchen-mini":
            KitchenMiniConfig.from_mapping(mapping(options["settings"]))
        else:
            assert any(options["annotations"].is_relative_to(folder) for folder in made), command
        if name in ("specialist train", "specialist folds"):
            SpecialistConfig.from_mapping(mapping(options["settings"]))
        if name == "data curate":
            assert mixture_file(options["mixture"]) in MIXTURES
        assert options["output"] not in made
        made.append(options["output"])
    for stage in config.resolved():
        read = [stage.videos, *(records.path for records in stage.records)]
        read += [stage.extra.get("name_heads"), stage.extra.get("path")]
        read += [None if stage.evaluation is None else stage.evaluation.benchmark]
        for path in read:
            assert path is None or any(path.is_relative_to(folder) for folder in made), path


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda path: path.stem)
def test_every_mixture_is_sound(mixture: Path) -> None:
    config, tasks = load_mixture(mixture)
    assert config.split == "train" and tasks


def prepared(recipe: Path, home: Path, small: str) -> TrainConfig:
    """Prepare a recipe in another folder and on a much smaller kitchen, and make every stage two steps long.

    Args:
        recipe: its file.
        home: takes the place of runs/kitchen-mini.
        small: more arguments of the first command.
    """
    text = recipe.read_text(encoding="utf-8").replace("runs/kitchen-mini", str(home))
    (home / recipe.name).write_text(text, encoding="utf-8")
    plain = load_config(home / recipe.name)
    first, *others = plain.prepare
    others = [command for command in others if not command.startswith("specialist")]
    prepare([f"{first} {small} --workers 1", *others], home / f"{recipe.stem}.json", run_command)
    shape = {"side": 24, "tower_width": 32, "tower_layers": 1, "width": 64, "layers": 2, "entries": 400}
    changes: list[tuple[str, Any]] = [(f"start.{key}", value) for key, value in shape.items() if plain.model == "mini"]
    for number, stage in enumerate(plain.resolved()):
        own = {"steps": 2, "micro_batch": 2, "global_batch": 4}
        own |= {} if stage.evaluation is None else {"evaluation.every": 2, "evaluation.limit": 2}
        prefix = f"stages.{number}." if plain.stages else ""
        changes += [(f"{prefix}{key}", value) for key, value in own.items()]
    return load_config(home / recipe.name, changes)


def test_recipes_that_make_their_data_run(tmp_path: Path) -> None:
    """The mini model from nothing, and what goes on from it."""
    kitchen = {"width": 64, "height": 48, "train_videos": 2, "validation_videos": 2, "test_videos": 2}
    kitchen |= {"min_segments": 6, "max_segments": 6, "train_participants": 2}
    kitchen |= {"unseen_validation_participants": 1, "unseen_test_participants": 1}
    specialist = {"epochs": 1, "channels": 8, "frames": 4, "height": 24, "width": 32}
    layers = 0
    for name, small in (("kitchen-mini", kitchen), ("kitchen-mini-two-stage", specialist)):
        config = prepared(recipe_file(name), tmp_path, " ".join(f"--set {key}={value}" for key, value in small.items()))
        result = train(config)
        losses = [line["loss"] for line in result.metrics if "loss" in line]
        assert len(losses) >= max(len(config.stages), 1) and all(0 < loss < 40 for loss in losses)
        assert result.accuracy in (0, 0.5, 1)
        layers = layers or 2 + sum(stage.extra.get("new_layers", 0) for stage in config.resolved())
        assert read_json(result.model / "config.json")["text_config"]["num_hidden_layers"] == layers
