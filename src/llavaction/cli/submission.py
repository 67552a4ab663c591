"""``llavaction benchmark submit``: the answers of a run for a benchmark's server."""

from __future__ import annotations

from pathlib import Path

import click

from llavaction.cli.options import FILE, FOLDER, as_json, emit


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--output", type=FILE, required=True, help="The JSON file to write.")
@click.option(
    "--benchmark", type=click.Path(path_type=Path), help="Its folder or YAML file, where it is not where it was."
)
@as_json
def submit(run: Path, output: Path, benchmark: Path | None, json_out: bool) -> None:
    """Write the answers of RUN as the benchmark's server takes them."""
    from llavaction.evaluation.submissions import write_submission

    count = write_submission(run, output, benchmark)
    emit({"output": str(output), "answers": count}, f"{count} answers written to {output}", json_out)
