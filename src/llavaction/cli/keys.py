"""Listing what the settings of a command can be: its configuration class says it itself."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Any, get_args

import click
from pydantic import BaseModel

from llavaction.base.registry import resolve

WIDTH = 110


def keys_option(config: str) -> Callable[[Any], Any]:
    """An option ``--keys`` that lists the fields of a configuration and ends.

    Args:
        config: where its class is, "package.module:Class"; imported only when asked.
    """

    def show(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            click.echo(described(resolve({config: config}, config, "configuration")))
            context.exit()

    return click.option(
        "--keys", is_flag=True, is_eager=True, expose_value=False, callback=show, help="List every setting and leave."
    )


def set_option(config: str) -> Callable[[Any], Any]:
    """The option ``--set KEY=VALUE``, and ``--keys``; see :func:`keys_option`."""
    add_keys = keys_option(config)

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
        yield f"{prefix}{name}{needed}: {field.description or 'see the documentation'}"
        if block is not None:
            yield from _lines(block, f"{prefix}{name}.")


def _block(annotation: Any) -> type[BaseModel] | None:
    """The configuration within a field, alone or in a union or tuple."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
