"""Commands on a disk that takes no more: one clear line, and the same command goes on when there is room again.

The system's limit on the size of a file stands for the full disk: writing past it fails like writing to a full disk.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

resource = pytest.importorskip("resource", reason="not on Windows")


def llavaction(*arguments: str | Path, room: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command; no file of its may become larger than ``room`` bytes."""

    def limit() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    command = [sys.executable, "-B", "-m", "llavaction.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=120)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one error of a command that failed."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    errors = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert len(errors) == 2
    assert errors[1].startswith("  hint: make room on the disk")
    return errors[0]


@pytest.fixture(scope="module")
def benchmark(annotations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark") / "b"
    done = llavaction(
        "benchmark", "build", "--annotations", annotations, "--split", "validation", "--miner", "random",
        "--output", folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_eval(benchmark: Path, tmp_path: Path) -> None:
    def command(name: str) -> list[str | Path]:
        return ["eval", benchmark, "--backend", "prior", "--output", tmp_path / name]

    assert llavaction(*command("whole")).returncode == 0
    full = llavaction(*command("run"), room=20_000)
    journal = tmp_path / "run" / "predictions.jsonl"
    assert said(full).startswith(f"error: {journal}: cannot be written: File too large")
    kept = journal.read_bytes()
    assert kept.endswith(b"\n")
    assert 40 < kept.count(b"\n") < 720
    assert (tmp_path / "whole" / "predictions.jsonl").read_bytes().startswith(kept)
    assert llavaction(*command("run")).returncode == 0
    for name in ("predictions.jsonl", "metrics.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_benchmark_build(annotations: Path, tmp_path: Path) -> None:
    command = ["benchmark", "build", "--annotations", annotations, "--split", "validation", "--miner", "random"]
    full = llavaction(*command, "--output", tmp_path / "b", room=50_000)
    assert said(full).startswith(f"error: {tmp_path / 'b' / 'questions.jsonl'}: cannot be written")
    assert [path.name for path in (tmp_path / "b").iterdir()] == []


def test_kitchen_mini(tmp_path: Path) -> None:
    settings = ("train_videos=2", "validation_videos=1", "test_videos=0", "width=64", "height=48")
    command = ["data", "kitchen-mini", *(part for value in settings for part in ("--set", value))]
    full = llavaction(*command, "--workers", "2", "--output", tmp_path / "k", room=10_000)
    assert ".MP4: cannot be written: File too large" in said(full)
    left = [path for path in (tmp_path / "k").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["dataset.json"]


def test_standard_output(benchmark: Path) -> None:
    command = [sys.executable, "-B", "-m", "llavaction.cli.main", "benchmark", "audit", str(benchmark)]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "error: standard output or a temporary file: cannot be written: No space left on device" in done.stderr
