"""``llavaction report``: one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llavaction.cli.options import FILE, FOLDER, frame_rates

if TYPE_CHECKING:
    from llavaction.video.rates import Rates


@click.command()
@click.argument("runs", type=FOLDER, nargs=-1, required=True)
@click.option("--benchmark", type=FOLDER, required=True, help="The benchmark folder the runs were made on.")
@click.option("--videos", type=FOLDER, help="Folder of the videos, to show the frames of the worst failures.")
@frame_rates
@click.option("--output", type=FILE, default=Path("report.html"), show_default=True)
def report(runs: tuple[Path, ...], benchmark: Path, videos: Path | None, fps: Rates | None, output: Path) -> None:
    """Write report.html for one or several RUNS on the same benchmark."""
    from llavaction.base.records import read_json
    from llavaction.evaluation.report import write_report
    from llavaction.questions.schema import Benchmark
    from llavaction.video.library import VideoLibrary

    audit = benchmark / "audit.json"
    write_report(
        output,
        runs,
        Benchmark.load(benchmark),
        library=VideoLibrary(videos, fps=fps) if videos else None,
        audit=read_json(audit) if audit.is_file() else None,
    )
    click.echo(f"written to {output}")
