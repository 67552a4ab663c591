"""The ablation's arms are what they say, every run is done once, and the table adds up."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from llavaction.training.config import TrainConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablation_benchmark", ROOT / "benchmarks" / "ablation.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(module, "EpicKitchens", Path)
    monkeypatch.setattr(module, "curate", lambda dataset, mixture, output: None)
    return module


def line(arm: str, seed: int, hard: float, random: float) -> dict[str, Any]:
    scores = {"hard": hard, "random": random}
    values = {name: {"value": value, "low": value - 0.04, "high": value + 0.03} for name, value in scores.items()}
    return {"arm": arm, "seed": seed, "steps": 150, **values}


def test_arms_accumulate(benchmark: ModuleType) -> None:
    found = {name: (tasks, weight) for name, tasks, weight in benchmark.arms()}
    names = {arm: [task["task"] for task in tasks] for arm, (tasks, _) in found.items()}
    choice = "hard_action_recognition"
    assert names["random distractors"] == names["hard distractors"] == [choice]
    assert [found[arm][0][0]["miner"] for arm in ("random distractors", "hard distractors")] == [
        "random",
        "exchangeable",
    ]
    assert names["+ temporal detection"] == [choice, "temporal_detection"]
    assert names["+ action token"] == names["+ temporal detection"]
    assert names["+ direct narration"] == [choice, "temporal_detection", "direct_narration"]
    assert names["+ prior actions"] == [
        choice, "temporal_detection", "direct_narration", "caption", "open_qa", "prior_actions"
    ]  # fmt: skip
    assert [weight for _, weight in found.values()] == [0.0] * 3 + [0.1] * 4 + [1.0]
    assert found[benchmark.HEAVY_ARM][0] == found["+ action token"][0]
    assert all(tasks[0]["miner"] == "exchangeable" for arm, (tasks, _) in found.items() if arm.startswith("+"))
    found["hard distractors"][0][0]["miner"] = "changed"
    assert all(tasks[0]["miner"] != "changed" for _, tasks, _ in benchmark.arms())
    assert set(benchmark.THREE_SEEDS) < set(found)


def test_a_run_differs_in_its_records_alone(benchmark: ModuleType, tmp_path: Path) -> None:
    made: dict[str, TrainConfig] = {}
    for name, tasks, weight in benchmark.arms():
        made[name] = benchmark.recipe(tasks, weight, 2, tmp_path / "start", tmp_path / name, 30)
        mixture = yaml.safe_load((tmp_path / name / "mixture.yaml").read_text())
        assert mixture["seed"] == 2 and len({task["name"] for task in mixture["tasks"]}) == len(mixture["tasks"])
    first = made["random distractors"]
    (stage,) = first.resolved()
    assert (stage.steps, stage.learning_rates.vision_tower, stage.evaluation, first.seed) == (30, None, None, 2)
    assert (first.model, first.prepare, stage.extra["new_layers"]) == (str(tmp_path / "start"), (), 0)
    weights = {name: config.action.head_weight for name, config in made.items() if config.action is not None}
    assert list(weights.values()) == [0.0] * 3 + [0.1] * 4 + [1.0]
    saying = [config.extra["seeing"]["action"] for config in made.values()]
    assert saying == [0.0] * 3 + [1.0] * 5
    same = {"exclude": {"records", "output", "action", "extra"}}
    assert all(config.model_dump(**same) == first.model_dump(**same) for config in made.values())


def test_the_start_is_the_lesson_in_seeing_cut_short(benchmark: ModuleType, tmp_path: Path) -> None:
    config = benchmark.start_recipe(tmp_path, 40)
    (stage,) = config.resolved()
    assert (config.model, config.output) == (str(benchmark.SIGHTLESS), tmp_path / "start")
    assert (stage.steps, stage.supervise, stage.kind, stage.extra["new_layers"]) == (40, "nothing", "lesson", 4)


def test_every_run_is_done_once(benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Path] = []

    def train(config: TrainConfig) -> SimpleNamespace:
        trained.append(config.output)
        return SimpleNamespace(model=config.output)

    def examiner(count: int) -> Any:
        return lambda folder: {kind: line("", 0, count / 10, 0.5)[kind] for kind in ("hard", "random")}

    monkeypatch.setattr(benchmark, "train", train)
    monkeypatch.setattr(benchmark, "Examiner", examiner)
    output = tmp_path / "ablation"
    result = CliRunner().invoke(benchmark.main, ["--output", str(output)])
    assert result.exit_code == 2 and "--start" in result.output
    (output / "start" / "model").mkdir(parents=True)
    arguments = ["--output", str(output), "--count", "4", "--steps", "2"]
    for part, lines in (("0/2", 9), ("1/2", 17), ("0/1", 17)):
        result = CliRunner().invoke(benchmark.main, [*arguments, "--part", part], catch_exceptions=False)
        rows = [json.loads(row) for row in (output / "results.jsonl").read_text().splitlines()]
        assert len(rows) == len({(row["arm"], row["seed"]) for row in rows}) == lines
    assert len(trained) == len(set(trained)) == 16  # zero-shot is not trained
    seeds = {name: [row["seed"] for row in rows if row["arm"] == name] for name, *_ in benchmark.STEPS}
    assert {name for name, own in seeds.items() if sorted(own) == [0, 1, 2]} == set(benchmark.THREE_SEEDS)
    assert all(sorted(own) in ([0], [0, 1, 2]) for own in seeds.values())
    assert len(result.output.splitlines()) == 2 + 9


def test_the_table(benchmark: ModuleType, tmp_path: Path) -> None:
    results = [
        line("hard distractors", 1, 0.5, 0.7),
        line("zero-shot", 0, 0.2, 0.21),
        line("hard distractors", 0, 0.45, 0.8),
        line("hard distractors", 2, 0.55, 0.6),
        line("+ prior actions", 0, 0.611, 0.7),
    ]
    expected = [
        "| records | seeds | hard questions | random questions |",
        "|---|---|---|---|",
        "| zero-shot | 1 | 20.0 [16.0, 23.0] | 21.0 [17.0, 24.0] |",
        "| hard distractors | 3 | 50.0 (50.0, 45.0, 55.0) | 70.0 (70.0, 80.0, 60.0) |",
        "| + prior actions | 1 | 61.1 [57.1, 64.1] | 70.0 [66.0, 73.0] |",
    ]
    assert benchmark.table(results).splitlines() == expected
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in results))
    shown = CliRunner().invoke(benchmark.main, ["--table", "--output", str(tmp_path)], catch_exceptions=False)
    assert shown.output.splitlines() == expected
    assert benchmark.table([]).splitlines() == expected[:2]


def test_a_video_that_cannot_be_read_is_a_wrong_answer(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [SimpleNamespace(clip=SimpleNamespace(video_id=f"v{number}")) for number in range(4)]
    probe = SimpleNamespace(answers=lambda model: [True, None, False, True])
    changes = {
        "questions": lambda settings, count: asked,
        "Remembering": Path,
        "open_checkpoint": Path,
        "load_model": lambda checkpoint, **rest: None,
        "InLoopEvaluation": lambda *args, **rest: probe,
    }
    for name, value in changes.items():
        monkeypatch.setattr(benchmark, name, value)
    found = benchmark.Examiner(4)(Path("model"))
    assert (found["hard"]["value"], found["random"]["value"], found["hard"]["n"]) == (0.5, 0.5, 4)
