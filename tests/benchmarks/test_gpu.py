"""The benchmark for a GPU runs on a CPU too, at a toy size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


def started(*arguments: str | Path, without: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script; the package ``without`` is not there."""
    code = f"import runpy, sys\nif {without!r}: sys.modules[{without!r}] = None\n"
    code += f"sys.argv[0] = {str(SCRIPT)!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_toy_size(tmp_path: Path) -> None:
    done = started("--json", tmp_path / "gpu.json", "--threads", "1")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert list(report["shapes"]) == ["toy"]
    toy = report["shapes"]["toy"]
    assert toy["not_measured"] == {}
    assert toy["asking"]["visual_tokens"] == 2 * 14 * 15
    assert set(toy["asking"]["stages"]) >= {"write 10 tokens", "letters", "letters, 5 orders", "5 texts", "24 texts"}
    assert all(row["seconds"] > 0 for row in toy["asking"]["stages"].values())
    files, training = toy["asking_from_files"], toy["training"]
    assert (files["clips"], files["frames_per_clip"], files["faults"]) == (4, 2, 0)
    rates = files["clips_per_second"]
    assert files["share_of_speed_from_memory"] == pytest.approx(rates["both"] / rates["asking alone"])
    assert training["micro_batch"] == 2
    speeds = {name: training[name]["samples_per_second"] for name in ("plain", "ours", "clips_from_files")}
    assert all(speed > 0 for speed in speeds.values())
    assert training["ours_by_plain"] == pytest.approx(speeds["ours"] / speeds["plain"])
    assert "from files (4 H.264 files of 320x180" in done.stdout
    assert "ours" in done.stdout.splitlines()[-6]


def test_what_is_missing_is_named_with_the_way_to_bring_it() -> None:
    done = started(without="pydantic")
    assert done.returncode == 1
    assert done.stderr.startswith("missing here: pydantic\n")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "pip download --only-binary=:all: " + f"--python-version {version}" in done.stderr
    assert "--no-index --find-links wheels --target site pydantic" in done.stderr


def test_without_pyav_the_rest_is_measured(tmp_path: Path) -> None:
    done = started("--json", tmp_path / "gpu.json", "--minutes", "0", without="av")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("missing here: av\n")
    lacking = json.loads((tmp_path / "gpu.json").read_text())["shapes"]["toy"]["not_measured"]
    assert lacking["asking_from_files"] == lacking["training"] == "needs av"
    assert lacking["asking"] == lacking["checkpoint"] == "the time was over"
