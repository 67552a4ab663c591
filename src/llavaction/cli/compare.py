"""``llavaction compare``: is one run better than another?"""

from __future__ import annotations

from pathlib import Path

import click

from llavaction.cli.options import FOLDER, as_json, emit


@click.command()
@click.argument("run_a", type=FOLDER)
@click.argument("run_b", type=FOLDER)
@click.option("--across-benchmarks", is_flag=True, help="Allow the same question ids with other options.")
@as_json
def compare(run_a: Path, run_b: Path, across_benchmarks: bool, json_out: bool) -> None:
    """Test whether RUN_B is better than RUN_A on the same questions, with a clustered interval of the difference."""
    from llavaction.evaluation.comparison import compare as compare_runs
    from llavaction.evaluation.comparison import comparison_text

    result = compare_runs(run_a, run_b, across_benchmarks=across_benchmarks)
    emit(result, comparison_text(result), json_out)
