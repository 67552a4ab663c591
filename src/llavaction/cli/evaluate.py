"""``llavaction eval``: ask a model every question of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llavaction.backends.registry import make_backend, parse_spec
from llavaction.base.errors import InputError
from llavaction.cli.asking import asking_options
from llavaction.cli.options import FOLDER, as_json, emit, mapping
from llavaction.datasets.label_table import open_annotations
from llavaction.evaluation.runner import RunConfig, RunResult, run
from llavaction.questions.schema import Benchmark
from llavaction.video.library import VideoLibrary
from llavaction.video.rates import Rates


@click.command("eval")
@click.argument("benchmark", type=FOLDER)
@click.option(
    "--backend", required=True, help="chance, prior, oracle, specialist:FILE, bundled, or a checkpoint folder."
)
@click.option("--videos", type=FOLDER, help="Folder of the videos, for backends that look.")
@click.option("--output", type=FOLDER, required=True, help="The run folder; an interrupted run goes on where it was.")
@click.option("--annotations", type=FOLDER, help="For specialist files that refer to rows and action ids.")
@click.option(
    "--decision",
    type=click.Choice(["likelihood", "generation"]),
    default="likelihood",
    show_default=True,
    help="The likeliest option, or the one that the answer it writes is about.",
)
@click.option(
    "--parsing",
    type=click.Choice(["robust", "published"]),
    default="robust",
    show_default=True,
    help="How written answers are read: ours, or the paper's evaluation code.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap intervals.")
@asking_options
@as_json
def evaluate(
    benchmark: Path,
    output: Path,
    videos: Path | None,
    annotations: Path | None,
    fps: Rates | None,
    retry_failed: bool,
    settings: tuple[str, ...],
    json_out: bool,
    **values: Any,
) -> None:
    """Ask a model every question of BENCHMARK. --set gives the backend's own options, e.g. --set dtype=bfloat16."""
    loaded = Benchmark.load(benchmark)
    options = mapping(settings)
    config = RunConfig.from_mapping({
        **values, "benchmark": str(benchmark), "videos": str(videos) if videos else None, "backend_options": options,
    })  # fmt: skip
    inputs = _inputs(config.backend, loaded, annotations)
    if taken := sorted(options.keys() & inputs.keys()):
        raise InputError(f"'{taken[0]}' comes from the benchmark and cannot be set")
    made = make_backend(config.backend, **options, **inputs)
    library = VideoLibrary(videos, fps=fps) if videos and made.needs_frames else None
    result = run(config, loaded, made, library, output, retry_failed=retry_failed)
    emit(dict(result.metrics), summary(result), json_out)
    failed = [prediction for prediction in result.predictions if prediction.parse_status == "failed"]
    if failed:
        click.echo(f"{len(failed)} questions could not be asked; the first: {failed[0].error}", err=True)
    if len(failed) == len(result.predictions):
        raise InputError("no question could be asked", hint="with the right --videos, add --retry-failed")


def _inputs(spec: str, benchmark: Benchmark, annotations: Path | None) -> dict[str, Any]:
    """What a backend needs beyond its own options."""
    kind, _ = parse_spec(spec)
    if kind == "prior":
        return {"counts": benchmark.facts.train_counts}
    if kind == "specialist" and annotations is not None:
        dataset = open_annotations(annotations)
        ids = [segment.segment_id for segment in dataset.segments(benchmark.card.split)]
        return {"segment_ids": ids, "actions": dataset.vocabulary.actions}
    return {}


def summary(result: RunResult) -> str:
    """One line on a finished run."""
    accuracy = result.metrics["accuracy"]
    return (
        f"accuracy {accuracy['value']:.1%} [{accuracy['low']:.1%}, {accuracy['high']:.1%}] "
        f"on {accuracy['n']} questions, chance {result.metrics['chance']:.1%}\n"
        f"written to {result.folder} ({result.seconds:.1f} s)"
    )
