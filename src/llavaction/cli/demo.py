"""``llavaction demo``: from rendered videos to a report, with nothing downloaded."""

from __future__ import annotations

import time
from pathlib import Path

import click

from llavaction.base.records import write_json, write_records
from llavaction.cli.data import describe
from llavaction.cli.options import FOLDER, table
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.datasets.kitchen_mini import KitchenMiniConfig, generate
from llavaction.questions.audit import audit_folder
from llavaction.questions.builder import BuildConfig, build_benchmark

SPLIT = "validation"
QUESTIONS = 200
DATA = KitchenMiniConfig(train_videos=12, validation_videos=8, test_videos=2, min_segments=30, max_segments=40)
"""Long videos: classes can then be balanced within each (docs/exchangeable.md)."""


@click.command()
@click.option("--output", type=FOLDER, default=Path("runs/demo"), show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=2, show_default=True)
def demo(output: Path, seed: int, workers: int) -> None:
    """The whole way: kitchen_mini, a benchmark, its audit, three backends, a report.

    The vision-language model has random weights and answers at chance; what is shown is that everything works.
    """
    # Imported here so that the steps above it show their progress before PyTorch is loaded.
    from llavaction.backends.registry import make_backend
    from llavaction.evaluation.report import write_report
    from llavaction.evaluation.runner import RunConfig, run
    from llavaction.models.tiny import write_tiny_llava_onevision
    from llavaction.specialists.simulated import NoiseModel, simulate_predictions
    from llavaction.video.library import VideoLibrary

    begun = time.perf_counter()

    def say(what: str) -> None:
        click.echo(f"[{time.perf_counter() - begun:5.1f} s] {what}")

    say(f"rendering kitchen_mini into {output / 'kitchen_mini'}")
    summary = generate(output / "kitchen_mini", seed=seed, workers=workers, settings=DATA)
    say(describe(summary))

    dataset = EpicKitchens(output / "kitchen_mini" / "annotations")
    benchmark = build_benchmark(dataset, BuildConfig.from_mapping({"split": SPLIT}), workers=1).save(
        output / "benchmark"
    )
    say(f"{len(benchmark.questions)} questions with exchangeable distractors")
    audit = audit_folder(benchmark)
    say(f"audit: {audit['verdict']}")

    counts = {action: dataset.vocabulary.count(action, "train") for action in dataset.vocabulary.actions}
    specialist = output / "specialist.jsonl"
    simulated = simulate_predictions(dataset.segments(SPLIT), dataset.vocabulary.actions, counts, NoiseModel(noise=2.5))
    write_records(specialist, simulated.values())
    model = output / "tiny-model"
    write_tiny_llava_onevision(model, seed=seed)

    library = VideoLibrary(output / "kitchen_mini" / "videos")
    backends = {
        "prior": "prior",
        "specialist": f"specialist:{specialist}",
        "tiny-llava-onevision": f"transformers:{model}",
    }
    rows, metrics = [], {}
    for name, spec in backends.items():
        options = {"counts": benchmark.facts.train_counts} if name == "prior" else {}
        config = RunConfig(
            benchmark=str(output / "benchmark"), backend=spec, videos=str(library.root), limit=QUESTIONS, frames=8
        )
        result = run(config, benchmark, make_backend(spec, **options), library, output / "runs" / name)
        accuracy = result.metrics["accuracy"]
        metrics[name] = dict(result.metrics)
        rows.append([
            name, f"{accuracy['value']:.1%}", f"{accuracy['low']:.1%} to {accuracy['high']:.1%}", str(accuracy["n"]),
        ])  # fmt: skip
        say(f"asked {name}")
    write_json(output / "metrics.json", {"audit": audit, "runs": metrics})
    runs = [output / "runs" / name for name in backends]
    write_report(output / "report.html", runs, benchmark, library=library, audit=audit)
    click.echo("\n" + table(rows, ["backend", "accuracy", "95 % interval", "questions"]))
    click.echo(
        f"\nchance is {audit['chance']:.1%}. The prior looks at class frequencies only; the specialist is "
        f"simulated by a noise model; the tiny model has random weights.\nreport: {output / 'report.html'}"
    )
    say("done")
