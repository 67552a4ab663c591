"""Two processes on one machine do what one process does at the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from helpers.kitchenette import settings
from llavaction.base.errors import InputError
from llavaction.training.config import TrainConfig
from llavaction.training.meter import read_metrics
from llavaction.training.run import train


def recipe(home: Path, folder: Path, name: str, **values: Any) -> Path:
    """Of micro-batches of which some hold text alone, and do not use the tower."""
    changes = {"global_batch": 8, "micro_batch": 1, "steps": 3, "supervise": "answer", **values}
    evaluation = {"benchmark": str(home / "benchmark"), "every": 3}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(settings(home, str(folder / name), evaluation=evaluation, **changes)))
    return file


def test_two_processes_equal_one(home: Path, tmp_path: Path) -> None:
    file = recipe(home, tmp_path, "two", world_size=2, micro_batch=2)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*torchrun, "-m", "llavaction.cli.main", "train", "--config", str(file)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("trained:") == 1  # only the first process speaks
    train(TrainConfig.from_mapping(yaml.safe_load(recipe(home, tmp_path, "one").read_text())))
    found = {name: read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two")}
    steps = {name: [line for line in lines if "loss" in line] for name, lines in found.items()}
    assert [line["world_size"] for line in steps["two"]] == [2, 2, 2] and steps["one"][0]["world_size"] == 1
    for one, two in zip(steps["one"], steps["two"], strict=True):
        for name in ("loss", "lm_loss", "action_loss", "grad_norm"):
            assert two[name] == pytest.approx(one[name], abs=1e-4, rel=1e-4)
    asked = {name: [line for line in lines if "eval_accuracy" in line] for name, lines in found.items()}
    assert asked["one"][0]["eval_accuracy"] == asked["two"][0]["eval_accuracy"]
    assert asked["two"][0]["eval_questions"] == 6
    first, second = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    start = load_file(tmp_path / "one" / "start" / "model.safetensors")
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-4
    assert max(float((first[name] - start[name]).abs().max()) for name in first) > 1e-3


def test_the_number_of_processes_is_checked(home: Path, tmp_path: Path) -> None:
    config = TrainConfig.from_mapping(settings(home, str(tmp_path / "run"), world_size=2))
    with pytest.raises(InputError, match="started with 1 processes, world_size is 2"):
        train(config)
    assert not torch.distributed.is_initialized() and not (tmp_path / "run").exists()
