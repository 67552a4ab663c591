"""``llavaction power``: which difference a planned run can find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llavaction.cli.generated import config_options
from llavaction.cli.options import as_json, emit


@click.command()
@click.argument("pilots", type=click.Path(path_type=Path), nargs=-1)
@config_options(
    "llavaction.evaluation.power_config:PowerConfig",
    *("questions", "videos", "accuracy", "discordance", "icc", "difference", "level", "power"),
)
@as_json
def power(pilots: tuple[Path, ...], json_out: bool, **values: Any) -> None:
    """Say which difference between two models a run can find: of no, one or two PILOTS on the same questions."""
    from llavaction.evaluation.foreign_results import load_run
    from llavaction.evaluation.power import plan, plan_text
    from llavaction.evaluation.power_config import PowerConfig

    found = plan(PowerConfig.from_mapping(values), [load_run(pilot) for pilot in pilots])
    emit(found, plan_text(found), json_out)
