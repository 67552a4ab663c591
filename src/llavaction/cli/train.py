"""``llavaction train``: train a model by a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from llavaction.cli.options import FILE, as_json, emit, mapping


@click.command()
@click.option("--config", type=FILE, required=True, help="The recipe, a YAML file.")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@as_json
def train(config: Path, settings: tuple[str, ...], json_out: bool) -> None:
    """Train by a recipe, or go on with a training that was interrupted.

    KEY=VALUE replaces what the recipe says; dots lead into its blocks: learning_rates.tower=null, records.0.cap=100. On
    several processes: torchrun --nproc_per_node 2 -m llavaction.cli.main train --config ...
    """
    from llavaction.training.config import load_config
    from llavaction.training.run import train as run

    result = run(load_config(config, list(mapping(settings).items())))
    if result.is_main:
        report = {"model": str(result.model), "final_loss": result.final_loss, "accuracy": result.accuracy}
        accuracy = "" if result.accuracy is None else f", accuracy {result.accuracy:.1%}"
        loss = "" if result.final_loss is None else f", last loss {result.final_loss:.4f}"
        emit(report, f"trained: {result.model}{loss}{accuracy}", json_out)
