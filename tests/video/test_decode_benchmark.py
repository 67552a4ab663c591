"""The benchmark runs, and its readers agree."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "decode.py"
    spec = importlib.util.spec_from_file_location("decode_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_small_run(benchmark: ModuleType) -> None:
    arguments = [
        "--height",
        "96",
        "--seconds",
        "4",
        "--gop",
        "12",
        "--gop",
        "50",
        "--frames",
        "8",
        "--clips",
        "3",
        "--json",
    ]
    result = CliRunner().invoke(benchmark.main, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    readers = {row["reader"] for row in report["results"]}
    assert {"llavaction", "pyav one seek", "pyav from start"} <= readers
    assert len(report["results"]) == 2 * len(readers)
    assert readers | set(report["not_measured"]) == set(benchmark.available(1)[0]) | set(benchmark.available(1)[1])
    for row in report["results"]:
        assert row["right_frames"]
        assert 0 < row["lower_quartile"] <= row["clips_per_second"] <= row["upper_quartile"]
        assert row["exact"] or "pyav" not in row["reader"]
    assert "llavaction" in benchmark.as_table(report)


def test_wrong_frames_are_noticed(benchmark: ModuleType) -> None:
    video = np.stack(list(benchmark.render(12, 96, 160)))
    right = benchmark.check(video[[3, 7]], [3, 7], video)
    assert right == {"exact": True, "right_frames": True, "largest_difference": 0}
    assert not benchmark.check(video[[3, 8]], [3, 7], video)["right_frames"]
    tinted = np.clip(video[[3, 7]].astype(int) + 2, 0, 255).astype(np.uint8)
    assert benchmark.check(tinted, [3, 7], video) == {"exact": False, "right_frames": True, "largest_difference": 2}
