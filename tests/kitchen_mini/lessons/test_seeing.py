"""A mini model from nothing: lessons in words, then new layers below that learn to see, and nothing else does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from helpers.kitchenette import settings
from helpers.small_models import MINI
from kitchen_mini.lessons import lesson
from kitchen_mini.lessons.config import LessonConfig
from kitchen_mini.lessons.lesson import Seeing
from kitchen_mini.model import depth
from kitchen_mini.renderer import KitchenMiniConfig, generate
from llavaction.base.errors import InputError
from llavaction.curation.mixture import RECORDS, curate
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.training.config import TrainConfig
from llavaction.training.run import train
from llavaction.training.trainable_model import make_trainable_model
from llavaction.training.trainer import SupervisedTrainer

CHOICE = {"task": "hard_action_recognition", "miner": "random", "options": 2}
SAYING = {"task": "direct_narration", "answer": "label"}
HEADS = {"verbs": 14, "nouns": 22, "actions": 150}
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short videos, records of them, and records in which words stand in for them."""
    folder = tmp_path_factory.mktemp("kitchen") / "mini"
    values = {"width": 64, "height": 48, "train_videos": 2, "validation_videos": 0, "test_videos": 0}
    generate(
        folder, settings=KitchenMiniConfig(**values, min_segments=3, max_segments=3, train_participants=2), workers=1
    )
    for name, stand_in in (("words", True), ("see", False)):
        tasks = [
            {"task": "stand_in", "name": task["task"], "of": task} if stand_in else task for task in (CHOICE, SAYING)
        ]
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"tasks": tasks}))
        curate(EpicKitchens(folder / "annotations"), folder / f"{name}.yaml", folder / name)
    return folder


def recipe(kitchen: Path, output: Path, guards: dict[str, Any] | None = None, **see: Any) -> TrainConfig:
    rates = dict.fromkeys(("vision_tower", "projector", "language_model", "action"))
    words = {
        "name": "words",
        "records": [{"path": str(kitchen / "words" / RECORDS)}],
        "learning_rates": {**rates, "language_model": 1e-3, "action": 1e-3},
        "action": {**HEADS, "word_noise": 0.5},
        "steps": 3,
    }
    seeing = {
        "name": "see",
        "records": [{"path": str(kitchen / "see" / RECORDS)}],
        "supervise": "nothing",
        "kind": "lesson",
        "extra": {
            "new_layers": 2,
            "name_heads": str(kitchen / "annotations"),
            "seeing": guards or {"layers": 2, "alone": True, "words": 2.0, "action": 0.5},
        },
        "action": {**HEADS, "training": "last_layer", "head_weight": 4.0},
        "learning_rates": {**rates, "projector": 1e-3, "language_model": 1e-3},
        "steps": 5,
    }
    values = {"model": "mini", "start": MINI.model_dump(), "videos": str(kitchen / "videos"), "cache_gb": 0.1}
    values |= {"stages": [words, seeing | see], "attention": "eager", "supervise": "answer", "weight_decay": 0.01}
    return TrainConfig.from_mapping(settings(kitchen, str(output), **values))


def losses(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("step", "loss", "lm_loss", "action_loss", "words_loss", "saying_loss", "grad_norm", "learning_rate")
    return [{name: line[name] for name in names if name in line} for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def unbroken(kitchen: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], list[Any]]:
    """Folder and log of a whole training, and how many layers ran each time in the lesson."""
    folder, ran = tmp_path_factory.mktemp("unbroken"), []

    def noted(model: Any, layers: int | None) -> Any:
        ran.append(layers)
        return depth.first_layers(model, layers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesson, "first_layers", noted)
        lines = train(recipe(kitchen, folder / "run")).metrics
    return folder / "run", lines, ran


def test_only_the_first_layers_and_the_projector_learn(unbroken: Any, kitchen: Path) -> None:
    run, _, ran = unbroken
    stage = recipe(kitchen, run).resolved()[1]
    addition = Seeing(LessonConfig.from_mapping(stage.extra))
    before = make_trainable_model(run / "words" / "model", stage, seed=0, addition=addition).core.state_dict()
    after = load_file(run / "model" / WEIGHTS)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    layers = {f"model.language_model.layers.{number}." for number in (0, 1)}
    assert all("projector" in name or "newline" in name or name.startswith(tuple(layers)) for name in changed)
    for part in (*layers, "multi_modal_projector"):
        assert any(part in name for name in changed)
    text, table = load_file(run / "words" / "model" / WEIGHTS), "model.language_model.embed_tokens.weight"
    for name in ("self_attn.q_proj.weight", "mlp.down_proj.weight"):  # what could read has gone up
        assert torch.equal(
            after[f"model.language_model.layers.3.{name}"], text[f"model.language_model.layers.1.{name}"]
        )
    assert torch.equal(after[table], text[table])
    assert len(ran) >= 5 and set(ran) == {2}


def test_what_is_logged(unbroken: Any) -> None:
    run, lines, _ = unbroken
    words, seen = ([line for line in lines if "loss" in line and line["stage"] == name] for name in ("words", "see"))
    assert (len(words), len(seen)) == (3, 5)
    for line in words:
        assert line["lm_loss"] > 1 and line["action_loss"] == 0
        assert not {"words_loss", "saying_loss"} & line.keys()  # nobody guards the words there
    assert seen[0]["words_loss"] == 0 < seen[-1]["words_loss"]  # new layers change nothing
    for line in seen:
        total = 4 * line["action_loss"] + 2 * line["words_loss"] + 0.5 * line["saying_loss"]
        assert line["lm_loss"] == 0 and line["saying_loss"] > 0
        assert line["loss"] == pytest.approx(total, rel=1e-3)
    start = load_file(run / "start" / WEIGHTS)
    assert not any("layers.2." in name for name in start if "language_model" in name)


def test_heads_say_the_names(unbroken: Any, kitchen: Path) -> None:
    run, _, _ = unbroken
    stage = recipe(kitchen, run).resolved()[1]
    trainable, vocabulary = (
        make_trainable_model(run / "model", stage, seed=0),
        EpicKitchens(kitchen / "annotations").vocabulary,
    )
    weights = load_file(run / "model" / WEIGHTS)
    table = weights["model.language_model.embed_tokens.weight"]
    for head, noun in (("verb_head", False), ("noun_head", True)):
        for index, row in enumerate(weights[f"{head}.weight"]):
            name = vocabulary.noun_name(index) if noun else vocabulary.verb_name(index)
            ids = trainable.checkpoint.tokenizer(f" {name}", add_special_tokens=False)["input_ids"]
            torch.testing.assert_close(row, table[ids].sum(0))


def test_resumed_seeing_equals_an_unbroken_one(
    unbroken: Any, kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, lines, _ = unbroken
    for name in ("start", "words"):
        shutil.copytree(run / name, tmp_path / "run" / name)
    for name in ("config.yaml", "metrics.jsonl"):
        shutil.copy(run / name, tmp_path / "run" / name)
    forward = SupervisedTrainer.compute_loss

    def stopped(self: SupervisedTrainer, *args: Any, **rest: Any) -> Any:
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return forward(self, *args, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(SupervisedTrainer, "compute_loss", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(kitchen, tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run" / "see").glob("checkpoint-*")] == ["checkpoint-2"]
    resumed = train(recipe(kitchen, tmp_path / "run")).metrics
    assert losses(resumed) == losses(lines)
    first, second = (load_file(folder / "model" / WEIGHTS) for folder in (run, tmp_path / "run"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_losses_do_not_depend_on_how_a_batch_is_cut(kitchen: Path, unbroken: Any, tmp_path: Path) -> None:
    run, _, _ = unbroken
    logs, weights = [], []
    for micro in (4, 1):
        folder = tmp_path / str(micro)
        for name in ("start", "words"):
            shutil.copytree(run / name, folder / name)
        seeing = {"layers": 2, "words": 2.0, "action": 0.5}
        config = recipe(kitchen, folder, seeing, supervise="answer", steps=3, global_batch=4, micro_batch=micro)
        logs.append(losses([line for line in train(config).metrics if line["stage"] == "see"]))
        weights.append(load_file(folder / "model" / WEIGHTS))
    assert len(logs[0]) == len(logs[1]) == 3 and logs[0][-1]["words_loss"] > 1e-6
    for whole, cut in zip(*logs, strict=True):
        assert cut == pytest.approx(whole, rel=1e-4, abs=1e-6)
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-4, rtol=1e-3)


def test_seeing_with_everything_else(kitchen: Path, unbroken: Any, tmp_path: Path) -> None:
    seeing = {"layers": 2, "words": 1.0, "action": 1.0}
    run, _, _ = unbroken
    for name in ("start", "words"):
        shutil.copytree(run / name, tmp_path / "run" / name)
    lines = train(recipe(kitchen, tmp_path / "run", seeing, supervise="answer", steps=2)).metrics
    seen = [line for line in lines if "loss" in line and line["stage"] == "see"]
    for line in seen:
        assert line["lm_loss"] > 1 and line["saying_loss"] > 0
        total = line["lm_loss"] + 4 * line["action_loss"] + line["words_loss"] + line["saying_loss"]
        assert line["loss"] == pytest.approx(total, rel=1e-3)
    before, after = (load_file(folder / "model" / WEIGHTS) for folder in (tmp_path / "run" / "words", tmp_path / "run"))
    name = "model.language_model.layers.{}.mlp.up_proj.weight"
    assert not torch.equal(before[name.format(1)], after[name.format(3)])


def test_names_for_a_model_without_heads(kitchen: Path, tmp_path: Path) -> None:
    lesson = {"kind": "lesson", "extra": {"name_heads": str(kitchen / "annotations")}}
    values = settings(kitchen, str(tmp_path / "run"), model="tiny:qwen2_5_vl", **lesson)
    values["records"] = [{"path": str(kitchen / "see" / RECORDS)}]
    with pytest.raises(InputError, match="name_heads: the model has no action heads"):
        train(TrainConfig.from_mapping(values))
