"""``llavaction train``: train a model by a recipe."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from llavaction.base.errors import InputError
from llavaction.base.records import read_json, write_json
from llavaction.cli.keys import keys_option
from llavaction.cli.options import FILE, as_json, emit, mapping
from llavaction.recipes import recipe_file

PREPARED = "prepared.json"
"""Which of a recipe's commands have been run, in its output folder."""
_OLD_PLACE = re.compile(r"\brecipes/mixtures/([\w-]+)\.yaml\b")
"""Mixtures that come along, as commands of earlier versions called them; today they have names."""


@click.command()
@click.option("--config", type=FILE, required=True, help="The recipe: a YAML file, or one that comes along, by name.")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@keys_option("llavaction.training.config:TrainConfig")
@as_json
def train(config: Path, settings: tuple[str, ...], json_out: bool) -> None:
    """Train by a recipe, or go on with a training that was interrupted.

    KEY=VALUE replaces what the recipe says; dots lead into its blocks: learning_rates.vision_tower=null,
    records.0.cap=100. On several processes: torchrun --nproc_per_node 2 -m llavaction.cli.main train --config ...
    """
    from llavaction.training.config import load_config
    from llavaction.training.run import check_output
    from llavaction.training.run import train as run

    recipe = load_config(recipe_file(config), list(mapping(settings).items()))
    if os.environ.get("RANK", "0") == "0":  # the other processes wait for the first when the training begins
        check_output(recipe)
        prepare(recipe.prepare, recipe.output / PREPARED)
    result = run(recipe)
    if result.is_main:
        report = {"model": str(result.model), "final_loss": result.final_loss, "accuracy": result.accuracy}
        accuracy = f", {result.accuracy_text}" if result.accuracy_text else ""
        loss = "" if result.final_loss is None else f", last loss {result.final_loss:.4f}"
        emit(report, f"trained: {result.model}{loss}{accuracy}", json_out)
        if result.losses_of_data:
            click.echo(f"note: {result.losses_of_data} (see metrics.jsonl)", err=True)


def prepare(commands: Sequence[str], done_file: Path) -> None:
    """Run the llavaction commands that make what a recipe reads, those of an earlier call not again.

    Raises:
        InputError: a command is none, or one that fails says why.
    """
    from llavaction.cli.main import cli

    done = list(read_json(done_file)) if done_file.is_file() else []
    for number, command in enumerate(commands):
        if number < len(done) and _named(str(done[number])) == _named(command):
            continue
        click.echo(f"llavaction {command}", err=True)
        try:
            cli(args=shlex.split(command), standalone_mode=False)
        except click.UsageError as error:
            raise InputError(f"prepare: 'llavaction {command}': {error.format_message()}") from error
        done = [*done[:number], command]
        write_json(done_file, done)


def _named(command: str) -> str:
    return _OLD_PLACE.sub(r"\1", command)
