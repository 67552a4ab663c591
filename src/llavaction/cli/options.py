"""What several commands share: option parsing and printing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from llavaction.base.bounded import parse_yaml
from llavaction.base.errors import InputError
from llavaction.video.rates import Rates, check_rate, read_rates

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


class FrameRates(click.ParamType):
    """Frames per second: a number, or a file with one per video."""

    name = "rates"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rates:
        """Read a number or a file.

        Raises:
            InputError: it is neither.
        """
        if not isinstance(value, str):
            return value
        if Path(value).is_file():
            return read_rates(value)
        try:
            float(value)
        except ValueError:
            problem = f"--fps {value} is neither a number nor a file"
            raise InputError(problem, hint="give frames per second, or a JSON or CSV file of them") from None
        return check_rate(value, "--fps")


frame_rates = click.option(
    "--fps",
    type=FrameRates(),
    metavar="NUMBER|FILE",
    help="Images per second in folders of extracted frames: one number, or a file with one per video (JSON of id and "
    "number; CSV with video_id and fps). By default, fps.json beside the videos.",
)


class Moment(click.ParamType):
    """Seconds from a video's start, as a number or as HH:MM:SS.ss or MM:SS.ss."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        if isinstance(value, int | float):
            return float(value)
        from llavaction.datasets.cells import seconds

        try:
            return seconds(str(value))
        except InputError as error:
            return self.fail(error.problem, param, ctx)


MOMENT = Moment()

annotations_option = click.option(
    "--annotations",
    type=FOLDER,
    required=True,
    help="Folder with EPIC_100_*.csv files, or one table with a label column.",
)
output_folder = click.option(
    "--output", type=FOLDER, required=True, help="The run folder; an interrupted run goes on where it was."
)
as_json = click.option("--json", "json_out", is_flag=True, help="Print the result as JSON, for programs.")


def mapping(settings: Sequence[str]) -> dict[str, Any]:
    """Turn "key=value" arguments into a mapping; values are read as YAML ("0.5" is a number).

    Raises:
        InputError: an argument has no "=", or its value cannot be read.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise InputError(f"'{setting}' is not KEY=VALUE")
        try:
            values[key] = parse_yaml(text)
        except InputError as error:
            raise InputError(f"the value of '{setting}' is {error.problem}", hint="quote it") from None
    return values


def emit(result: Mapping[str, Any], text: str, json_out: bool) -> None:
    """Print ``text`` for a person or ``result`` as one JSON document."""
    click.echo(json.dumps(result, ensure_ascii=False, indent=1) if json_out else text)


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Plain-text table: first column left-aligned, the others right-aligned."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, ["-" * width for width in widths], *rows):
        cells = [cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def timed_echo() -> Callable[[str], None]:
    """A function that prints a line behind the seconds since now."""
    begun = time.perf_counter()
    return lambda what: click.echo(f"[{time.perf_counter() - begun:5.1f} s] {what}")


def say_notes(*notes: object) -> None:
    """Say on standard error what was noticed in files that were read."""
    for note in notes:
        click.echo(f"note: {note}", err=True)


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command's values that were given to it; the others are as their configuration has them."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in values.items() if source(name) is not ParameterSource.DEFAULT}
