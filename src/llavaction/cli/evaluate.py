"""``llavaction eval``: ask a model every question of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llavaction.base.errors import InputError
from llavaction.cli.asking import asking_options, end_by_failures, warn_of_letter_mass
from llavaction.cli.options import FOLDER, as_json, emit, mapping, say_notes
from llavaction.video.rates import Rates

if TYPE_CHECKING:
    from llavaction.evaluation.runner import RunResult
    from llavaction.questions.schema import Benchmark


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
    allow_missing: bool,
    settings: tuple[str, ...],
    json_out: bool,
    **values: Any,
) -> None:
    """Ask a model every question of BENCHMARK. --set gives the backend's own options, e.g. --set dtype=bfloat16."""
    from llavaction.backends.registry import make_backend
    from llavaction.evaluation.runner import RunConfig, run
    from llavaction.questions.schema import Benchmark
    from llavaction.video.library import VideoLibrary

    loaded = Benchmark.load(benchmark)
    options = mapping(settings)
    config = RunConfig.from_mapping({
        **values, "benchmark": str(benchmark), "videos": str(videos) if videos else None, "backend_options": options,
    })  # fmt: skip
    inputs = known_to_baselines(config.backend, loaded, annotations)
    if taken := sorted(options.keys() & inputs.keys()):
        raise InputError(f"'{taken[0]}' comes from the benchmark and cannot be set")
    made = make_backend(config.backend, **options, **inputs)
    library = VideoLibrary(videos, fps=fps) if videos and made.needs_frames else None
    result = run(config, loaded, made, library, output, retry_failed=retry_failed)
    emit(dict(result.metrics), summary(result), json_out)
    warn_of_letter_mass(result.metrics)
    failed = [prediction.error or "" for prediction in result.predictions if prediction.parse_status == "failed"]
    end_by_failures(failed, len(result.predictions), "questions could not be asked", allow_missing)


def known_to_baselines(spec: str, benchmark: Benchmark, annotations: Path | None = None) -> dict[str, Any]:
    """What a backend needs beyond its own options: a baseline is told here what no query tells.

    Args:
        spec: the backend's name.
        benchmark: what it is asked.
        annotations: for specialist files that refer to rows and action ids.
    """
    from llavaction.backends.registry import parse_spec
    from llavaction.datasets.registry import open_annotations
    from llavaction.questions.keys import option_classes, right_answers

    kind, _ = parse_spec(spec)
    if kind == "oracle":
        return {"answers": right_answers(benchmark.questions)}
    if kind == "prior":
        return {"counts": benchmark.facts.train_counts, "classes": option_classes(benchmark.questions)}
    if kind != "specialist":
        return {}
    from llavaction.specialists.agreement import Expected

    facts = benchmark.facts.classes
    expected = Expected(
        clips={question.question_id: question.clip for question in benchmark.questions},
        verbs={entry.action[0]: entry.verb for entry in facts},
        nouns={entry.action[1]: entry.noun for entry in facts},
        all_classes=False,
    )
    inputs = {"classes": option_classes(benchmark.questions), "expected": expected}
    if annotations is not None:
        dataset = open_annotations(annotations)
        ids = [segment.segment_id for segment in dataset.segments(benchmark.card.split)]
        actions = dataset.vocabulary.actions
        say_notes(*dataset.remarks, *dataset.notes)
        inputs |= {"segment_ids": ids, "actions": actions}
    return inputs


def summary(result: RunResult) -> str:
    """A finished run: its accuracy, what was answered and what was not, and where it is."""
    metrics, counts = result.metrics, result.metrics["counts"]
    answered = metrics["accuracy_of_answered"]
    lines = [f"no accuracy: not one of {counts['questions']} questions was answered"]
    if answered is not None:
        lines = [f"{_share('accuracy', metrics['accuracy'])}, chance {metrics['chance']:.1%}"]
        if answered["n"] < counts["questions"]:
            lines.append(f"{_share('of the answered', answered)}; the others count as wrong above")
    lines.append(
        f"{counts['questions']} questions: {counts['answered']} answered, {counts['unparsed']} with an unreadable "
        f"answer, {counts['failed']} that could not be asked"
    )
    if counts["with_note"]:
        lines.append(
            f"{counts['with_note']} clips were not complete; {counts['stand_ins']} of their frames stood in for others"
        )
    return "\n".join([*lines, f"written to {result.folder} ({result.seconds:.1f} s)"])


def _share(what: str, found: Mapping[str, Any]) -> str:
    from llavaction.base.statistics import BOOTSTRAP
    from llavaction.evaluation.comparison import counted

    interval = f"[{found['low']:.1%}, {found['high']:.1%}]"
    few = "" if found["method"] == BOOTSTRAP else f" ({found['method']})"
    videos = counted(found["clusters"], "video")
    return f"{what} {found['value']:.1%} {interval} on {found['n']} questions from {videos}{few}"
