from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llavaction.base.errors import InputError
from llavaction.specialists.accuracy import measure
from llavaction.specialists.classifier import Specialist, fingerprint
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.scores import score_segments
from llavaction.specialists.training import STATE, augmented, rate_at, train_specialist
from llavaction.specialists.workflows import Source


def trained(source: Source, config: SpecialistConfig, output: Path, **options: Any) -> Specialist:
    return train_specialist(source.cache(config), source.labels, output, **options)


def accuracy(specialist: Specialist, source: Source) -> dict[str, float]:
    held_out = replace(source, split="validation")
    scores = score_segments(specialist, held_out.cache(specialist.config))
    predictions = list(scores.rankings(specialist.labels.actions, 5))
    overall = measure(scores, predictions, held_out.segments, {})["overall"]
    return {part: values["top-1"] for part, values in overall.items()}


def test_cnn_learns_motion_and_colour(toy: Source, tiny: SpecialistConfig, tmp_path: Path):
    found = accuracy(trained(toy, tiny, tmp_path), toy)
    assert found["verb"] > 0.9
    assert found["noun"] > 0.9
    assert found["action"] > 0.9


def test_videomae_learns(toy: Source, tmp_path: Path):
    config = SpecialistConfig(
        architecture="videomae", height=24, width=32, frames=6, patch=8, hidden=48, layers=2, dropout=0.0,
        epochs=30, batch_size=8, learning_rate=3e-3, shift=0.0, brightness=0.1,
    )  # fmt: skip
    found = accuracy(trained(toy, config, tmp_path), toy)
    assert found["verb"] > 0.75  # chance is 0.5
    assert found["noun"] > 0.75  # chance is 0.33


class StoppedError(Exception):
    pass


def test_stopped_training_goes_on_to_the_same_weights(toy: Source, brief: SpecialistConfig, tmp_path: Path):
    whole = trained(toy, brief, tmp_path / "whole")

    def stop(line: str) -> None:
        if line.startswith("epoch 2"):
            raise StoppedError

    with pytest.raises(StoppedError):
        trained(toy, brief, tmp_path / "parts", log=stop)
    assert (tmp_path / "parts" / STATE).is_file()
    lines: list[str] = []
    resumed = trained(toy, brief, tmp_path / "parts", log=lines.append)
    assert lines[0] == "continued after epoch 2 of 3"
    assert not (tmp_path / "parts" / STATE).exists()
    assert resumed.facts["loss"] == whole.facts["loss"]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert fingerprint(tmp_path / "whole") == fingerprint(tmp_path / "parts")
    again = trained(toy, brief, tmp_path / "parts", log=lines.append)
    assert lines[-1].startswith("already trained")
    assert again.facts == resumed.facts


def test_neither_workers_nor_memory_nor_the_global_state_change_a_training(
    toy: Source, brief: SpecialistConfig, tmp_path: Path
):
    config = brief.model_copy(update={"epochs": 1})
    torch.manual_seed(1)
    here = trained(toy, config, tmp_path / "here")
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    there = trained(replace(toy, workers=2), config.model_copy(update={"cache_gb": 0.0}), tmp_path / "there")
    assert torch.equal(torch.random.get_rng_state(), before)
    other = trained(toy, config.model_copy(update={"seed": 1}), tmp_path / "other")
    assert here.facts["identity"] == there.facts["identity"] != other.facts["identity"]
    assert all(torch.equal(value, there.state_dict()[name]) for name, value in here.state_dict().items())
    assert not torch.equal(here.verb_head.weight, other.verb_head.weight)


def test_bad_videos_are_left_out_and_counted(toy: Source, brief: SpecialistConfig, tmp_path: Path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in toy.videos.iterdir():
        content = path.read_bytes()
        (videos / path.name).write_bytes(content[:200] if path.stem == "P01_03" else content)
    (videos / "P02_01.mp4").unlink()
    source = replace(toy, videos=videos)
    config = brief.model_copy(update={"epochs": 1})
    cache = source.cache(config)
    specialist = train_specialist(cache, source.labels, tmp_path / "out")
    assert len(cache.faults.skipped) == 12
    assert set(specialist.facts["left_out"]) == {f"{video}_{i}" for video in ("P01_03", "P02_01") for i in range(6)}
    assert cache.faults.summary(48).startswith("12 of 48 segments left out (first: ")
    scores = score_segments(specialist, cache)
    assert len(scores.segment_ids) == 36
    with pytest.raises(InputError, match="has none of the 8 videos"):
        replace(source, videos=_emptied(videos)).cache(config)


def _emptied(videos: Path) -> Path:
    for path in videos.iterdir():
        path.rename(path.with_stem(f"another-{path.stem}"))
    return videos


def test_what_cannot_be_trained_is_refused(
    toy: Source, brief: SpecialistConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = brief.model_copy(update={"epochs": 2})
    with pytest.raises(InputError, match="no segments"):
        trained(toy, config, tmp_path / "none", places=[])
    with pytest.raises(InputError, match="lower learning_rate"):
        trained(toy, config.model_copy(update={"learning_rate": 1e30}), tmp_path / "infinite")

    def stop(line: str) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        trained(toy, config, tmp_path / "half", log=stop)
    with pytest.raises(InputError, match="with other settings"):
        trained(toy, config.model_copy(update={"seed": 5}), tmp_path / "half")

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    kept = (tmp_path / "half" / STATE).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("llavaction.specialists.classifier.save_file", full)
        with pytest.raises(InputError, match="No space left"):
            trained(toy, config, tmp_path / "half")
    assert (tmp_path / "half" / STATE).read_bytes() == kept
    trained(toy, config, tmp_path / "half")
    with pytest.raises(InputError, match="other annotations, videos, checkpoint or settings"):
        trained(toy, config, tmp_path / "half", places=range(12))


def test_a_specialist_is_known_by_its_videos(toy: Source, brief: SpecialistConfig, tmp_path: Path):
    videos = Path(shutil.copytree(toy.videos, tmp_path / "videos"))
    trained(replace(toy, videos=videos), brief, tmp_path / "out")
    again = replace(toy, videos=videos / ".." / "videos")
    assert trained(again, brief, tmp_path / "out", log=no_epoch).facts["segments"] == len(toy.segments)
    first, second, *_ = sorted(path for path in videos.rglob("*") if path.is_file())
    shutil.copyfile(first, second)
    with pytest.raises(InputError, match="other annotations, videos"):
        trained(again, brief, tmp_path / "out")


def no_epoch(line: str) -> None:
    assert not line.startswith("epoch")


def test_unknown_classes_are_named_with_file_and_line(toy: Source, tmp_path: Path):
    for path in toy.annotations.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table = tmp_path / "EPIC_100_train.csv"
    lines = table.read_text().splitlines()
    lines[4] = lines[4].replace(",put,1,", ",fly,99,").replace(",take,0,", ",fly,99,")
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"EPIC_100_train\.csv:5: verb_class 99 is not in the verb class file"):
        _ = Source(tmp_path, toy.videos, "train").segments


def test_the_learning_rate_rises_and_falls():
    assert [rate_at(share, 0.2) for share in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert rate_at(0.0, 0.0) == 1.0


def test_augmentation_moves_whole_clips_and_repeats_edges(tiny: SpecialistConfig):
    frames = torch.arange(2 * 6 * 24 * 32 * 3).reshape(2, 6, 24, 32, 3).remainder(251).to(torch.uint8)
    still = tiny.model_copy(update={"shift": 0.0, "brightness": 0.0})
    assert torch.equal(augmented(frames, still, np.random.default_rng(0)), frames.float())
    moving = tiny.model_copy(update={"shift": 0.1, "brightness": 0.0})
    moved = augmented(frames, moving, np.random.default_rng(0))
    reach = np.array([2, 3])
    down, right = (int(v) for v in np.random.default_rng(0).integers(-reach, reach + 1, size=(2, 2))[0])
    assert (down, right) != (0, 0)
    for row, column in ((12, 16), (0, 0), (23, 31)):
        source = frames[0, :, min(max(row - down, 0), 23), min(max(column - right, 0), 31)]
        assert torch.equal(moved[0, :, row, column], source.float())


_LIMITED = """
import resource, sys
from pathlib import Path
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.workflows import Source

resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # as "ulimit -f 8": no picture fits into shared memory
cache = Source(Path(sys.argv[1]), Path(sys.argv[2]), "train", workers=2).cache(SpecialistConfig())
print(sum(len(found) for found, _ in cache.batches([list(range(6)), list(range(6, 12))])))
"""


def test_frames_need_no_shared_memory(toy: Source):
    command = [sys.executable, "-c", _LIMITED, str(toy.annotations), str(toy.videos)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["12"]
