"""The benchmark of recognition runs, and counts right."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("recognition_benchmark", BENCHMARKS / "recognition.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_small_run(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("on a GPU the benchmark is of full size")
    monkeypatch.setattr(benchmark, "SMALL", sys.modules["scoring"].Shape(32, 64, 2, 2, 1, 1024, 16, 32, 1, 2))
    labels = tmp_path / "labels.csv"
    texts = [f"{verb} {noun}" for verb in ("take", "put", "open", "close") for noun in "abcdefghijklmnopqrstuvwxyz"]
    labels.write_text("id,action\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))
    output = tmp_path / "figures.json"
    arguments = ["--labels", str(labels), "--frames", "2", "--repeats", "1", "--threads", "1", "--output", str(output)]
    result = CliRunner().invoke(benchmark.main, arguments, catch_exceptions=False)
    assert "runs of the tower for all stages" in result.output
    figures = json.loads(output.read_text())
    assert figures["labels"] == 104
    assert all(seconds[0] > 0 for seconds in figures["seconds"].values())
    claims = {claim["claim"]: claim for claim in figures["claims"]}
    assert claims["runs of the tower for all stages"]["value"] == 1
    seconds = figures["seconds"]
    wanted = seconds["label set"][0] / seconds["reading"][0]
    assert claims["104 labels, in readings of the prompt"]["value"] == pytest.approx(wanted)
    sys.modules.pop("scoring")
