"""``llavaction explain``: what moves how many points, between runs or between parsers."""

from __future__ import annotations

from pathlib import Path

import click

from llavaction.cli.options import as_json, emit


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--parsers", is_flag=True, help="Read the written answers of one run by every parser there is.")
@click.option(
    "--benchmark", type=click.Path(path_type=Path), help="What the runs were made on; by default what they name."
)
@as_json
def explain(runs: tuple[Path, ...], parsers: bool, benchmark: Path | None, json_out: bool) -> None:
    """Say what moves how many points between the numbers of RUNS; of one RUN, what each parser moves.

    Of several runs each is compared with the next: give them in the order in which settings were changed.
    """
    from llavaction.evaluation.accounting import explain as explain_runs
    from llavaction.evaluation.accounting import explanation_text
    from llavaction.evaluation.foreign_results import load_run
    from llavaction.evaluation.parser_table import parser_table, parser_table_text

    loaded = [load_run(run) for run in runs]
    if parsers or len(loaded) == 1:
        tables = [parser_table(run, benchmark) for run in loaded]
        text = "\n\n".join(parser_table_text(table) for table in tables)
        emit(tables[0] if len(tables) == 1 else {"schema_version": 1, "tables": tables}, text, json_out)
        return
    found = explain_runs(loaded, benchmark)
    emit(found, explanation_text(found), json_out)
