"""``llavaction compare``: is one run better than another, and how do many stand beside each other?"""

from __future__ import annotations

from pathlib import Path

import click

from llavaction.base.errors import InputError
from llavaction.cli.options import FILE, as_json, emit

FORMATS = ("markdown", "html", "latex", "csv")


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--across-benchmarks", is_flag=True, help="Of two runs: allow the same question ids with other options.")
@click.option("--reference", metavar="MODEL", help="Test all others against this model, not every two.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Form of the leaderboard; markdown by default.")
@click.option("--output", type=FILE, help="Write the leaderboard into this file.")
@as_json
def compare(
    runs: tuple[Path, ...],
    across_benchmarks: bool,
    reference: str | None,
    form: str | None,
    output: Path | None,
    json_out: bool,
) -> None:
    """Test whether the second of two RUNS is better than the first; of more, or with --format, make a leaderboard.

    A run is a folder, a *_samples_*.jsonl of lmms-eval, or a result table of VLMEvalKit (xlsx, csv, tsv).
    """
    from llavaction.base.records import write_text
    from llavaction.evaluation.comparison import compare as compare_runs
    from llavaction.evaluation.comparison import comparison_text
    from llavaction.evaluation.foreign_results import load_run
    from llavaction.evaluation.leaderboard import leaderboard
    from llavaction.evaluation.leaderboard_formats import FORMATS as WRITERS

    if len(runs) < 2:
        raise InputError("a comparison needs two runs", hint="llavaction compare RUN_A RUN_B")
    two = len(runs) == 2 and form is None and output is None and reference is None
    if two and (across_benchmarks or all(run.is_dir() or not run.exists() for run in runs)):
        result = compare_runs(*runs, across_benchmarks=across_benchmarks)
        emit(result, comparison_text(result), json_out)
        return
    if across_benchmarks:
        raise InputError("--across-benchmarks is for two runs; a leaderboard has a column for each benchmark")
    board = leaderboard([load_run(run) for run in runs], reference)
    text = WRITERS[form or "markdown"](board)
    if output is not None:
        write_text(output, text)
        click.echo(f"written to {output}")
        return
    emit(board, text.rstrip("\n"), json_out)
