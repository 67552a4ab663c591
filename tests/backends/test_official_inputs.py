"""Token ids, grids, time positions, pixels and logits are those of transformers' own processors.

``golden/official_inputs.json`` holds what those made of the same frames; ``benchmarks/official_inputs.py`` wrote it
where torchvision is installed.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parent / "golden" / "official_inputs.json"
KEPT: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
FIELDS = ("family", "rule", "frames", "height", "width", "video_frames")
LOGITS = 0.005
READ = 1500
"""Tokens up to which the tiny models are run here; the script that wrote the file ran them all."""


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "official_inputs.py"
    spec = importlib.util.spec_from_file_location("official_inputs_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def models(benchmark: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    home = tmp_path_factory.mktemp("official")
    folders = {family: benchmark.write_folder(home / family, family) for family in benchmark.NATIVE}
    pairs = {(entry["family"], entry["rule"]) for entry in KEPT}
    return {(family, rule): benchmark.Ours(folders[family], rule) for family, rule in pairs}


def test_every_family_size_and_number_of_frames_is_there(benchmark: ModuleType) -> None:
    asked = [case for family in benchmark.NATIVE for case in benchmark.cases_of(family, "official")]
    asked += [case for family in benchmark.UTILS for case in benchmark.cases_of(family, "qwen-vl-utils")]
    cases = [benchmark.Case(**{name: entry[name] for name in FIELDS}) for entry in KEPT]
    assert sorted(cases, key=str) == sorted(asked, key=str)
    assert GOLDEN.stat().st_size < 300_000


@pytest.mark.parametrize(("family", "rule"), sorted({(entry["family"], entry["rule"]) for entry in KEPT}))
def test_inputs_and_logits_are_the_official_ones(
    benchmark: ModuleType, models: dict[tuple[str, str], Any], family: str, rule: str
) -> None:
    ours = models[family, rule]
    read = 0
    for entry in KEPT:
        case = benchmark.Case(**{name: entry[name] for name in FIELDS})
        if (case.family, case.rule) != (family, rule) or case.frames * case.height > 8 * 400:
            continue
        inputs = ours.inputs(case, benchmark.pictures(case))
        positions = ours.positions(inputs)
        found = benchmark.summary(inputs, positions, torch.zeros(benchmark.KEPT))
        for name in ("tokens", "ids", "grid", "positions", "time"):
            assert found.get(name) == entry.get(name), (name, case)
        # Pillow, which llava_video was trained with, and qwen-vl-utils round elsewhere
        exact = rule == "official" and family != "llava_video"
        assert np.abs(np.subtract(found["pixels"], entry["pixels"])).max() < (2e-5 if exact else 0.01), case
        if entry["tokens"] < READ:
            read += 1
            found = benchmark.summary(inputs, positions, ours.logits(inputs))
            assert np.abs(np.subtract(found["logits"], entry["logits"])).max() < LOGITS, case
    assert read >= 12
    assert np.ptp([entry["logits"] for entry in KEPT]) > 1


def test_limits_are_on_record(models: dict[tuple[str, str], Any]) -> None:
    def sees(family: str, rule: str = "official") -> Any:
        return models[family, rule].backend.settings["sees"]

    assert sees("internvl") == {"clip as": "video"}
    stored = {"of": "each frame", "least": 3136, "most": 12845056, "source": "checkpoint"}
    assert sees("qwen2_5_vl") == {"clip as": "video", "pixels": stored}
    together = {"of": "all frames", "least": 4096, "most": 25165824, "source": "checkpoint"}
    assert sees("qwen3_vl") == {"clip as": "video", "pixels": together}
    utils = {"of": "each frame", "least": 128 * 28**2, "most": 768 * 28**2, "source": "qwen-vl-utils"}
    assert sees("qwen2_vl", "qwen-vl-utils") == {"clip as": "video", "pixels": utils}
