"""``llavaction benchmark``: make, audit and publish benchmarks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from llavaction import api
from llavaction.cli.generated import config_options
from llavaction.cli.keys import set_option
from llavaction.cli.options import FILE, FOLDER, annotations_option, as_json, emit, mapping, say_notes, table
from llavaction.cli.submission import submit


@click.group()
def benchmark() -> None:
    """Make, audit and publish multiple-choice benchmarks."""


benchmark.add_command(submit)


@benchmark.command()
@annotations_option
@config_options(
    "llavaction.questions.config:BuildConfig",
    "split",
    "miner",
    "options",
    "text",
    "seed",
    "predictions",
    predictions=FILE,
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes; the result does not depend on it.",
)
@click.option("--output", type=FOLDER, required=True, help="The benchmark folder to write.")
@set_option("llavaction.questions.exchangeable:ExchangeableConfig")
@as_json
def build(
    annotations: Path, output: Path, workers: int, settings: tuple[str, ...], json_out: bool, **values: Any
) -> None:
    """Make one question of every segment of a split.

    --set gives the miner's own settings, e.g. --set noun_similarity=2 for the exchangeable one.
    """
    begun = time.perf_counter()
    made = api.build_benchmark(
        annotations, output=output, workers=workers, say=say_notes, settings=mapping(settings), **values
    )
    counts = "\n".join(f"  {name}: {count}" for name, count in made.card.counts.items())
    seconds = time.perf_counter() - begun
    emit(
        {"output": str(output), "seconds": round(seconds, 2), **made.card.model_dump(mode="json")},
        f"{made.card.name} ({made.card.split}, {made.card.miner}, {made.card.options} options) in {seconds:.1f} s\n"
        f"{counts}\nwritten to {output}; next: llavaction benchmark audit {output}",
        json_out,
    )


@benchmark.command()
@click.argument("folder", type=FOLDER)
@as_json
def audit(folder: Path, json_out: bool) -> None:
    """Try to answer a benchmark without looking at the video."""
    result = api.audit(folder)
    rows = [
        [entry["name"], f"{entry['accuracy']:.1%}", f"{entry['low']:.1%} to {entry['high']:.1%}"]
        for entry in result["attacks"]
    ]
    shared = {name: f"{share:.1%}" for name, share in result["similarity"].items()}
    if "same word" in shared:
        likeness = f"a word of the answer's label in {shared['same word']}"
    else:
        verb, noun, either = (shared[key] for key in ("same verb", "same noun", "either"))
        likeness = f"the answer's verb in {verb}, its noun in {noun}, either in {either}"
    lines = [
        table(rows, ["blind attack", "accuracy", "95 % interval"]),
        f"chance {result['chance']:.1%}; a distractor shares {likeness} of questions",
        result["verdict"],
    ]
    emit(result, "\n".join(lines), json_out)


@benchmark.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["hf", "lmms-eval"]),
    default="hf",
    show_default=True,
    help="Whose form it has: that of Hugging Face datasets, or tasks of lmms-eval.",
)
@click.option("--name", help="Of the dataset or the task. By default the benchmark's.")
@click.option(
    "--prompt",
    type=click.Choice(["letters", "published", "official"]),
    default="letters",
    show_default=True,
    help="The words of the questions, which tasks of lmms-eval hold.",
)
@click.option("--output", type=FOLDER, required=True, help="The folder to write.")
def export(folder: Path, name: str | None, output: Path, **values: Any) -> None:
    """Write a benchmark in the form of others: as a folder for Hugging Face datasets, or as tasks of lmms-eval.

    FOLDER is a benchmark's, or a YAML file that says how one is read.
    """
    written = api.export_benchmark(folder, output, name=name, say=say_notes, **values)
    then = f"upload it with: hf upload OWNER/NAME {written} --repo-type dataset"
    if values["form"] == "lmms-eval":
        tasks = ",".join(sorted(path.stem for path in written.glob("*.yaml")))
        then = f"ask with: LLAVACTION_VIDEOS=VIDEOS lmms-eval --include_path {written} --tasks {tasks} --model MODEL"
    click.echo(f"written to {written}; {then}")
