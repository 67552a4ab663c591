"""What the mini model can do, and that it does it by looking: one table for the test split of kitchen_mini.

    llavaction train --config kitchen-mini                    # leaves data and test questions in runs/kitchen-mini
    python benchmarks/mini.py                                 # the bundled model
    python benchmarks/mini.py --model runs/kitchen-mini/model/model

Every question is asked with 8 frames, with one, with the middle one eight times over (so that only time is missing, not
the usual length), and with none. Intervals are clustered by video.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from kitchen_mini.weights import model_folder
from llavaction.backends.registry import make_backend
from llavaction.base.statistics import ClusteredBootstrap
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.runner import run
from llavaction.questions.builder import build_benchmark
from llavaction.questions.config import BuildConfig
from llavaction.questions.schema import Benchmark
from llavaction.video.frames import Frames
from llavaction.video.library import VideoLibrary

HOME = Path("runs/kitchen-mini")


class MiddleFrame(VideoLibrary):
    """Shows a clip's middle frame as often as frames are asked for."""

    def read(self, clip: Any, count: int, **options: Any) -> Frames:
        """See the parent; the times are those the frames would have."""
        middle, whole = super().read(clip, 1, **options), super().read(clip, count, **options)
        if not len(middle):
            return middle
        return Frames(images=np.repeat(middle.images, len(whole), axis=0), times=whole.times, error=whole.error)


@click.command()
@click.option("--model", type=click.Path(path_type=Path, file_okay=False), help="A checkpoint folder.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/mini"), show_default=True)
def main(model: Path | None, output: Path) -> None:
    """Ask everything and print the table."""
    model, videos = model or model_folder(), HOME / "data" / "videos"
    hard = Benchmark.load(HOME / "test")
    easy = build_benchmark(
        EpicKitchens(HOME / "data" / "annotations"), BuildConfig.from_mapping({"split": "test", "miner": "random"})
    ).save(output / "random-questions")
    asked = {
        "hard, 8 frames": (hard, HOME / "test", VideoLibrary(videos), 8),
        "hard, 1 frame": (hard, HOME / "test", VideoLibrary(videos), 1),
        "hard, middle frame 8 times": (hard, HOME / "test", MiddleFrame(videos), 8),
        "hard, no frame": (hard, HOME / "test", VideoLibrary(videos), 0),
        "random, 8 frames": (easy, output / "random-questions", VideoLibrary(videos), 8),
    }
    results = {}
    for name, (benchmark, folder, library, frames) in asked.items():
        home = output / name.replace(", ", "-").replace(" ", "-")
        config = RunConfig(benchmark=str(folder), backend=str(model), videos=str(videos))
        result = run(config, benchmark, make_backend(str(model), frames=frames), library, home)
        results[name] = result.metrics["accuracy"]
        if name == "hard, 8 frames":
            results |= seen_and_unseen(benchmark, home)
        click.echo(f"{name}: {json.dumps(results[name])}")
    click.echo("\n| questions of the test split | accuracy, % | 95 % interval | n |\n|---|---|---|---|")
    for name, found in results.items():
        low, high = 100 * found["low"], 100 * found["high"]
        click.echo(f"| {name} | {100 * found['value']:.1f} | {low:.1f} to {high:.1f} | {found['n']} |")


def seen_and_unseen(benchmark: Benchmark, home: Path) -> dict[str, dict[str, Any]]:
    """Accuracy on participants that training had, and on the others."""
    new = set((HOME / "data" / "annotations" / "EPIC_100_unseen_participant_ids_test.csv").read_text().split()[1:])
    lines = [json.loads(line) for line in (home / "predictions.jsonl").read_text().splitlines()]
    chosen = {line["question_id"]: line["choice"] for line in lines}
    right = np.array([chosen[question.question_id] == question.answer for question in benchmark.questions], dtype=float)
    videos = np.array([question.clip.video_id for question in benchmark.questions])
    unseen = np.array([video.partition("_")[0] in new for video in videos])
    return {
        f"hard, 8 frames, {name} people": ClusteredBootstrap(videos[members]).interval(right[members]).rounded(4)
        for name, members in (("seen", ~unseen), ("unseen", unseen))
    }


if __name__ == "__main__":
    main()
