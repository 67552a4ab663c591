"""The benchmark of an evaluation's bookkeeping runs, and counts right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "evaluation.py"


def test_small_run(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARK), "--questions", "300", "--output", str(output)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "300 questions: " in told and "of it intervals and tests" in told
    (figures,) = json.loads(output.read_text())
    assert figures["questions"] == 300 and 50 < figures["peak_mb"] < 2000
    seconds = figures["seconds"]
    parts = [seconds[name][1] for name in ("load", "run", "report", "paired test")]
    assert seconds["all: load, run, report, paired test"][1] == sum(parts)
