"""Training, from Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llavaction.training.preparation import RunCommand
    from llavaction.training.run import TrainResult


def train(config: str | Path, run_command: RunCommand | None = None, /, **changes: Any) -> TrainResult:
    """Train by a recipe, or go on with a training that was interrupted.

    Args:
        config: the recipe, a YAML file or the name of one that comes along.
        run_command: runs a llavaction command of the recipe's ``prepare``, given its arguments; by default each is a
            process of its own.
        changes: take the place of what it says; blocks as mappings, ``learning_rates={"vision_tower": None}``.

    Raises:
        InputError: the recipe or what it names cannot be used, or a command of its ``prepare`` fails.
    """
    from llavaction.recipes import recipe_file
    from llavaction.training.config import load_config
    from llavaction.training.preparation import PREPARED, as_process, prepare
    from llavaction.training.run import check_output
    from llavaction.training.run import train as run

    recipe = load_config(recipe_file(config), list(changes.items()))
    if os.environ.get("RANK", "0") == "0":  # the other processes wait for the first when the training begins
        check_output(recipe)
        prepare(recipe.prepare, recipe.output / PREPARED, run_command or as_process)
    return run(recipe)
