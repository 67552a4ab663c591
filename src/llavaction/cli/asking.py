"""The options of commands that ask a backend about many clips."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import click

from llavaction.cli.keys import set_option
from llavaction.cli.options import frame_rates
from llavaction.questions.prompts import Perspective, PromptStyle

allow_missing = click.option(
    "--allow-missing", is_flag=True, help="End with status 0 also if more than a tenth is left out."
)

_OPTIONS = (
    click.option(
        "--frames", type=int, help="Frames per clip; by default as many as the model was trained with, else 16."
    ),
    frame_rates,
    click.option(
        "--prompt",
        type=click.Choice(get_args(PromptStyle)),
        default="letters",
        show_default=True,
        help="How the question is put. letters: options listed, a letter is the answer; published: the paper's "
        "wording, published_timed and published_frame_times with its sentence on the clip's length; open and "
        "published_open: options not listed, for --set rule=texts or written answers.",
    ),
    click.option(
        "--perspective",
        type=click.Choice(get_args(Perspective)),
        default="first_person",
        show_default=True,
        help="How the published prompts speak: 'you are the person', or of 'the person'.",
    ),
    click.option("--option-orders", type=int, default=1, show_default=True, help="Orders of the options to ask in."),
    click.option("--limit", type=int, help="Ask about only this many, the same for every backend."),
    click.option("--batch-size", type=int, default=4, show_default=True, help="Questions per call of the backend."),
    click.option("--workers", type=int, default=2, show_default=True, help="Threads that decode ahead."),
    click.option("--retry-failed", is_flag=True, help="Ask those again whose video could not be read last time."),
    allow_missing,
    set_option("llavaction.backends.huggingface_config:HuggingFaceConfig"),
)

MOST_FAILED = 0.1
"""A run of which a larger share could not be asked ends with status 3, unless --allow-missing is given."""
INCOMPLETE = 3
"""The status it ends with."""


RETRY = "run the same command with --retry-failed"


def end_by_failures(errors: Sequence[str], total: int, what: str, allow_missing: bool, then: str = RETRY) -> None:
    """Say what could not be asked, and end the command with a status that tells if it was much.

    Args:
        errors: why, for each that could not be asked.
        total: how many were to be asked.
        what: for the message, "questions could not be asked".
        allow_missing: end as usual all the same.
        then: what to do when the cause is mended.
    """
    if not errors:
        return
    click.echo(f"{len(errors)} of {total} {what}; the first: {errors[0]}", err=True)
    if len(errors) > MOST_FAILED * total and not allow_missing:
        click.echo(f"  hint: mend the cause and {then}; or accept it with --allow-missing", err=True)
        sys.exit(INCOMPLETE)


def asking_options(command: Any) -> Any:
    """Add what such commands share: frames, prompt, batches, --retry-failed, --set."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def warn_of_letter_mass(metrics: Mapping[str, Any]) -> None:
    """Say on standard error where the model would hardly answer by a letter."""
    from llavaction.backends.letter_mass import letter_mass_warning

    if (warning := letter_mass_warning(metrics["letter_mass"])) is not None:
        click.echo(warning, err=True)
