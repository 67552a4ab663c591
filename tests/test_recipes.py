"""Every recipe runs: the same file with a tiny model, toy data and two steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kitchenette import clip_record, film_colours, text_record, write_benchmark

from llavaction.base.records import read_json, write_records
from llavaction.curation.records import ActionLabels
from llavaction.training.config import TrainConfig, load_config
from llavaction.training.run import train

RECIPES = sorted((Path(__file__).resolve().parents[1] / "recipes").glob("*.yaml"))
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
        ("frames", 2),
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


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_runs(recipe: Path, data: Path, tmp_path: Path) -> None:
    config = load_config(recipe, tiny(recipe, data, tmp_path / "run"))
    result = train(config)
    losses = [line["loss"] for line in result.metrics if "loss" in line]
    assert len(losses) >= len(config.resolved()) and all(0 < loss < 20 for loss in losses)
    assert (result.model / "model.safetensors").is_file()
    for key in ("learning_rates", "lora", "precision", "gradient_checkpointing", "schedule", "supervise"):
        assert getattr(config, key) == getattr(load_config(recipe), key)  # what the recipe is about was not changed


def test_published_settings() -> None:
    folder = RECIPES[0].parent
    for name in ("llavaction-7b", "llavaction-0.5b"):
        config: TrainConfig = load_config(folder / f"{name}.yaml")
        rates = config.learning_rates
        assert (rates.tower, rates.projector, rates.language, rates.action) == (2e-6, 1e-5, 1e-5, 1e-5)
        assert (config.global_batch, config.frames, config.epochs, config.warm_up) == (64, 16, 2, 0.03)
        assert (config.schedule, config.weight_decay, config.precision) == ("cosine", 0.0, "bfloat16")
        assert config.action is not None and config.action.sizes == (97, 300, 3806)
    assert read_json(folder / "zero3.json")["zero_optimization"]["stage"] == 3
