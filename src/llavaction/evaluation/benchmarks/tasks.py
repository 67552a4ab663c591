"""Benchmarks of recognition: the command that runs what a description names, where it asks no questions."""

from __future__ import annotations

import shlex
from pathlib import Path

from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks.protocol import Protocol

DONE = {
    "recognition": ("segments are recognised", "recognise"),
    "multi_label": ("clips may have several labels", "multilabel"),
}
"""Task to what is done, and the command that does it."""


def refuse_recognition(protocol: Protocol, source: str | Path, folder: Path | None) -> None:
    """Refuse a description that asks no questions, with the command that runs it.

    Args:
        protocol: the description.
        source: where it is from, for the message.
        folder: what its files are seen from; None where it has none.

    Raises:
        InputError: its task is recognition or several labels.
    """
    if protocol.task == "questions":
        return
    what, _ = DONE[protocol.task]
    problem = f"'{protocol.name}' asks no questions: its {what}"
    raise InputError(problem, file=source, hint=f"run: {command_of(protocol, folder)}")


def command_of(protocol: Protocol, folder: Path | None) -> str:
    """The command line that runs a description of recognition or of several labels.

    Args:
        protocol: the description; files that it does not name stand in capitals.
        folder: what its files are seen from.
    """

    def placed(path: Path | None, name: str) -> str:
        return name if path is None else str(path if folder is None else folder / path)

    words = ["llavaction", DONE[protocol.task][1], "--annotations", placed(protocol.file, "ANNOTATIONS")]
    words += ["--split", protocol.split]
    if protocol.task == "recognition":
        found = protocol.predictions
        words += ["--stages", "label_set_prior"] if found is None else ["--predictions", placed(found, "")]
    words += [
        "--videos",
        placed(protocol.videos, "VIDEOS"),
        "--backend",
        "MODEL",
        "--output",
        f"runs/{_slug(protocol)}",
    ]
    return shlex.join(words)


def _slug(protocol: Protocol) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in protocol.name.lower()).strip("-")
