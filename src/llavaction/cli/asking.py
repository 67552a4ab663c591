"""The options of commands that ask a backend about many clips."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from llavaction.base.errors import InputError
from llavaction.cli.generated import config_options
from llavaction.cli.keys import set_option
from llavaction.cli.options import FILE, FOLDER, frame_rates, output_folder

allow_missing = click.option(
    "--allow-missing", is_flag=True, help="End with status 0 also if more than a tenth is left out."
)
_retry_failed = click.option(
    "--retry-failed", is_flag=True, help="Ask those again whose video could not be read last time."
)
_cache = click.option(
    "--cache",
    type=FILE,
    help="File of answers that were given before, shared between runs. By default it is answers.sqlite in llavaction's "
    "folder under your cache folder.",
)
_no_cache = click.option("--no-cache", is_flag=True, help="Neither take answers from the cache nor keep them.")
_SHARED = ("frames", "prompt", "perspective", "option_orders", "limit", "batch_size", "workers", "seed")

MOST_FAILED = 0.1
"""A run of which a larger share could not be asked ends with status 3, unless --allow-missing is given."""
INCOMPLETE = 3
"""The status it ends with."""


model_settings = set_option(
    "llavaction.backends.huggingface_config:HuggingFaceConfig",
    {"endpoint:URL": "llavaction.backends.endpoint.config:EndpointConfig"},
)
"""The option --set of commands that ask a model."""


def cache_options(command: Any) -> Any:
    """The options ``--cache FILE`` and ``--no-cache`` of a command; :func:`cache_of` reads them."""
    return _cache(_no_cache(command))


def cache_of(values: dict[str, Any]) -> bool | Path:
    """Take --cache and --no-cache out of a command's values: which cache is meant, see :func:`llavaction.api.evaluate`.

    Raises:
        InputError: both are given.
    """
    file, without = values.pop("cache"), values.pop("no_cache")
    if file is not None and without:
        raise InputError("--cache and --no-cache contradict each other", hint="leave one of them out")
    return file or not without


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


def asking_options(
    config: str, *names: str, without: Collection[str] = (), **types: click.ParamType
) -> Callable[[Any], Any]:
    """Options of a command that asks: its own fields of a configuration, then what all such commands share.

    Args:
        config: where the class is, an :class:`~llavaction.backends.asking_config.AskingConfig`.
        names: its own fields, as for :func:`config_options`.
        without: what such commands share and this one has not.
        types: as there.
    """
    parts = (
        config_options(config, *names, videos=FOLDER, **types),
        output_folder,
        config_options(config, *(name for name in _SHARED if name not in without)),
        frame_rates,
        _retry_failed,
        allow_missing,
        model_settings,
    )

    def add(command: Any) -> Any:
        for part in reversed(parts):
            command = part(command)
        return command

    return add


def warn_of_letter_mass(metrics: Mapping[str, Any]) -> None:
    """Say on standard error where the model would hardly answer by a letter."""
    from llavaction.backends.letter_mass import letter_mass_warning

    if (warning := letter_mass_warning(metrics["letter_mass"])) is not None:
        click.echo(warning, err=True)
