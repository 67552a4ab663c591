"""Runs of a real video-language model (random weights) on real clips, killed and not, through the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llavaction.actions.segments import Clip
from llavaction.evaluation.predictions import read_predictions
from llavaction.questions.schema import Benchmark, BenchmarkCard, Option, Provenance, Question
from llavaction.testing.tiny import write_tiny_llava_onevision

TEXTS = ("wash pan", "cut courgette", "stir food", "open fridge", "take plate")


@pytest.fixture(scope="module")
def tiles(shared: Path) -> Path:
    return shared / "data" / "clips" / "derived_epic_tiles"


@pytest.fixture(scope="module")
def folders(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A benchmark of 16 questions over three real clips, and a tiny model."""
    root = tmp_path_factory.mktemp("real")
    videos = sorted(path.stem for path in tiles.glob("*.mp4"))
    questions = [
        Question(
            question_id=f"q{i:02d}",
            clip=Clip(video_id=videos[i % len(videos)], start=0.3 * i, stop=0.3 * i + 1.2),
            question="Which action does the video show?",
            options=tuple(Option(text=TEXTS[(i + k) % 5]) for k in range(5 - i % 2)),
            answer=0,
            provenance=Provenance(miner="random", text_pool="clean"),
        )
        for i in range(16)
    ]
    card = BenchmarkCard(
        name="tiles",
        split="test",
        miner="random",
        text="clean",
        options=5,
        seed=0,
        licence="test",
        made_by="test",
        sources={},
    )
    Benchmark(questions, card).save(root / "bench")
    write_tiny_llava_onevision(root / "model")
    return root / "bench", root / "model"


def command(folders: tuple[Path, Path], tiles: Path, output: Path, batch: int) -> list[str]:
    bench, model = folders
    return [
        sys.executable, "-m", "llavaction.cli.main", "eval", str(bench), "--backend", str(model),
        "--videos", str(tiles), "--frames", "4", "--batch-size", str(batch), "--output", str(output),
    ]  # fmt: skip


def test_choices_do_not_depend_on_the_batch_nor_on_being_killed(
    folders: tuple[Path, Path], tiles: Path, tmp_path: Path
):
    for name, batch in (("one", 1), ("four", 4)):
        subprocess.run(command(folders, tiles, tmp_path / name, batch), check=True, capture_output=True)
    one, four = (read_predictions(tmp_path / name) for name in ("one", "four"))
    assert [prediction.choice for prediction in one] == [prediction.choice for prediction in four]
    assert all(prediction.parse_status == "scored" for prediction in one)
    assert len({prediction.scores for prediction in one}) > 12  # the clips and options are really looked at

    killed = tmp_path / "killed"
    process = subprocess.Popen(command(folders, tiles, killed, 1), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal, deadline = killed / "predictions.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= 3:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    done = journal.read_bytes().count(b"\n")
    assert 3 <= done < 16
    subprocess.run(command(folders, tiles, killed, 1), check=True, capture_output=True)
    for name in ("predictions.jsonl", "metrics.json"):
        assert (killed / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
