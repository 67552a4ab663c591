"""Options that are fields of a configuration, which alone says their type, choices, range, default and meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from llavaction.base.registry import attribute, suggestion

_BOUNDS = ("ge", "gt", "le", "lt")
"""Names of a number's limits in a field's metadata."""


class Several(click.ParamType):
    """Some of several words, with commas between them.

    Args:
        words: which there are.
    """

    name = "words"

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help writes for a value."""
        return f"[{','.join(self._words)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The words of a text."""
        words = tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else tuple(value)
        for word in words:
            if word not in self._words:
                self.fail(f"'{word}' is none of {', '.join(self._words)}. {suggestion(word, self._words)}", param, ctx)
        return words


def config_options(config: str, *names: str, **types: click.ParamType) -> Callable[[Any], Any]:
    """Options for fields of a configuration: ``option_orders`` becomes ``--option-orders``.

    Args:
        config: where its class is, "package.module:Class"; imported when the command is, so it has to be light.
        names: the fields, in the order of the help.
        types: those of options whose fields say too little, such as texts that are folders.
    """
    return prefixed_options("", config, *names, **types)


def prefixed_options(prefix: str, config: str, *names: str, **types: click.ParamType) -> Callable[[Any], Any]:
    """Options whose names begin alike: with ``sls-`` the one for ``data`` is ``--sls-data``.

    Args:
        prefix: the beginning.
        config, names, types: as for :func:`config_options`.
    """
    fields = attribute(config).model_fields

    def add(command: Any) -> Any:
        for name in reversed(names):
            command = _option(name, fields[name], types.get(name), prefix)(command)
        return command

    return add


def _option(name: str, field: FieldInfo, kind: click.ParamType | None, prefix: str) -> Callable[[Any], Any]:
    needed = field.is_required()
    default = {} if needed else {"default": field.default, "show_default": field.default is not None}
    flag = f"--{prefix}{name.replace('_', '-')}"
    python_type = _without_none(field.annotation)
    if python_type is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", help=field.description, **default)
    return click.option(
        flag, type=kind or _click_type(python_type, field.metadata), required=needed, help=field.description, **default
    )


def _without_none(annotation: Any) -> Any:
    """The one type beside None in a union; any other annotation as it is."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    (python_type,) = (part for part in get_args(annotation) if part is not NoneType)
    return python_type


def _click_type(python_type: Any, limits: list[Any]) -> click.ParamType:
    if get_origin(python_type) is Literal:
        return click.Choice(get_args(python_type))
    if get_origin(python_type) is tuple:
        return Several(get_args(get_args(python_type)[0]))
    plain = {str: click.STRING, int: click.INT, float: click.FLOAT, Path: click.Path(path_type=Path)}[python_type]
    bounds = {name: getattr(limit, name) for limit in limits for name in _BOUNDS if hasattr(limit, name)}
    if not bounds:
        return plain
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    ranged = click.IntRange if python_type is int else click.FloatRange
    return ranged(low, high, min_open="gt" in bounds, max_open="lt" in bounds)
