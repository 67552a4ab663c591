"""``llavaction report``: one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llavaction.base.errors import InputError
from llavaction.cli.options import FILE, FOLDER, frame_rates

if TYPE_CHECKING:
    from llavaction.video.rates import Rates


@click.command()
@click.argument("runs", type=FOLDER, nargs=-1, required=True)
@click.option("--benchmark", type=click.Path(path_type=Path), help="The benchmark that evaluations were made on.")
@click.option("--videos", type=FOLDER, help="Folder of the videos, to show frames of failures and successes.")
@frame_rates
@click.option("--figures", type=FOLDER, help="Also write figures (SVG, PDF) and tables (CSV, LaTeX) into this folder.")
@click.option("--output", type=FILE, default=Path("report.html"), show_default=True)
def report(
    runs: tuple[Path, ...],
    benchmark: Path | None,
    videos: Path | None,
    fps: Rates | None,
    figures: Path | None,
    output: Path,
) -> None:
    """Write report.html for one or several RUNS: of eval on the same benchmark, or of recognise."""
    from llavaction.evaluation.benchmarks import open_benchmark
    from llavaction.evaluation.finished import FinishedRun
    from llavaction.evaluation.recognition_report import write_recognition_report
    from llavaction.evaluation.report import write_report
    from llavaction.video.library import VideoLibrary

    finished = [FinishedRun.load(run) for run in runs]
    if finished[0].recognitions:
        if figures is not None:
            raise InputError("--figures are of evaluations; these runs are recognitions")
        write_recognition_report(output, finished)
    else:
        if benchmark is None:
            raise InputError("which questions?", hint="give --benchmark, the folder the runs were made on")
        library = VideoLibrary(videos, fps=fps) if videos else None
        write_report(output, finished, open_benchmark(benchmark, videos), library=library, figures=figures)
    click.echo(f"written to {output}" + (f" and {figures}" if figures else ""))
