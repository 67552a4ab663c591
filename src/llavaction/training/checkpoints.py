"""Checkpoints that are either complete or not there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.trainer import TRAINER_STATE_NAME

from llavaction.base.errors import InputError
from llavaction.base.files import clear_away
from llavaction.base.records import write_json
from llavaction.runs.identity import hold_to_noted

DATA = "data.json"
"""In a stage's folder: what its data are known by."""
BRING_BACK = "bring back the records and videos of then, or give another output folder"
"""What to do where data changed."""
UNFINISHED = ".unfinished"
"""Folder in which a checkpoint is written before it is moved to its place."""


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a stage, by step."""
    found = {}
    for path in folder.glob("checkpoint-*"):
        number = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if number and (path / TRAINER_STATE_NAME).is_file():
            found[int(number[1])] = path
    return [found[step] for step in sorted(found)]


def hold_to_data(folder: Path, data: Mapping[str, Any], *, write: bool) -> None:
    """Make sure that checkpoints go on with the data they were trained on.

    Args:
        folder: of the stage.
        data: what tells its data from others, by a name for people.
        write: note it down where there is no checkpoint yet.

    Raises:
        InputError: there are checkpoints of other data.
    """
    if checkpoints(folder) and (folder / DATA).is_file():
        hold_to_noted(folder / DATA, data, "its checkpoints were trained on other data", hint=BRING_BACK)
    elif write:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / DATA, data)


def publish(folder: Path, step: int, keep: int) -> None:
    """Move the finished checkpoint of a step to its place, then delete all but the newest ``keep``."""
    source, target = folder / UNFINISHED / f"checkpoint-{step}", folder / f"checkpoint-{step}"
    for path in source.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    if not target.exists():
        source.rename(target)
    clear_away(folder / UNFINISHED)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def kept_intact(folder: Path, step: int) -> Iterator[None]:
    """Tell what a failed attempt to write the checkpoint of a step leaves behind, and clean up after it.

    Raises:
        InputError: the attempt failed.
    """
    try:
        yield
    except Exception as error:  # what a full disk raises depends on the library that writes
        clear_away(folder / UNFINISHED)
        there = checkpoints(folder)
        rest = f"{there[-1].name} is intact, the same command goes on from it" if there else "there is none before it"
        raise InputError(
            f"the checkpoint of step {step} cannot be written: {str(error) or type(error).__name__}",
            file=folder,
            hint=f"make room on the disk; {rest}",
        ) from error
