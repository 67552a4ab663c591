"""``llavaction eval``: ask a model every question of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llavaction import api
from llavaction.cli.asking import asking_options, cache_of, cache_options, end_by_failures, warn_of_letter_mass
from llavaction.cli.options import FOLDER, as_json, emit, given, mapping, say_notes

if TYPE_CHECKING:
    from llavaction.evaluation.open_answers.runner import OpenRunResult
    from llavaction.evaluation.runner import RunResult
    from llavaction.video.rates import Rates


@click.command("eval")
@click.argument("benchmark", type=click.Path(path_type=Path))
@click.option("--annotations", type=FOLDER, help="For specialist files that refer to rows and action ids.")
@asking_options(
    "llavaction.evaluation.config:RunConfig", "backend", "videos", "decision", "subtitles", "parsing", "parser"
)
@click.option(
    "--audit",
    type=click.Choice(["full"]),
    help="Then ask everything again without the clip, with one frame, with frames out of order, and with options in "
    "all orders: it shows what the accuracy hangs on. Takes some ten times as long.",
)
@cache_options
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
    audit: str | None,
    **values: Any,
) -> None:
    """Ask a model every question of BENCHMARK: its folder, or a YAML file that says how one is read.

    --set gives the backend's own options, e.g. --set dtype=bfloat16.
    """
    from llavaction.evaluation.open_answers.runner import OpenRunResult

    where = cache_of(values)
    chosen = given(values)
    result = api.evaluate(
        benchmark,
        chosen.pop("backend"),
        output,
        videos=videos,
        fps=fps,
        annotations=annotations,
        model_options=mapping(settings),
        retry_failed=retry_failed,
        cache=where,
        audit=audit == "full",
        say=say_notes,
        **chosen,
    )
    if isinstance(result, OpenRunResult):
        emit(dict(result.metrics), open_summary(result), json_out)
        errors = [answer.error for answer in result.answers if answer.error is not None]
        end_by_failures(errors, len(result.answers), "questions could not be asked", allow_missing)
        return
    emit(dict(result.metrics), summary(result), json_out)
    warn_of_letter_mass(result.metrics)
    failed = [prediction.error or "" for prediction in result.predictions if prediction.parse_status == "failed"]
    end_by_failures(failed, len(result.predictions), "questions could not be asked", allow_missing)


def summary(result: RunResult) -> str:
    """A finished run: its accuracy, what was answered and what was not, and where it is."""
    metrics, counts = result.metrics, result.metrics["counts"]
    answered = metrics["accuracy_of_answered"]
    lines = [f"no accuracy: not one of {counts['questions']} questions was answered"]
    hidden = counts.get("hidden", 0)
    if not counts["questions"]:
        lines = [f"no accuracy: the answers to all {hidden} questions are hidden"]
    if answered is not None:
        lines = [f"{_share('accuracy', metrics['accuracy'])}, chance {metrics['chance']:.1%}"]
        if answered["n"] < counts["questions"]:
            lines.append(f"{_share('of the answered', answered)}; the others count as wrong above")
    if official := metrics.get("official"):
        number = "no number" if official["accuracy"] is None else _share("accuracy", official["accuracy"])
        lines.append(
            f"as the public evaluator counts: {number}; {official['drawn']} answers drawn at random, "
            f"{official['left_out']} left out"
        )
    lines.append(
        f"{counts['questions']} questions: {counts['answered']} answered, {counts['unparsed']} with an unreadable "
        f"answer, {counts['failed']} that could not be asked"
    )
    if hidden and counts["questions"]:
        lines.append(f"{hidden} more whose answers are hidden; they count nowhere above")
    if counts["with_note"]:
        lines.append(
            f"{counts['with_note']} clips were not complete; {counts['stand_ins']} of their frames stood in for others"
        )
    if result.from_cache:
        lines.append(f"answers from the cache: {result.from_cache}")
    if "audit" in metrics:
        from llavaction.evaluation.meaning import audit_text

        lines.append(audit_text(metrics["audit"]))
    return "\n".join([*lines, f"written to {result.folder} ({result.seconds:.1f} s)"])


def open_summary(result: OpenRunResult) -> str:
    """A finished run on questions without options."""
    metrics, counts = result.metrics, result.metrics["counts"]
    lines = [_share(name.replace("_", " "), found["all"]) for name, found in metrics["scores"].items()]
    lines.append(
        f"{counts['questions']} questions: {counts['answered']} answered, {counts['empty']} with an empty answer, "
        f"{counts['failed']} that could not be asked"
    )
    return "\n".join([*lines, f"written to {result.folder} ({result.seconds:.1f} s)"])


def _share(what: str, found: Mapping[str, Any]) -> str:
    from llavaction.base.statistics import BOOTSTRAP
    from llavaction.evaluation.comparison import counted

    interval = f"[{found['low']:.1%}, {found['high']:.1%}]"
    few = "" if found["method"] == BOOTSTRAP else f" ({found['method']})"
    videos = counted(found["clusters"], "video")
    return f"{what} {found['value']:.1%} {interval} on {found['n']} questions from {videos}{few}"
