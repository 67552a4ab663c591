"""The options of commands that ask a backend about many clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import click

from llavaction.cli.keys import set_option
from llavaction.cli.options import frame_rates
from llavaction.questions.prompts import PromptStyle

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
        "wording; open and published_open: options not listed, for --set rule=texts or written answers.",
    ),
    click.option("--option-orders", type=int, default=1, show_default=True, help="Orders of the options to ask in."),
    click.option("--limit", type=int, help="Ask about only this many, the same for every backend."),
    click.option("--batch-size", type=int, default=4, show_default=True, help="Questions per call of the backend."),
    click.option("--workers", type=int, default=2, show_default=True, help="Threads that decode ahead."),
    click.option("--retry-failed", is_flag=True, help="Ask those again whose video could not be read last time."),
    set_option("llavaction.backends.huggingface:HuggingFaceConfig"),
)


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
