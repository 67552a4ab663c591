"""llavaction multilabel, with a tiny model on real video files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from helpers.workbooks import write_workbook
from llavaction import api
from llavaction.base.errors import InputError
from llavaction.base.records import read_records
from llavaction.base.seeding import hashed_rng
from llavaction.cli.main import cli
from llavaction.recognition.clip_scores import SCORES, ClipDecision, ClipScores
from llavaction.recognition.multi_label import Thresholds
from llavaction.testing.tiny import write_tiny
from llavaction.video.write import write_video

CLASSES = ("Attending", "Eating", "Walking", "Yawning")
SPLITS = {"train": 12, "test": 12}


def call(*arguments: str | Path) -> Result:
    return CliRunner(catch_exceptions=False).invoke(cli, [*map(str, arguments)], standalone_mode=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Animals in the form of Animal Kingdom, their videos, and a tiny model."""
    home = tmp_path_factory.mktemp("animals")
    rows: list[list[object]] = [["S/N", "video_id", "type", "labels"]]
    (home / "videos").mkdir()
    for split, count in SPLITS.items():
        for number in range(count):
            name, rng = f"{split.upper()}{number:02d}", hashed_rng("animals", split, number)
            labels = [place for place in range(4) if rng.random() < 0.5] or [number % 4]
            rows.append([len(rows), name, split, ",".join(map(str, labels))])
            frames = rng.integers(0, 255, (6 + number % 3, 48, 64, 3)).astype(np.uint8)
            write_video(home / "videos" / f"{name}.mp4", list(frames), 6)
    classes: list[list[object]] = [["Label", "Category", "Action"]]
    classes += [[place if place < 3 else "#N/A", "General", name] for place, name in enumerate(CLASSES)]
    write_workbook(home / "AR_metadata.xlsx", {"AR": rows, "Action": classes})
    write_tiny(home / "tiny", "llava_onevision")
    return home


def options(home: Path, split: str, output: Path, *more: str | Path) -> list[str | Path]:
    source = ("--annotations", home / "AR_metadata.xlsx", "--split", split, "--videos", home / "videos")
    return ["multilabel", *source, "--backend", home / "tiny", "--frames", "2", "--output", output, *more]


def test_thresholds_of_one_split_decide_on_another(home: Path, tmp_path: Path) -> None:
    said = call(*options(home, "train", tmp_path / "train", "--fit", tmp_path / "t.json")).stdout
    assert "12 of 12 clips scored" in said and "thresholds to" in said and "mAP, 4 classes" in said
    assert Thresholds.load(tmp_path / "t.json").rule.startswith("label texts, prior-corrected, model ")
    done = call(*options(home, "test", tmp_path / "test", "--thresholds", tmp_path / "t.json", "--json"))
    metrics = json.loads(done.stdout)
    assert metrics["counts"]["scored"] == 12 and metrics["decisions"]["thresholds"] == "given"
    assert [row["class"] for row in metrics["per_class"]] == list(CLASSES)
    assert metrics["groups"]["tail"]["classes"] == metrics["map"]["classes"]
    thresholds = np.array(Thresholds.load(tmp_path / "t.json").thresholds)
    records = list(read_records(tmp_path / "test" / SCORES, ClipScores))
    decisions = list(read_records(tmp_path / "test" / "decisions.jsonl", ClipDecision))
    assert len({tuple(record.scores.values()) for record in records}) == 12  # every clip is looked at
    for record, decision in zip(records, decisions, strict=True):
        over = np.array([record.scores[name] for name in CLASSES]) >= thresholds
        assert set(decision.classes) == {name for name, is_over in zip(CLASSES, over, strict=True) if is_over}
    raw = call(*options(home, "test", tmp_path / "raw", "--form", "raw", "--limit", "3"))
    assert "3 of 3 clips scored" in raw.stdout
    sums = {record.clip_id: record.scores for record in read_records(tmp_path / "raw" / SCORES, ClipScores)}
    shift = [np.subtract(list(sums[r.clip_id].values()), list(r.scores.values())) for r in records if r.clip_id in sums]
    assert len(shift) == 3 and np.ptp(np.array(shift), axis=0) == pytest.approx(0, abs=1e-3)  # the same prior for all
    read = call(
        "multilabel", "--annotations", home / "AR_metadata.xlsx", "--split", "test", "--scores",
        tmp_path / "test" / SCORES, "--thresholds", tmp_path / "t.json", "--output", tmp_path / "read", "--json",
    )  # fmt: skip
    assert {**json.loads(read.stdout), "rule": ""} == {**metrics, "rule": ""}


def test_a_broken_video_ends_the_command_with_a_sentence(home: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in (home / "videos").iterdir():
        (videos / path.name).write_bytes(path.read_bytes())
    whole = (videos / "TEST03.mp4").read_bytes()
    (videos / "TEST03.mp4").write_bytes(whole[: len(whole) // 3])
    (videos / "TEST04.mp4").unlink()
    arguments = [str(part) for part in options(home, "test", tmp_path / "run", "--videos", videos)]
    run = [sys.executable, "-m", "llavaction.cli.main", *arguments]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "10 of 12 clips scored, 2 could not be" in done.stdout
    assert "2 of 12 clips could not be scored; the first: TEST03.mp4: " in done.stderr
    assert "Traceback" not in done.stderr
    errors = {r.clip_id: r.error for r in read_records(tmp_path / "run" / SCORES, ClipScores) if r.error}
    assert set(errors) == {"TEST03", "TEST04"} and "no video 'TEST04'" in errors["TEST04"]
    assert call(*arguments, "--allow-missing").exit_code == 0


def test_a_killed_run_goes_on_to_the_same_scores(home: Path, tmp_path: Path) -> None:
    call(*options(home, "all", tmp_path / "whole", "--batch-size", "1"))
    arguments = options(home, "all", tmp_path / "killed", "--batch-size", "1")
    run = [sys.executable, "-m", "llavaction.cli.main", *map(str, arguments)]
    process = subprocess.Popen(run, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    path, deadline = tmp_path / "killed" / SCORES, time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if path.is_file() and path.read_bytes().count(b"\n") >= 3:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert 3 <= path.read_bytes().count(b"\n") < 24
    call(*arguments)
    for name in (SCORES, "metrics.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_from_python(home: Path, tmp_path: Path) -> None:
    result = api.multi_label(
        home, "test", tmp_path / "run", model=home / "tiny", videos=home / "videos", frames=2, limit=4
    )
    assert result.metrics["counts"]["scored"] == 4 and result.scores.scores.shape == (4, 4)
    with pytest.raises(InputError, match="either a backend or a file of scores"):
        api.multi_label(home, "test", tmp_path / "x")
    with pytest.raises(InputError, match="did you mean 'form'"):
        api.multi_label(home, "test", tmp_path / "x", model="chance", forn="raw")
    with pytest.raises(InputError, match="backend 'chance' does not say how likely every label is"):
        api.multi_label(home, "test", tmp_path / "x", model="chance")
