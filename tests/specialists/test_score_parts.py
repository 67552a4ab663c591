"""A prediction that is killed and started again."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llavaction.base.errors import InputError
from llavaction.specialists import scores as scores_module
from llavaction.specialists.classifier import Specialist
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.score_parts import ScoreParts
from llavaction.specialists.workflows import Source, predict_split

Predict = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def folder(toy: Source, tiny: SpecialistConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("specialist")
    Specialist.untrained(tiny, toy.labels).save(path)
    return path


@pytest.fixture
def predict(folder: Path, toy: Source, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Predicts 48 segments in batches of 5."""
    whole = scores_module.score_segments
    monkeypatch.setattr("llavaction.specialists.workflows.score_segments", lambda *a, **o: whole(*a, batch_size=5, **o))

    def made(output: Path, source: Source = toy, specialist: Path = folder, **options: Any) -> dict[str, Any]:
        return predict_split(specialist, source, output, log=print, **options)

    return made


def stopped_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make the next prediction end after so many batches; the numbers of those that are made."""
    made: list[int] = []
    save = ScoreParts.save

    def counted(self: ScoreParts, batch: int, *rest: Any) -> None:
        if len(made) == parts:
            raise KeyboardInterrupt
        save(self, batch, *rest)
        made.append(batch)

    monkeypatch.setattr(ScoreParts, "save", counted)
    return made


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_goes_on_where_it_was(predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def outputs(name: str) -> dict[str, Path]:
        return {"scores": tmp_path / name / "s.npz", "challenge": tmp_path / name / "c.zip"}

    unbroken = predict(tmp_path / "a" / "p.jsonl", **outputs("a"))
    with monkeypatch.context() as patch:
        stopped_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            predict(tmp_path / "b" / "p.jsonl", **outputs("b"))
    assert not (tmp_path / "b" / "p.jsonl").exists()
    rest = stopped_after(99, monkeypatch)
    broken = predict(tmp_path / "b" / "p.jsonl", **outputs("b"))
    assert rest == [4, 5, 6, 7, 8, 9]
    assert broken == unbroken | {"output": str(tmp_path / "b" / "p.jsonl")}
    for name in ("p.jsonl", "s.npz", "c.zip"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    beside = {"config.yaml", "videos.json", "environment.json", ".lock"}
    assert files(tmp_path / "b") == {"p.jsonl", "s.npz", "c.zip", *(f"p.jsonl.run/{name}" for name in beside)}
    assert predict(tmp_path / "b" / "p.jsonl")["predicted"] == 48  # the same once more is no harm


@pytest.mark.parametrize("finished", [True, False])
def test_what_was_made_otherwise_is_refused(
    predict: Predict, folder: Path, toy: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    videos = Path(shutil.copytree(toy.videos, tmp_path / "videos"))
    source, output = dataclasses.replace(toy, videos=videos), tmp_path / "p.jsonl"
    with monkeypatch.context() as patch:
        stopped_after(99 if finished else 2, patch)
        try:
            predict(output, source)
        except KeyboardInterrupt:
            assert not finished
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    changed = Specialist.load(other)
    with torch.no_grad():
        changed.verb_head.bias += 1
    changed.save(other)
    with pytest.raises(InputError, match=r"p\.jsonl\.run/config\.yaml: .*the specialist changed"):
        predict(output, source, other)
    with pytest.raises(InputError, match="top_k was 50, now 7"):
        predict(output, source, top_k=7)
    with pytest.raises(InputError, match=r"split was 'train', now 'validation'.*the segments changed"):
        predict(output, dataclasses.replace(source, split="validation"))
    moved = Path(shutil.copytree(videos, tmp_path / "elsewhere"))
    same = predict(output, dataclasses.replace(source, videos=moved), Path(os.path.relpath(folder)))
    assert same["predicted"] == 48
    video = min(videos.glob("*.mp4"))
    shutil.copy(max(videos.glob("*.mp4")), video)
    with pytest.raises(InputError, match=rf"1 of the run's 8 videos changed.*'{video.stem}'"):
        predict(output, source)
    output.unlink()
    assert predict(output, source)["predicted"] == 48


def test_a_file_of_unknown_making_is_not_written_over(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("mine")
    with pytest.raises(InputError, match="nothing beside it says how it was made"):
        predict(tmp_path / "p.jsonl")
    assert (tmp_path / "p.jsonl").read_text() == "mine"


def test_videos_that_come_later_are_seen(
    predict: Predict, toy: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = Path(shutil.copytree(toy.videos, tmp_path / "videos"))
    first = min(videos.glob("*.mp4"))
    first.rename(tmp_path / "later.mp4")
    source = dataclasses.replace(toy, videos=videos)
    with monkeypatch.context() as patch:
        stopped_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            predict(tmp_path / "p.jsonl", source)
    (tmp_path / "later.mp4").rename(first)
    found = predict(tmp_path / "p.jsonl", source)
    assert (found["predicted"], found["faults"]) == (48, "")


def test_killed_for_real(toy: Source, folder: Path, tmp_path: Path) -> None:
    def command(output: Path) -> list[str]:
        return [
            sys.executable, "-m", "llavaction.cli.main", "specialist", "predict", str(folder), "--split", "train",
            "--annotations", str(toy.annotations), "--videos", str(toy.videos), "--output", str(output),
        ]  # fmt: skip

    process = subprocess.Popen(command(tmp_path / "p.jsonl"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while not list(tmp_path.glob("p.jsonl.run/scores/0*")) and time.monotonic() - begun < 60:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    subprocess.run(command(tmp_path / "p.jsonl"), check=True, capture_output=True)
    predict_split(folder, toy, tmp_path / "q.jsonl", log=print)
    assert (tmp_path / "p.jsonl").read_bytes() == (tmp_path / "q.jsonl").read_bytes()
