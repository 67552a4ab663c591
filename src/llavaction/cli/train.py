"""``llavaction train``: train a model by a recipe."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from llavaction import api
from llavaction.base.errors import InputError
from llavaction.cli.keys import keys_option
from llavaction.cli.options import FILE, as_json, emit, mapping


@click.command()
@click.option("--config", type=FILE, required=True, help="The recipe: a YAML file, or one that comes along, by name.")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@keys_option("llavaction.training.config:TrainConfig", "llavaction.training.kinds:plugin_settings")
@as_json
def train(config: Path, settings: tuple[str, ...], json_out: bool) -> None:
    """Train by a recipe, or go on with a training that was interrupted.

    KEY=VALUE replaces what the recipe says; dots lead into its blocks: learning_rates.vision_tower=null,
    records.0.cap=100. On several processes: torchrun --nproc_per_node 2 -m llavaction.cli.main train --config ...
    """
    result = api.train(config, run_command, **mapping(settings))
    if result.is_main:
        report = {"model": str(result.model), "final_loss": result.final_loss, "accuracy": result.accuracy}
        accuracy = f", {result.accuracy_text}" if result.accuracy_text else ""
        loss = "" if result.final_loss is None else f", last loss {result.final_loss:.4f}"
        emit(report, f"trained: {result.model}{loss}{accuracy}", json_out)
        if result.losses_of_data:
            click.echo(f"note: {result.losses_of_data} (see metrics.jsonl)", err=True)


def run_command(arguments: Sequence[str]) -> None:
    """Run a llavaction command in this process.

    Raises:
        InputError: it is none, or says itself why it fails.
    """
    from llavaction.cli.main import cli

    command = f"llavaction {shlex.join(arguments)}"
    click.echo(command, err=True)
    try:
        cli(args=list(arguments), standalone_mode=False)
    except click.UsageError as error:
        raise InputError(f"prepare: '{command}': {error.format_message()}") from error
