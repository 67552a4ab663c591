"""The benchmark of scoring runs, and counts right."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner

from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "scoring.py"
    spec = importlib.util.spec_from_file_location("scoring_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_small_run(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny = benchmark.Shape(32, 64, 2, 2, 1, 1024, 16, 32, 1, 2)
    monkeypatch.setattr(benchmark, "SMALL", tiny)
    monkeypatch.setattr(benchmark, "measure_peaks", lambda *_: benchmark.Peaks(1e9, 1e9, 1e-6))
    labels = tmp_path / "labels.csv"
    texts = [f"{verb} {noun}" for verb in ("take", "put", "open") for noun in "abcdefghijklmno"]
    labels.write_text("id,action\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))
    arguments = ["--labels", str(labels), "--frames", "2", "--repeats", "1", "--threads", "1", "--json"]
    if torch.cuda.is_available():
        pytest.skip("on a GPU the benchmark is of full size")
    result = CliRunner().invoke(benchmark.main, arguments, catch_exceptions=False)
    report = json.loads(result.output)
    assert report["visual_tokens"] == 2 * 14 * 15
    assert report["labels"] == {"from_file": True, "texts": 45}
    stages = report["stages"]
    assert set(stages) >= {"write 10 tokens", "letters", "letters, 5 orders", "5 texts", "20 texts", "45 texts"}
    assert all(row["seconds"] > 0 and row["bound_seconds"] > 0 for row in stages.values())
    assert stages["letters"]["gflop"] < stages["write 10 tokens"]["gflop"]
    assert stages["5 texts"]["gflop"] < stages["20 texts"]["gflop"] < stages["45 texts"]["gflop"]
    values = {claim["claim"]: claim["value"] for claim in report["claims"]}
    assert values["20 texts, in 5 texts"] == pytest.approx(stages["20 texts"]["lowest"] / stages["5 texts"]["lowest"])
    assert values["the same, 4 questions per clip"] == pytest.approx(
        4 * stages["write 10 tokens"]["lowest"] / stages["letters, 4 questions per clip"]["lowest"]
    )
    assert "MISSED" in benchmark.as_table(report) or all(claim["met"] for claim in report["claims"])


def test_the_shape_counts_the_model(benchmark: ModuleType, tmp_path: Path) -> None:
    shape = benchmark.Shape(32, 64, 3, 4, 2, 1024, 16, 48, 2, 2)
    benchmark.write_checkpoint(tmp_path, shape, ["take plate", "put plate"], "cpu", torch.float32)
    model = HuggingFaceBackend(HuggingFaceConfig(path=tmp_path, device="cpu")).model
    weights = {name: p.numel() for name, p in model.named_parameters() if p.dim() == 2}
    assert shape.layer_weights == sum(n for name, n in weights.items() if "language_model.layers" in name)
    tower = sum(n for name, n in weights.items() if "vision_tower" in name and "layers" in name)
    assert shape.tower_flops(1) > 2 * 27**2 * tower
    with_attention = shape.text_flops(10, 5, 0) - shape.text_flops(10, 0, 0)
    assert with_attention == 10 * 4 * 32 * 3 * 5


def test_a_bound_is_the_longest_of_three(benchmark: ModuleType) -> None:
    stage = benchmark.Stage("x", lambda: None, 1, [(8.0, 1.0, 1), (1.0, 12.0, 1), (0.0, 0.0, 3)])
    assert stage.bound(benchmark.Peaks(2.0, 4.0, 0.5)) == (4 + 3 + 1.5, "FLOPs")


def test_made_up_labels_are_like_the_real_ones(benchmark: ModuleType) -> None:
    labels = benchmark.label_texts(None)
    assert len(set(labels)) == 3806
    assert labels == benchmark.label_texts(None)
    verbs = {label.split()[0] for label in labels}
    assert 60 < len(verbs) <= 97
