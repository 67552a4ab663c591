"""Whole trainings on a toy: resumed exactly, merged exactly, never losing more than the steps since a checkpoint."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
import yaml
from safetensors.torch import load_file

from helpers.kitchenette import clip_record, settings, write_mixture
from kitchen_mini.weights import model_folder
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.records import write_records
from llavaction.models.checkpoint import load_model, open_checkpoint
from llavaction.models.param_groups import PARAM_GROUPS
from llavaction.runs.locks import RunLockedError, folder_lock
from llavaction.testing.tiny import write_tiny
from llavaction.training import base_trainer
from llavaction.training import run as run_module
from llavaction.training import trainable_model as model_module
from llavaction.training.checkpoints import checkpoints
from llavaction.training.config import TrainConfig
from llavaction.training.meter import read_metrics
from llavaction.training.run import train
from llavaction.training.trainable_model import make_trainable_model, merge_adapters, start_folder
from llavaction.training.trainer import SupervisedTrainer

LORA = {"rank": 4, "alpha": 8.0, "dropout": 0.1}
HEADS = {"verbs": 3, "nouns": 3, "actions": 3}


def run(home: Path, output: Path, **values: Any) -> list[dict[str, Any]]:
    return train(TrainConfig.from_mapping(settings(home, str(output), **values))).metrics


def losses(lines: list[dict[str, Any]]) -> dict[int, tuple[float, ...]]:
    names = ("loss", "lm_loss", "action_loss", "grad_norm", "learning_rate")
    return {line["step"]: tuple(line.get(name) for name in names) for line in lines if "loss" in line}


def stopping_at(step: int) -> Any:
    forward = SupervisedTrainer.compute_loss

    def stopped(self: SupervisedTrainer, *args: Any, **rest: Any) -> Any:
        if self.state.global_step == step:
            raise KeyboardInterrupt
        return forward(self, *args, **rest)

    return stopped


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("llava_video", {"workers": 1, "jitter": True}),
        ("llava_video", {"lora": LORA, "gradient_checkpointing": True}),
        ("qwen3_vl", {"action": HEADS}),
        ("internvl", {}),  # whose weights have other names on disk
    ],
)
def test_resumed_training_equals_an_unbroken_one(
    family: str, values: dict[str, Any], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"model": f"tiny:{family}", "steps": 5, **values}
    unbroken = run(home, tmp_path / "unbroken", **values)
    with monkeypatch.context() as patch:
        patch.setattr(SupervisedTrainer, "compute_loss", stopping_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(home, tmp_path / "broken", **values)
    before = read_metrics(tmp_path / "broken" / "metrics.jsonl")
    assert max(losses(before)) == 3
    assert [path.name for path in checkpoints(tmp_path / "broken" / "train")] == ["checkpoint-2"]
    resumed = run(home, tmp_path / "broken", **values)
    assert losses(resumed) == losses(unbroken)
    assert [line["step"] for line in resumed if "loss" in line] == [1, 2, 3, 4, 5]  # step 3 is not there twice
    mean = sum(line["loss"] for line in unbroken if "loss" in line) / 5
    for lines in (unbroken, resumed):
        assert [line["train_loss"] for line in lines if "train_loss" in line] == [pytest.approx(mean, abs=1e-4)]
    first, second = weights(tmp_path / "unbroken"), weights(tmp_path / "broken")
    assert all(torch.equal(first[name], second[name]) for name in first)
    start = load_file(tmp_path / "broken" / "start" / "model.safetensors")
    assert any(not torch.equal(start[name], first[name]) for name in start)


def test_no_step_is_missing_from_the_mean_loss(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [line["loss"] for line in run(home, tmp_path / "every", steps=6) if "loss" in line]
    values = {"steps": 6, "log_steps": 10, "save_steps": 4}
    rare = run(home, tmp_path / "rare", **values)
    with monkeypatch.context() as patch:
        patch.setattr(SupervisedTrainer, "compute_loss", stopping_at(5))
        with pytest.raises(KeyboardInterrupt):
            run(home, tmp_path / "broken", **values)
    resumed = run(home, tmp_path / "broken", **values)
    for lines in (rare, resumed):
        assert [line["step"] for line in lines if "loss" in line] == [1, 4, 6]
        assert [line["train_loss"] for line in lines if "train_loss" in line] == [pytest.approx(sum(every) / 6)]


def test_the_log_is_the_same_wherever_a_training_was_stopped(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = run(home, tmp_path / "unbroken", steps=2)
    assert [line["step"] for line in unbroken] == [0, 1, 2, 2]
    for _ in range(2):  # twice before the first step
        with monkeypatch.context() as patch:
            patch.setattr(SupervisedTrainer, "compute_loss", stopping_at(0))
            with pytest.raises(KeyboardInterrupt):
                run(home, tmp_path / "broken", steps=2)
    with monkeypatch.context() as patch:  # once after the last one, the model not yet saved
        patch.setattr("llavaction.training.base_trainer.save_trainable_model", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(home, tmp_path / "broken", steps=2)
    assert "train_loss" in read_metrics(tmp_path / "broken" / "metrics.jsonl")[-1]
    resumed = run(home, tmp_path / "broken", steps=2)
    untimed = [name for line in unbroken for name in line if not re.search("second|flop|runtime", name)]
    assert [{name: line.get(name) for name in untimed} for line in resumed] == [
        {name: line.get(name) for name in untimed} for line in unbroken
    ]


def test_what_is_logged_and_left_behind(home: Path, tmp_path: Path) -> None:
    evaluation = {"benchmark": str(home / "benchmark"), "every": 2, "limit": 5}
    lines = run(home, tmp_path / "run", evaluation=evaluation, keep_checkpoints=1)
    assert lines[0]["records"] == 16 and lines[0]["steps"] == 4 and lines[0]["peak_flops"] > 1e8
    steps = [line for line in lines if "loss" in line]
    for line in steps:
        assert line["tokens_per_second"] > 0 and 0 < line["flop_utilisation"] < 1 and 0 <= line["padding"] < 0.5
        assert line["skipped"] == 0 and line["world_size"] == 1
        assert line["loss"] == pytest.approx(line["lm_loss"] + 0.1 * line["action_loss"], abs=1e-5)
    asked = [line for line in lines if "eval_accuracy" in line]
    assert [line["step"] for line in asked] == [2, 4]
    assert all(line["eval_questions"] == 5 and line["eval_failed"] == 0 for line in asked)
    assert [path.name for path in checkpoints(tmp_path / "run" / "train")] == ["checkpoint-4"]
    assert list((tmp_path / "run" / "tensorboard" / "train").iterdir())
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["steps"] == 4
    backend = HuggingFaceBackend(HuggingFaceConfig(path=tmp_path / "run" / "model", frames=2))
    assert backend.model.config.action["verbs"] == 14
    assert HuggingFaceBackend(HuggingFaceConfig(path=tmp_path / "run" / "model")).needs_frames == 4  # as trained
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text()).get("use_cache", True)
    again = run(home, tmp_path / "run", evaluation=evaluation, keep_checkpoints=1)
    assert again == lines  # nothing is done twice
    with pytest.raises(InputError, match=r"training of other settings: train\.steps was 4, now 6"):
        run(home, tmp_path / "run", steps=6)


def test_it_learns(home: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", [clip_record(number) for number in range(3)])
    records = [{"path": str(tmp_path / "records.jsonl")}]
    lines = run(
        home, tmp_path / "run", records=records, steps=25, global_batch=6, micro_batch=6, supervise="answer",
        lr_schedule="constant", learning_rates=dict.fromkeys(PARAM_GROUPS, 3e-3),
        save_steps=100, log_steps=1,
    )  # fmt: skip
    found = [line for line in lines if "loss" in line]
    assert found[0]["lm_loss"] > 4 and found[-1]["lm_loss"] < 0.6
    assert found[-1]["action_loss"] < 0.7 * found[0]["action_loss"]


@pytest.mark.parametrize("family", ["llava_video", "qwen2_5_vl"])
def test_adapters_merge_to_a_model_with_the_same_outputs(family: str, home: Path, tmp_path: Path) -> None:
    heads = None if family == "llava_video" else HEADS
    rates = dict.fromkeys(PARAM_GROUPS, 3e-2)
    values = {"lora": LORA, "action": heads, "model": f"tiny:{family}", "learning_rates": rates}
    run(home, tmp_path / "run", **values)
    config = TrainConfig.from_mapping(settings(home, str(tmp_path / "run"), **values))
    trainable = make_trainable_model(tmp_path / "run" / "start", config.resolved()[0], seed=0)
    checkpoint = checkpoints(tmp_path / "run" / "train")[-1]
    assert not (checkpoint / "model.safetensors").exists()  # adapters alone are kept
    trainable.model.load_adapter(str(checkpoint), "default", is_trainable=False)
    made = open_checkpoint(tmp_path / "run" / "model")
    merged = load_model(made, device=torch.device("cpu"), dtype=torch.float32)
    plain = load_model(open_checkpoint(tmp_path / "run" / "start"), device=torch.device("cpu"), dtype=torch.float32)
    ids = torch.tensor([[5, 6, 7, *merged.action.token_ids, 8]])
    with torch.no_grad():
        wanted = trainable.model.eval()(input_ids=ids, output_hidden_states=True)
        got = merged(input_ids=ids, output_hidden_states=True)
        before = plain(input_ids=ids[:, [0, 1, 2, -1]])
    assert got.logits.shape == wanted.logits.shape
    torch.testing.assert_close(got.logits, wanted.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got.verb_logits, wanted.verb_logits, atol=1e-4, rtol=1e-4)
    assert (got.logits[:, :3] - before.logits[:, :3]).abs().max() > 1e-2  # the adapters did learn
    assert merge_adapters(plain) is plain


def test_frozen_parts_stay_and_precision_is_that_of_what_learns(home: Path, tmp_path: Path) -> None:
    rates = {"vision_tower": None, "projector": 1e-2, "language_model": None, "action": 1e-2}
    lines = run(home, tmp_path / "run", learning_rates=rates, precision="bfloat16")
    assert all(line["loss"] == line["loss"] for line in lines if "loss" in line)
    before, after = load_file(tmp_path / "run" / "start" / "model.safetensors"), weights(tmp_path / "run")
    changed = {name for name in after if not torch.equal(after[name], before[name].to(torch.bfloat16))}
    assert changed and all("projector" in n or "newline" in n or "head.weight" in n or "action" in n for n in changed)
    assert not any("lm_head" in name for name in changed)
    stage = TrainConfig.from_mapping(settings(home, learning_rates=rates, precision="bfloat16")).resolved()[0]
    trainable = make_trainable_model(
        start_folder(
            TrainConfig.from_mapping({"model": "tiny:llava_video", "output": tmp_path, "records": [{"path": "none"}]})
        ),
        stage,
        seed=0,
    )
    for parameter in trainable.model.parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16)


def test_stages_follow_each_other(home: Path, tmp_path: Path) -> None:
    align = {
        "name": "align",
        "steps": 2,
        "learning_rates": {"vision_tower": None, "language_model": None, "action": None},
    }
    lines = run(home, tmp_path / "run", stages=[align, {"name": "mixture", "steps": 2}])
    assert [(line["stage"], line["step"]) for line in lines if "loss" in line] == [
        ("align", 1), ("align", 2), ("mixture", 1), ("mixture", 2)
    ]  # fmt: skip
    first, last = load_file(tmp_path / "run" / "align" / "model" / "model.safetensors"), weights(tmp_path / "run")
    start = load_file(tmp_path / "run" / "start" / "model.safetensors")
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    assert torch.equal(start[name], first[name]) and not torch.equal(first[name], last[name])
    (tmp_path / "run" / "model" / "config.json").unlink()
    shutil.rmtree(tmp_path / "run" / "model")
    again = run(home, tmp_path / "run", stages=[align, {"name": "mixture", "steps": 2}])
    assert losses(again) == losses(lines)  # the first stage is not trained again
    assert all(torch.equal(value, last[key]) for key, value in weights(tmp_path / "run").items())


def test_unreadable_videos_are_skipped_and_counted(home: Path, tmp_path: Path) -> None:
    videos = Path(shutil.copytree(home / "videos", tmp_path / "videos"))
    (videos / "red.mp4").write_bytes(b"broken")
    write_mixture(tmp_path / "records.jsonl", clips=12, texts=0)
    records = [{"path": str(tmp_path / "records.jsonl")}]
    values = {"videos": str(videos), "records": records, "steps": 3, "micro_batch": 1}
    lines = run(home, tmp_path / "run", **values)
    assert [line["skipped"] for line in lines if "loss" in line][-1] == 4  # a third of one pass
    assert all(line["loss"] > 0 for line in lines if "loss" in line)
    for name in ("green", "blue"):
        (videos / f"{name}.mp4").write_bytes(b"broken")
    with pytest.raises(LlavactionError, match=r"none of the first 64 records could be used; the first: .*mp4"):
        run(home, tmp_path / "other", **{**values, "steps": 20})


def test_a_full_disk_leaves_the_last_checkpoint(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, written = torch.save, []

    def full(value: Any, file: Any, *rest: Any, **more: Any) -> None:
        written.append(file)
        if "checkpoint-4" in str(file) and "optimizer" in str(file):
            Path(file).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(value, file, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(InputError, match=r"checkpoint of step 4 cannot be written: .*No space left") as caught:
            run(home, tmp_path / "run")
    assert written and "checkpoint-2 is intact" in str(caught.value)
    assert sorted(path.name for path in (tmp_path / "run" / "train").iterdir()) == ["checkpoint-2", "data.json"]
    assert losses(run(home, tmp_path / "run")) == losses(run(home, tmp_path / "unbroken"))


def test_checkpoints_do_not_go_on_with_other_data(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, videos = tmp_path / "records.jsonl", Path(shutil.copytree(home / "videos", tmp_path / "videos"))
    write_mixture(records)
    values = {"records": [{"path": str(records)}], "videos": str(videos)}
    with monkeypatch.context() as patch:
        patch.setattr(SupervisedTrainer, "compute_loss", stopping_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(home, tmp_path / "run", **values)
    (videos / "red.mp4").rename(tmp_path / "red.mp4")
    with pytest.raises(InputError, match=r"usable records was '16 \(.*, now '12 \(.*\n.*bring back"):
        run(home, tmp_path / "run", **values)
    (tmp_path / "red.mp4").rename(videos / "red.mp4")
    kept = records.read_bytes()
    write_records(records, [clip_record(number) for number in range(16)])
    with pytest.raises(InputError, match=r"other records: 1\. file of records was"):
        run(home, tmp_path / "run", **values)
    records.write_bytes(kept)
    film, other = (videos / "red.mp4").read_bytes(), (videos / "blue.mp4").read_bytes()
    (videos / "red.mp4").write_bytes(other)
    with pytest.raises(InputError, match=r"other data: videos was '3 \(.*, now '3 \("):
        run(home, tmp_path / "run", **values)
    (videos / "red.mp4").write_bytes(film)
    os.utime(videos / "red.mp4", (1, 1))
    respelled = values | {"videos": str(videos / ".." / "videos")}
    assert max(losses(run(home, tmp_path / "run", **respelled))) == 4
    write_records(records, [clip_record(number) for number in range(16)])
    with pytest.raises(InputError, match=r"stage 'train' was trained on other records"):
        run(home, tmp_path / "run", **values)


def test_what_a_training_had_to_do_without_is_counted(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, long, gone = clip_record(0), clip_record(1), clip_record(2, video="nowhere")
    late = long.clip.model_copy(update={"start": 2.0, "stop": 5.0})  # the film ends at 3 s
    after = long.clip.model_copy(update={"start": 7.0, "stop": 9.0})
    changed = [long.model_copy(update={"record_id": name, "clip": clip}) for name, clip in (("a", late), ("b", after))]
    write_records(tmp_path / "records.jsonl", [whole, *changed, gone])
    config = settings(home, str(tmp_path / "run"), records=[{"path": str(tmp_path / "records.jsonl")}], epochs=1)
    config |= {"steps": None, "global_batch": 3, "micro_batch": 3, "evaluation": None}
    result = train(TrainConfig.from_mapping(config))
    (step,) = [line for line in result.metrics if "loss" in line]
    assert (step["skipped"], step["partial"]) == (1, 1)
    expected = (
        "1 records whose video is missing, 1 times a record was skipped, 1 times a record's clip was not complete"
    )
    assert result.losses_of_data == f"stage 'train': {expected}"
    assert "record with an incomplete clip: a: " in capsys.readouterr().err


def test_a_training_does_not_go_on_from_another_model(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = write_tiny(tmp_path / "start", "llava_video")
    with monkeypatch.context() as patch:
        patch.setattr(SupervisedTrainer, "compute_loss", stopping_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(home, tmp_path / "run", model=str(start))
    kept = (start / "model.safetensors").read_bytes()
    (start / "model.safetensors").write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(InputError, match=r"its model .* changed since .*: the weights changed"):
        run(home, tmp_path / "run", model=str(start))
    (start / "model.safetensors").write_bytes(kept)
    (tmp_path / "link").symlink_to(start)
    environment = tmp_path / "run" / "environment.json"
    (present,) = json.loads(environment.read_text())["environments"]
    assert present["packages"]["torch"] == torch.__version__ and present["processes"] == 1 and present["threads"] >= 1
    earlier = {"python": "3.11.0", "torch": "2.0", "transformers": "5.0", "threads": 2, "gpu": None, "processes": 1}
    known = json.loads((tmp_path / "run" / "start.json").read_text())["fingerprint"]
    environment.write_text(json.dumps({**earlier, "model": {**known, "weights": "other"}}))
    (tmp_path / "run" / "start.json").unlink()  # an earlier version kept one record of both
    with pytest.raises(InputError, match=r"its model .* changed since .*: the weights changed"):
        run(home, tmp_path / "run", model=str(start))
    environment.write_text(json.dumps({**earlier, "model": known}))
    assert max(losses(run(home, tmp_path / "run", model=str(tmp_path / "link")))) == 4
    assert json.loads((tmp_path / "run" / "start.json").read_text()) == {"fingerprint": known}
    assert json.loads(environment.read_text())["environments"] == [{**earlier, "model": known}, present]


def test_a_resumed_training_saves_as_often_as_it_is_told_now(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SupervisedTrainer, "compute_loss", stopping_at(3))
        with pytest.raises(KeyboardInterrupt):
            run(home, tmp_path / "run", steps=8)
    evaluation = {"benchmark": str(home / "benchmark"), "every": 3, "limit": 5}
    changed = {"save_steps": 1, "keep_checkpoints": 9, "log_steps": 2, "evaluation": evaluation}
    lines = run(home, tmp_path / "run", steps=8, **changed)
    assert [int(path.name[11:]) for path in checkpoints(tmp_path / "run" / "train")] == [2, 3, 4, 5, 6, 7, 8]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6, 7, 8]  # one at every checkpoint
    assert [line["step"] for line in lines if "eval_accuracy" in line] == [3, 6, 8]


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_no_number_ends_the_training(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    forward = SupervisedTrainer.compute_loss

    def spoilt(self: SupervisedTrainer, *args: Any, **rest: Any) -> Any:
        loss = forward(self, *args, **rest)
        if self.state.global_step == 3 and where == "loss":
            return loss * float("nan")
        if self.state.global_step == 3:
            loss.register_hook(lambda gradient: gradient * float("inf"))
        return loss

    monkeypatch.setattr(SupervisedTrainer, "compute_loss", spoilt)
    with pytest.raises(LlavactionError, match=rf"train: the {where} is (nan|inf) in step 4(.|\n)*checkpoint-2"):
        run(home, tmp_path / "run")
    (kept,) = checkpoints(tmp_path / "run" / "train")
    assert kept.name == "checkpoint-2"
    assert all(value.isfinite().all() for value in load_file(kept / "model.safetensors").values())


@pytest.mark.parametrize("values", [{}, {"lora": LORA}])
def test_weights_that_were_spread_make_the_same_model(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    run(home, tmp_path / "one", steps=2, **values)
    monkeypatch.setattr(base_trainer, "is_spread", lambda trainer: True)
    run(home, tmp_path / "spread", steps=2, **values)
    one, spread = weights(tmp_path / "one"), weights(tmp_path / "spread")
    assert one.keys() == spread.keys() and all(torch.equal(one[name], spread[name]) for name in one)


def test_one_training_at_a_time(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "PATIENCE", 0.3)
    with folder_lock(tmp_path / "run"), pytest.raises(RunLockedError, match="another process is writing"):
        run(home, tmp_path / "run")
    assert run(home, tmp_path / "run", steps=1)


def test_a_start_is_there_whole_or_not_at_all(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, *unused: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text("{}")
        raise RuntimeError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(model_module, "write_tiny", full)
        with pytest.raises(InputError, match="start from cannot be written: No space left"):
            run(home, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").glob("*start*")) == []
    assert run(home, tmp_path / "run", steps=4)


def test_the_bundled_model_can_be_a_start(home: Path) -> None:
    config = TrainConfig.from_mapping(settings(home, model="bundled"))
    assert start_folder(config) == model_folder()


def test_a_half_written_checkpoint_is_not_resumed_from(tmp_path: Path) -> None:
    for name in ("checkpoint-3", "checkpoint-12", ".unfinished/checkpoint-20"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-40").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-3", "checkpoint-12"]


def test_a_kill_at_any_time_loses_only_the_steps_since_the_last_checkpoint(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.yaml"
    values = {
        "steps": 400,
        "save_steps": 3,
        "learning_rates": dict.fromkeys(PARAM_GROUPS, 1e-4),
    }
    recipe.write_text(yaml.safe_dump(settings(home, str(tmp_path / "killed"), **values)))
    command = [sys.executable, "-m", "llavaction.cli.main", "train", "--config", str(recipe)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    log = tmp_path / "killed" / "metrics.jsonl"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and max(losses(read_metrics(log)), default=0) < 8:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = max(losses(read_metrics(log)))
    kept = checkpoints(tmp_path / "killed" / "train")
    last = int(kept[-1].name.rpartition("-")[2])
    assert 8 <= reached < 400 and reached - 4 <= last <= reached
    for folder in kept:
        assert json.loads((folder / "trainer_state.json").read_text())["global_step"] > 0
    stop = last + 2
    with monkeypatch.context() as patch:
        patch.setattr(SupervisedTrainer, "compute_loss", stopping_at(stop))
        for name in ("killed", "unbroken"):
            with pytest.raises(KeyboardInterrupt):
                run(home, tmp_path / name, **values)
    resumed = losses(read_metrics(log))
    assert max(resumed) == stop
    assert resumed == losses(read_metrics(tmp_path / "unbroken" / "metrics.jsonl"))
