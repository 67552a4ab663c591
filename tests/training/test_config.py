"""Recipes: what is refused, and what stages inherit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.kitchenette import settings
from llavaction.base import notes
from llavaction.base.errors import InputError
from llavaction.models.param_groups import PARAM_GROUPS
from llavaction.training.config import TrainConfig, accumulation, load_config, merged
from llavaction.training.old_keys import OF_A_STAGE


def write(path: Path, **values: Any) -> Path:
    path.write_text(yaml.safe_dump(settings(path.parent, **values)))
    return path


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lerning_rates", {}, "unknown key 'lerning_rates'; did you mean 'learning_rates'"),
        ("learning_rates", {"towr": 1.0}, "unknown key 'towr'; known: action, language_model, projector, vision_tower"),
        ("lora", {"rnak": 1}, "unknown key 'rnak'; did you mean 'rank'"),
        ("records", [{"path": "a", "wieght": 2}], "unknown key 'wieght'; did you mean 'weight'"),
        ("evaluation", {"benchmrk": "a"}, "did you mean 'benchmark'"),
        ("stages", [{"name": "one", "frmes": 3}], "stage 1: .*unknown key 'frmes'; did you mean 'num_frames'"),
        ("stages", [{"name": "one"}, {"name": "one"}], "every stage needs a name of its own"),
        ("records", [], "name at least one file"),
        ("learning_rates", dict.fromkeys(PARAM_GROUPS), "every part .* is frozen"),
        ("global_batch", 0, "greater than or equal to 1"),
        ("deepspeed", "a.json", "deepspeed and fsdp exclude each other"),
        ("stages", [{"name": "one"}, {"name": "model"}], "'model' is no name for a stage"),
        ("name", "..", r"'\.\.' is no name for a stage"),
        ("evaluation", {"benchmark": "a"}, "take it out of stage 'train'"),
    ],
)
def test_what_is_refused(tmp_path: Path, key: str, value: Any, message: str) -> None:
    more = {"fsdp": {"version": 2}} if key in ("deepspeed", "evaluation") and "benchmrk" not in str(value) else {}
    with pytest.raises(InputError, match=message) as caught:
        load_config(write(tmp_path / "recipe.yaml", **{key: value}, **more))
    assert "recipe.yaml" in str(caught.value)


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    with pytest.raises(InputError, match=r"recipe.yaml: no such file"):
        load_config(file)
    file.write_text("model: a\n  output: b\n")
    with pytest.raises(InputError, match=r"recipe.yaml:2: not readable as YAML"):
        load_config(file)
    file.write_bytes(b"model: caf\xe9\n")
    with pytest.raises(InputError, match=r"recipe.yaml:1: is not UTF-8 text"):
        load_config(file)
    file.write_text("- a\n")
    with pytest.raises(InputError, match="is not a recipe"):
        load_config(file)


def test_settings_replace_what_the_file_says(tmp_path: Path) -> None:
    file = write(tmp_path / "recipe.yaml", stages=[{"name": "a"}, {"name": "b", "steps": 3}])
    changes = [
        ("learning_rates.vision_tower", None),
        ("lora.rank", 8),
        ("records.0.cap", 5),
        ("stages.1.steps", 9),
        ("seed", 4),
    ]
    config = load_config(file, changes)
    first, second = config.resolved()
    assert (config.seed, config.records[0].cap, first.steps, second.steps) == (4, 5, 4, 9)
    assert second.lora is not None and second.lora.rank == 8
    assert second.learning_rates.vision_tower is None and second.learning_rates.language_model == 1e-3
    for key, message in (
        ("records.7.cap", r"there is no 'records.7'"),
        ("records.x", "leads nowhere"),
        ("seeed", "did you mean 'seed'"),
        ("lora.rnk", "did you mean 'rank'"),
    ):
        with pytest.raises(InputError, match=message):
            load_config(file, [(key, 1)])


def test_stages_inherit_blocks_key_by_key(tmp_path: Path) -> None:
    stages = [
        {"name": "align", "learning_rates": {"vision_tower": None}, "lora": {"rank": 2}},
        {"frames": 7, "lora": None, "supervise": "answer"},
    ]
    values = settings(tmp_path, stages=stages, lora={"alpha": 3.0})
    align, second = TrainConfig.from_mapping(values).resolved()
    assert (align.name, second.name) == ("align", "stage-2")
    assert align.learning_rates.vision_tower is None and align.learning_rates.projector == 1e-3
    assert align.lora is not None and (align.lora.rank, align.lora.alpha) == (2, 3.0)
    assert second.lora is None and (align.num_frames, second.num_frames) == (4, 7)
    assert second.learning_rates.vision_tower == 1e-3
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}


def test_keys_of_the_version_before_are_read_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"path": "r.jsonl", "num_frames": 3}]
    rates = {"vision_tower": None, "projector": 2e-3, "language_model": 3e-3, "action": 1e-3}
    today = settings(
        tmp_path, num_frames=5, lr_schedule="linear", warmup_ratio=0.5, length_group_batches=2, max_grad_norm=3.0,
        records=records, learning_rates=rates, stages=[{"name": "a"}, {"name": "b", "num_frames": 6}],
    )  # fmt: skip
    old = dict(today)
    for before, now in OF_A_STAGE.items():
        old[before] = old.pop(now)
    old["records"] = [{"path": "r.jsonl", "frames": 3}]
    old["learning_rates"] = {"tower": None, "projector": 2e-3, "language": 3e-3, "action": 1e-3}
    old["stages"] = [{"name": "a"}, {"name": "b", "frames": 6}]
    notes._said.clear()
    assert TrainConfig.from_mapping(old) == TrainConfig.from_mapping(today)
    said = capsys.readouterr().err
    for before, now in (*OF_A_STAGE.items(), ("tower", "vision_tower"), ("language", "language_model")):
        assert f"a recipe says '{before}', which is called '{now}' now" in said
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(today))
    changed = load_config(file, [("frames", 9), ("learning_rates.tower", 1e-3), ("stages.1.warm_up", 0.1)])
    first, second = changed.resolved()
    assert (first.num_frames, second.num_frames, second.warmup_ratio) == (9, 6, 0.1)
    assert first.learning_rates.vision_tower == 1e-3
    with pytest.raises(InputError, match="unknown key 'frames'"):  # both names at once
        TrainConfig.from_mapping(today | {"frames": 2})


def test_the_global_batch_is_divided_among_processes(tmp_path: Path) -> None:
    stage = TrainConfig.from_mapping(settings(tmp_path, global_batch=64, micro_batch=4)).resolved()[0]
    assert [accumulation(stage, world) for world in (1, 2, 8, 16)] == [16, 8, 2, 1]
    with pytest.raises(InputError, match="64 is no multiple of micro_batch 4 x 3 processes") as caught:
        accumulation(stage, 3)
    assert "72 would be" in str(caught.value)
