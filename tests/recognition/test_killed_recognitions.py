"""Recognition by stages as a process of its own: killed at random, restarted, started twice, its videos mended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from kitchen_mini.renderer import KitchenMiniConfig, generate
from llavaction.base.records import read_records
from llavaction.base.seeding import hashed_rng
from llavaction.cli.main import cli
from llavaction.recognition.records import RECOGNITIONS, Recognition
from llavaction.testing.tiny import write_tiny

SMALL = KitchenMiniConfig(
    width=64, height=48, fps=6, train_videos=1, validation_videos=0, test_videos=4, min_segments=7, max_segments=9,
    train_participants=1, unseen_test_participants=2, unseen_share=1.0,
)  # fmt: skip
FILES = (RECOGNITIONS, "metrics.json", "config.yaml")
KILLS = 3


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered dataset, a tiny model with heads of its classes, and a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("killed")
    generate(folder / "data", seed=1, settings=SMALL, workers=1)
    write_tiny(folder / "tiny", "llava_video")
    subprocess.run(command(folder, folder / "whole"), check=True, capture_output=True)
    return folder


def command(home: Path, output: Path, *more: str, videos: Path | None = None) -> list[str]:
    return [
        sys.executable, "-m", "llavaction.cli.main", "recognise", "--annotations", str(home / "data/annotations"),
        "--split", "test", "--videos", str(videos or home / "data/videos"), "--backend", str(home / "tiny"),
        "--stages", "heads,label_set_length,letters", "--candidates", "4", "--prior-actions", "own",
        "--option-orders", "2", "--frames", "2", "--batch-size", "2", "--output", str(output), *more,
    ]  # fmt: skip


def lines(output: Path) -> int:
    journal = output / RECOGNITIONS
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def begin(words: list[str], output: Path, until: int, wait: float = 0.0) -> subprocess.Popen[bytes]:
    """Start a command and come back once it has written so many lines, and ``wait`` seconds later."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while lines(output) < until and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(wait)
    return process


def test_killed_at_random_it_leaves_the_same_bytes(home: Path, tmp_path: Path):
    total, rng = lines(home / "whole"), hashed_rng("kills")
    told = [item.prior for item in read_records(home / "whole" / RECOGNITIONS, Recognition)]
    assert total >= 28 and sum(map(len, told)) > total / 2
    cut, seen = tmp_path / "cut", []
    for number in range(KILLS):
        until = lines(cut) + int(rng.integers(1, total // (KILLS + 1)))
        process = begin(command(home, cut), cut, until, wait=float(rng.uniform(0, 0.05)))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"kill {number} came too late"
        assert not (cut / "metrics.json").exists()
        seen.append(lines(cut))
    assert seen == sorted(seen) and seen[0] > 0 and seen[-1] < total
    subprocess.run(command(home, cut), check=True, capture_output=True)
    for name in FILES:
        assert (cut / name).read_bytes() == (home / "whole" / name).read_bytes(), name


def test_a_second_process_on_the_folder_is_refused(home: Path, tmp_path: Path):
    process = begin(command(home, tmp_path / "run"), tmp_path / "run", 2)
    os.kill(process.pid, signal.SIGSTOP)  # it holds the folder for as long as this takes
    try:
        second = subprocess.run(command(home, tmp_path / "run"), capture_output=True, text=True, check=False)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert second.returncode != 0
    assert "another process" in second.stderr and "Traceback" not in second.stderr
    assert process.wait() == 0  # the first goes on as if nothing had been
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (home / "whole" / name).read_bytes()


def test_a_video_that_comes_back_is_asked_about_again(home: Path, tmp_path: Path):
    videos = Path(shutil.copytree(home / "data/videos", tmp_path / "videos"))
    lost = sorted(videos.rglob("*.MP4"))[1]
    lost.rename(tmp_path / "elsewhere")
    words = command(home, tmp_path / "run", videos=videos)[3:]
    first = CliRunner().invoke(cli, words)
    assert first.exit_code == 3 and "--retry-failed" in first.stderr  # more than a tenth could not be asked
    failed = [item for item in read_records(tmp_path / "run" / RECOGNITIONS, Recognition) if item.error]
    assert {item.clip.video_id for item in failed} == {lost.stem} and len(failed) >= 7
    assert all(item.action is None and item.prior == () for item in failed)
    (tmp_path / "elsewhere").rename(lost)
    assert CliRunner().invoke(cli, words).exit_code == 3  # by itself it asks nothing again
    assert CliRunner().invoke(cli, [*words, "--retry-failed"]).exit_code == 0
    for name in FILES[:2]:
        assert (tmp_path / "run" / name).read_bytes() == (home / "whole" / name).read_bytes()
