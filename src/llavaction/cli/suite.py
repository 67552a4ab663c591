"""``llavaction suite``: run several benchmarks, and print one table beside published figures."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from llavaction import api
from llavaction.cli.asking import model_settings
from llavaction.cli.options import as_json, emit, mapping, output_folder, say_notes


@click.command("suite")
@click.argument("suite", metavar="NAME_OR_FILE")
@click.option("--backend", required=True, help="Who is asked, as for llavaction eval.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="Folder with one folder for each benchmark, or a YAML file with lines 'NAME: FOLDER'.",
)
@output_folder
@click.option("--only", multiple=True, metavar="NAME", help="Run this benchmark alone; may be given several times.")
@click.option("--limit", type=click.IntRange(min=1), help="Ask about only this many of each benchmark.")
@click.option("--frames", type=click.IntRange(min=1), help="Frames per clip, in place of what the suite says.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Questions per call of the backend.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that decode ahead.")
@click.option("--retry-failed", is_flag=True, help="Ask those again whose video could not be read last time.")
@model_settings
@as_json
def suite(
    suite: str,
    backend: str,
    data: Path,
    output: Path,
    only: tuple[str, ...],
    limit: int | None,
    frames: int | None,
    batch_size: int | None,
    workers: int | None,
    retry_failed: bool,
    settings: tuple[str, ...],
    json_out: bool,
) -> None:
    """Run every benchmark of a suite whose files are there, and print its table.

    A suite that comes along (paper, mini) or a YAML file. What was done already is not done again. Ends with status 1
    where a benchmark failed or none could be run.
    """
    from llavaction.evaluation.suites.formats import markdown

    changes = {"limit": limit, "frames": frames, "batch_size": batch_size, "workers": workers}
    result = api.suite(
        suite,
        backend,
        data,
        output,
        only=only,
        model_options=mapping(settings),
        retry_failed=retry_failed,
        say=say_notes,
        **{name: value for name, value in changes.items() if value is not None},
    )
    emit(dict(result.table), f"{markdown(result.table)}written to {output}", json_out)
    for outcome in result.failed:
        click.echo(f"{outcome.entry.name} failed: {outcome.why}", err=True)
    if result.failed or len(result.missing) == len(result.outcomes):
        sys.exit(1)
