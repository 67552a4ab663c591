"""``llavaction demo``: from rendered videos to a report, with nothing downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kitchen_mini.weights import fusion_file, model_folder, specialist_folder
from llavaction.base.records import write_json
from llavaction.cli.options import FOLDER, table, timed_echo

SPLIT, SEED = "test", 2026
"""The bundled models were trained on videos of seed 0: these people, kitchens and events are new to them."""
LIMIT, FRAMES = 400, 8
STAGES = ("specialist", "heads", "letters")
"""What recognises; their weights were fitted on kitchen_mini's validation split (docs/mini.md)."""
DATA: dict[str, Any] = {
    "train_videos": 6, "validation_videos": 0, "test_videos": 12, "min_segments": 24, "max_segments": 40,
    "train_participants": 4, "unseen_test_participants": 8, "unseen_share": 1.0,
}  # fmt: skip
"""Long videos: classes can then be balanced within each (docs/exchangeable.md). Train is there for the prior alone."""


@click.command()
@click.option("--output", type=FOLDER, default=Path("runs/demo"), show_default=True)
@click.option("--seed", default=SEED, show_default=True, help="Of the videos; another one gives other kitchens.")
@click.option("--workers", default=2, show_default=True)
@click.option("--model", type=FOLDER, hidden=True, help="Use this checkpoint folder instead of the bundled model.")
@click.option("--specialist", type=FOLDER, hidden=True, help="Use this specialist instead of the bundled one.")
@click.option("--limit", default=LIMIT, hidden=True, help="Ask only this many questions.")
def demo(output: Path, seed: int, workers: int, model: Path | None, specialist: Path | None, limit: int) -> None:
    """The whole way: new videos, a hard benchmark, its audit, the bundled models, one table, a report."""
    from kitchen_mini.cli.data import describe
    from kitchen_mini.renderer import KitchenMiniConfig, generate
    from llavaction.datasets.registry import open_annotations
    from llavaction.questions.audit import audit_folder
    from llavaction.questions.builder import BuildConfig, build_benchmark

    model, specialist = model or model_folder(), specialist or specialist_folder()
    say = timed_echo()
    videos, annotations = output / "kitchen_mini" / "videos", output / "kitchen_mini" / "annotations"
    say(f"rendering kitchen_mini into {output / 'kitchen_mini'}")
    say(describe(generate(output / "kitchen_mini", seed=seed, workers=workers, settings=KitchenMiniConfig(**DATA))))

    dataset = open_annotations(annotations)
    benchmark = build_benchmark(dataset, BuildConfig.from_mapping({"split": SPLIT})).save(output / "benchmark")
    say(f"{len(benchmark.questions)} questions with exchangeable distractors")
    audit = audit_folder(benchmark)
    say(f"audit: {audit['verdict']}")
    # Imported here so that the steps above show their progress before PyTorch is loaded.
    from llavaction.backends.known import informed_backend, known_of_benchmark
    from llavaction.evaluation.report import write_report
    from llavaction.evaluation.runner import RunConfig, run
    from llavaction.recognition.runner import RecognitionConfig, recognise
    from llavaction.specialists.predictions import Expected, load_predictions
    from llavaction.specialists.workflows import Source, predict_split
    from llavaction.video.library import VideoLibrary

    file = output / "specialist.jsonl"
    predict_split(specialist, Source(annotations, videos, SPLIT), file, log=lambda _: None)
    say("the specialist has ranked all actions for every segment")
    library = VideoLibrary(videos)
    backend_specs: dict[str, tuple[str, str, dict[str, Any]]] = {
        "prior": ("prior (class frequencies)", "prior", {}),
        "no-frames": ("model without the video", str(model), {"frames": 0}),
        "one-frame": ("model, 1 frame", str(model), {"frames": 1}),
        "model": (f"model, {FRAMES} frames", str(model), {"frames": FRAMES}),
        "specialist": ("specialist", f"specialist:{file}", {}),
    }
    rows, metrics, backends = [], {}, {}
    for name, (label, spec, options) in backend_specs.items():
        config = RunConfig(benchmark=str(output / "benchmark"), backend=spec, videos=str(videos), limit=limit)
        backends[name] = informed_backend(spec, options, known_of_benchmark(benchmark), "benchmark")
        result = run(config, benchmark, backends[name], library, output / "runs" / name)
        metrics[name] = dict(result.metrics)
        answered = result.metrics["counts"]["answered"]
        rows.append((f"1 of {benchmark.card.options}: {label}", result.metrics["accuracy"], answered))
        say(f"asked {name}")
    recognition = RecognitionConfig(
        annotations=str(annotations), split=SPLIT, predictions=str(file), backend=str(model), limit=limit,
        stages=STAGES, ranked_by=("specialist",), fusion=str(fusion_file()),
    )  # fmt: skip
    segments = list(dataset.segments(SPLIT))
    ranked = load_predictions(file, (), (), expected=Expected.of(segments, dataset.vocabulary))
    recognitions = recognise(
        recognition, segments, ranked, dataset.vocabulary, backends["model"], library, output / "runs" / "two-stage"
    )
    say("the model has chosen among the specialist's best")
    overall, answered = recognitions.metrics["overall"], recognitions.metrics["counts"]["recognised"]
    rows += (
        ("all actions: specialist's best", overall["specialist"]["action"], answered),
        (
            f"all actions: two-stage, both among its best {recognition.candidates}",
            overall["two_stage"]["action"],
            answered,
        ),
        (f"all actions: any of its best {recognition.candidates} is right", overall["specialist_top_k"], answered),
    )
    write_json(output / "metrics.json", {"audit": audit, "runs": metrics, "two_stage": recognitions.metrics})
    write_report(output / "report.html", [output / "runs" / name for name in backend_specs], benchmark, library, audit)
    cells = [(n, f"{a['value']:.1%}", f"{a['low']:.1%} to {a['high']:.1%}", str(k), str(a["n"])) for n, a, k in rows]
    click.echo("\n" + table(cells, ["task: who", "accuracy", "95 % interval", "answered", "n"]))
    gain = overall["difference"]["action"]
    click.echo(
        f"\nchance is {audit['chance']:.1%} among {benchmark.card.options} options. Two-stage minus specialist: "
        f"{gain['difference']:+.1%} [{gain['low']:+.1%}, {gain['high']:+.1%}].\nreport: {output / 'report.html'}"
    )
    say("done")
