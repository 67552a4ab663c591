"""What a recipe makes before its training: ``prepare``, a list of llavaction commands, each run once."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.base.records import read_json, write_json

PREPARED = "prepared.json"
"""Which of a recipe's commands have been run, in its output folder."""
_OLD_PLACE = re.compile(r"\brecipes/mixtures/([\w-]+)\.yaml\b")
"""Mixtures that come along, as commands of earlier versions called them; today they have names."""

RunCommand = Callable[[Sequence[str]], None]
"""Runs a llavaction command, given its arguments; one that fails raises InputError."""


def as_process(arguments: Sequence[str]) -> None:
    """Run a llavaction command as a process of its own.

    Raises:
        InputError: it fails.
    """
    note(f"running: llavaction {shlex.join(arguments)}")
    status = subprocess.run([sys.executable, "-m", "llavaction.cli.main", *arguments], check=False).returncode
    if status:
        raise InputError(
            f"prepare: 'llavaction {shlex.join(arguments)}' ended with status {status}", hint="it has said why above"
        )


def prepare(commands: Sequence[str], done_file: Path, run_command: RunCommand = as_process) -> None:
    """Run the commands that make what a recipe reads, those of an earlier call not again.

    Args:
        commands: without the word llavaction.
        done_file: keeps which have been run.
        run_command: runs one.

    Raises:
        InputError: a command is none, or one that fails says why.
    """
    done = list(read_json(done_file)) if done_file.is_file() else []
    for number, command in enumerate(commands):
        if number < len(done) and _named(str(done[number])) == _named(command):
            continue
        run_command(shlex.split(command))
        done = [*done[:number], command]
        write_json(done_file, done)


def _named(command: str) -> str:
    return _OLD_PLACE.sub(r"\1", command)
