"""What each kind of training record is worth: the paper's ablation on kitchen_mini.

From one common start, which has begun to see and has never been asked a question about a video, runs of equal length
that differ in their records alone; each is then asked the hard and the random questions of the test split. The start is
the recipe's language model after its lessons from text, behind its tower, with a sixth of its lesson in seeing: after
the whole of it nearly all hard questions are answered at once, and there is nothing left to compare.

    llavaction train --config kitchen-mini                  # leaves data and models in runs/kitchen-mini
    python benchmarks/ablation.py --start                   # the common start
    python benchmarks/ablation.py --part 0/2 & python benchmarks/ablation.py --part 1/2    # two cores
    python benchmarks/ablation.py --table

Every finished run is a line of results.jsonl; what is there is not done again.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import yaml

from llavaction.base.records import write_text
from llavaction.base.statistics import ClusteredBootstrap
from llavaction.curation.mixture import RECORDS, curate
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.models.checkpoint import load_model, open_checkpoint
from llavaction.questions.builder import build_benchmark
from llavaction.questions.config import BuildConfig
from llavaction.questions.schema import Benchmark, Question
from llavaction.recipes import recipe_file
from llavaction.training.config import TrainConfig
from llavaction.training.in_loop_eval import InLoopEvaluation, spread
from llavaction.training.run import MODEL, train
from llavaction.video.library import VideoLibrary

HOME = Path("runs/kitchen-mini")
SIGHTLESS = HOME / "model" / "clutter" / "model"
START = "start"
RATE = 5e-5
"""A third of the recipe's: at that, runs this short end before they have recovered from their first steps."""
CHOICE = {"task": "hard_action_recognition", "options": 5, "weight": 2}
HARD, RANDOM = {**CHOICE, "miner": "exchangeable"}, {**CHOICE, "miner": "random"}
PUBLISHED, HEAVY = 0.1, 1.0
"""Weights of the heads' loss: the paper's, and that of the recipe's last stage."""
STEPS: tuple[tuple[str, tuple[dict[str, Any], ...], float], ...] = (
    ("random distractors", (RANDOM,), 0.0),
    ("hard distractors", (HARD,), 0.0),
    ("+ temporal detection", ({"task": "temporal_detection", "weight": 0.5},), 0.0),
    ("+ action token", (), PUBLISHED),
    ("+ direct narration", ({"task": "direct_narration", "answer": "label", "weight": 0.5},), PUBLISHED),
    ("+ captions and QA", ({"task": "caption", "weight": 0.25}, {"task": "open_qa", "weight": 0.25}), PUBLISHED),
    ("+ prior actions", ({"task": "prior_actions", "miner": "exchangeable", "weight": 0.5},), PUBLISHED),
)
"""Name of the arm, what it adds to the one before (the first two stand alone), weight of the action token's heads."""
HEAVY_ARM = "+ action token, heads weighed 1.0"
THREE_SEEDS = ("random distractors", "hard distractors", "+ temporal detection", "+ action token")
"""What the two main claims are about: random against hard, and the action token against the arm before it."""


def arms() -> Iterator[tuple[str, list[dict[str, Any]], float]]:
    """Every arm with all its tasks, and the weight of the heads; last the action token with heavier ones."""
    tasks: list[dict[str, Any]] = []
    heavy: list[dict[str, Any]] = []
    for name, added, weight in STEPS:
        tasks = [*tasks, *added] if name.startswith("+") else list(added)
        heavy = heavy or (tasks if weight else [])
        yield name, copy.deepcopy(tasks), weight
    yield HEAVY_ARM, copy.deepcopy(heavy), HEAVY


def questions(settings: Mapping[str, Any], count: int) -> list[Question]:
    """Questions of the test split, spread over it."""
    dataset = EpicKitchens(HOME / "data" / "annotations")
    made: Benchmark = build_benchmark(dataset, BuildConfig.from_mapping({"split": "test", "options": 5, **settings}), 1)
    return spread(made.questions, count)


class Examiner:
    """Asks a model the hard and the random questions; their clips are decoded once."""

    def __init__(self, count: int) -> None:
        self._asked = {"hard": questions({}, count), "random": questions({"miner": "random"}, count)}
        self._library = Remembering(HOME / "data" / "videos")

    def __call__(self, folder: Path) -> dict[str, Any]:
        """Accuracy with a 95 % interval clustered by video, and the answers."""
        checkpoint = open_checkpoint(folder)
        model = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
        found: dict[str, Any] = {}
        for name, asked in self._asked.items():
            probe = InLoopEvaluation(checkpoint, model, asked, self._library, frames=8, prompt="letters")
            right = np.array([bool(answer) for answer in probe.answers(model)], dtype=float)  # unreadable is wrong
            interval = ClusteredBootstrap([question.clip.video_id for question in asked]).interval(right)
            found[name] = interval.rounded(4)
        return found


class Remembering(VideoLibrary):
    """A library that decodes every clip once."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._clips: dict[Any, Any] = {}

    def read(self, clip: Any, count: int, **options: Any) -> Any:
        """See the parent."""
        if (clip, count) not in self._clips:
            self._clips[clip, count] = super().read(clip, count, **options)
        return self._clips[clip, count]


def stage_of(name: str, **changes: Any) -> dict[str, Any]:
    """One stage of the recipe kitchen-mini as a recipe of its own, with changes."""
    base = yaml.safe_load(recipe_file("kitchen-mini").read_text(encoding="utf-8"))
    (stage,) = (stage for stage in base.pop("stages") if stage["name"] == name)
    del base["prepare"]
    stage.pop("evaluation", None)
    return {**base, **stage, "name": "train", "save_steps": 10**6, **changes}


def start_recipe(output: Path, steps: int) -> TrainConfig:
    """The training of the common start: the lesson in seeing, cut short."""
    changes = {"model": str(SIGHTLESS), "output": str(output / START), "steps": steps}
    return TrainConfig.from_mapping(stage_of("see", **changes))


def recipe(
    tasks: list[dict[str, Any]], weight: float, seed: int, start: Path, output: Path, steps: int, rate: float = RATE
) -> TrainConfig:
    """The training of an arm: the last stage of the recipe, shorter, slower and with other records."""
    stage = stage_of("hard", model=str(start), output=str(output / "model"), seed=seed, steps=steps)
    stage["learning_rates"] = {**stage["learning_rates"], "projector": rate, "language_model": rate}
    mixture = output / "mixture.yaml"
    for number, task in enumerate(tasks):
        task["name"] = f"{task['task']}-{number}"
    write_text(mixture, yaml.safe_dump({"split": "train", "seed": seed, "tasks": tasks}))
    curate(EpicKitchens(HOME / "data" / "annotations"), mixture, output / "records")
    stage["records"] = [{"path": str(output / "records" / RECORDS)}]
    stage["action"] = {**stage["action"], "head_weight": weight}
    seeing = stage["extra"]["seeing"]
    stage["extra"] = {"seeing": {**seeing, "action": seeing["action"] if weight else 0.0}}
    return TrainConfig.from_mapping(stage)


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| records | seeds | hard questions | random questions |", "|---|---|---|---|"]
    for name in ("zero-shot", *(name for name, *_ in STEPS), HEAVY_ARM):
        own = [line for line in results if line["arm"] == name]
        if not own:
            continue
        cells = []
        for kind in ("hard", "random"):
            values = [100 * line[kind]["value"] for line in own]
            if len(own) == 1:
                cells.append(f"{values[0]:.1f} [{100 * own[0][kind]['low']:.1f}, {100 * own[0][kind]['high']:.1f}]")
            else:
                cells.append(f"{np.mean(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})")
        lines.append(f"| {name} | {len(own)} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/ablation"), show_default=True)
@click.option("--steps", default=120, show_default=True, help="Optimiser steps of every run.")
@click.option("--rate", default=RATE, show_default=True, help="Learning rate of every run.")
@click.option("--start", "only_start", is_flag=True, help="Only train the common start.")
@click.option("--start-steps", default=150, show_default=True, help="Optimiser steps of the common start.")
@click.option("--count", default=500, show_default=True, help="Questions of each kind.")
@click.option("--part", default="0/1", show_default=True, help="Do every N-th run from number K on: K/N.")
@click.option("--table", "only_table", is_flag=True, help="Only print what is there.")
def main(
    output: Path,
    steps: int,
    rate: float,
    only_start: bool,
    start_steps: int,
    count: int,
    part: str,
    only_table: bool,
) -> None:
    """Run what is missing and print the table."""
    if only_start:
        click.echo(train(start_recipe(output, start_steps)).model)
        return
    start = output / START / MODEL
    results = output / "results.jsonl"

    def there() -> list[dict[str, Any]]:
        return [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []

    if not only_table:
        if not start.is_dir():
            raise click.UsageError(f"{start} is not there: run with --start first")
        jobs: list[tuple[str, list[dict[str, Any]], float, int]] = [("zero-shot", [], 0.0, 0)]
        jobs += [(*arm, seed) for seed in range(3) for arm in arms() if seed == 0 or arm[0] in THREE_SEEDS]
        first, every = (int(number) for number in part.split("/"))
        examine = Examiner(count)
        for name, tasks, weight, seed in jobs[first::every]:
            if any(line["arm"] == name and line["seed"] == seed for line in there()):
                continue
            folder = start
            if tasks:
                home = output / f"{name.strip('+ ').replace(',', '').replace(' ', '-')}-{seed}"
                folder = train(recipe(tasks, weight, seed, start, home, steps, rate)).model
            line = {"arm": name, "seed": seed, "steps": steps, "rate": rate, **examine(folder)}
            with results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            click.echo(json.dumps(line))
    click.echo(table(there()))


if __name__ == "__main__":
    main()
