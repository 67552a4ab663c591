"""Listing what the settings of a command can be: its configuration class says it itself."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import click
from pydantic import BaseModel

from llavaction.base.errors import InputError
from llavaction.base.registry import attribute, suggestion

WIDTH = 110
_OURS = "ours"
"""The value of ``--keys`` without a plug-in's name."""


def keys_option(
    config: str, of_plugins: str | None = None, others: Mapping[str, str] | None = None
) -> Callable[[Any], Any]:
    """An option ``--keys`` that lists the fields of a configuration and ends.

    Args:
        config: where its class is, "package.module:Class"; imported only when asked.
        of_plugins: where a function is that gives what plug-ins add, by the plug-in's name: where it stands, and its
            class. ``--keys NAME`` lists them.
        others: further classes that are listed behind it, by what they are for.
    """

    def show(context: click.Context, parameter: click.Parameter, wanted: bool | str | None) -> None:
        if not wanted or context.resilient_parsing:
            return
        known = attribute(of_plugins)() if of_plugins else {}
        if wanted in (True, _OURS):
            click.echo(described(attribute(config)))
            for what, place in (others or {}).items():
                click.echo(f"\nOf {what}:\n{described(attribute(place))}")
            if known:
                click.echo(f"\nPlug-ins add keys of their own; --keys NAME lists them, NAME being: {', '.join(known)}.")
        elif wanted in known:
            for place, settings in known[wanted].items():
                click.echo(f"Under {place}\n{textwrap.indent(described(settings), '  ')}")
        else:
            raise InputError(f"no plug-in '{wanted}' adds keys", hint=suggestion(str(wanted), known))
        context.exit()

    own: dict[str, Any] = {"is_flag": True, "help": "List every setting and leave."}
    if of_plugins:
        own = {
            "is_flag": False,
            "flag_value": _OURS,
            "metavar": "[PLUG-IN]",
            "help": "List every setting, or those that a plug-in adds, and leave.",
        }
    return click.option("--keys", is_eager=True, expose_value=False, callback=show, **own)


def set_option(config: str, others: Mapping[str, str] | None = None) -> Callable[[Any], Any]:
    """The option ``--set KEY=VALUE``, and ``--keys``; see :func:`keys_option`."""
    add_keys = keys_option(config, others=others)

    def add(command: Any) -> Any:
        values = click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="A further setting, see --keys; may be given several times.",
        )
        return values(add_keys(command))

    return add


def described(config: type[BaseModel]) -> str:
    """The fields of a configuration, one a paragraph: name, default, what it means; blocks by dotted names."""
    return "\n".join(
        textwrap.fill(line, WIDTH, subsequent_indent="    ", break_long_words=False) for line in _lines(config, "")
    )


def _lines(config: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in config.model_fields.items():
        block = _block(field.annotation)
        default = "" if field.is_required() or field.default_factory else f" ({field.default!r})"
        needed = " (needed)" if field.is_required() else default
        yield f"{prefix}{name}{needed}: {field.description}"
        if block is not None:
            yield from _lines(block, f"{prefix}{name}.")


def _block(annotation: Any) -> type[BaseModel] | None:
    """The configuration within a field, alone or in a union or tuple."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
