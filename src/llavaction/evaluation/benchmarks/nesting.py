"""Rows that lie in mappings and lists of JSON: the way to them, and cells by names with dots."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llavaction.base.errors import InputError

_NAMES = re.compile(r"<[^<>]+>")
_BRACED = re.compile(r"\{([^{}]+)\}")


def starts_with_names(way: Sequence[str]) -> bool:
    """Whether a way begins with the entries of a mapping."""
    return bool(way) and _NAMES.fullmatch(way[0]) is not None


def rows_below(entry: Any, way: Sequence[str], columns: Mapping[str, Any]) -> list[tuple[int | None, dict[str, Any]]]:
    """The rows that lie below an entry, each with its place in its list, from 1 (None for one that lies in none).

    Args:
        entry: a value of a JSON file.
        way: to the rows, see ``Protocol.rows``. Names of mappings' keys are left out where there is a list instead, as
            where another release of the same questions has a row for each.
        columns: found on the way so far.

    Raises:
        InputError: the way leads nowhere, or to what is no row.
    """
    return list(_below(entry, tuple(way), columns))


def _below(node: Any, way: tuple[str, ...], columns: Mapping[str, Any]) -> Iterator[tuple[int | None, dict[str, Any]]]:
    if not way:
        for place, row in enumerate(node, start=1) if isinstance(node, list) else [(None, node)]:
            yield place, {**columns, **_mapping(row)}
        return
    step, rest = way[0], way[1:]
    if _NAMES.fullmatch(step):
        flat = isinstance(node, list) or not all(isinstance(value, dict | list) for value in _mapping(node).values())
        if flat:
            yield from _below(node, (), columns)
            return
        for key, value in node.items():
            yield from _below(value, rest, {**columns, step[1:-1]: key})
        return
    name, beside = step.removesuffix("?"), _mapping(node)
    if name in beside:
        kept = {key: value for key, value in beside.items() if not isinstance(value, list) and key != name}
        yield from _below(beside[name], rest, {**columns, **kept})
    elif step.endswith("?"):
        yield None, {**columns, **beside}
    else:
        raise InputError(f"lacks the key '{name}'; found {', '.join(map(str, beside))!s:.200}")


def _mapping(node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise InputError(f"expected a question with its columns, found {node!r:.60}")
    return node


def cell(cells: Mapping[str, Any], column: str) -> Any:
    """A cell by its column, whose dots go into mappings; None where there is none."""
    if column in cells or "." not in column:
        return cells.get(column)
    first, _, rest = column.partition(".")
    inner = cells.get(first)
    return cell(inner, rest) if isinstance(inner, Mapping) else None


def text(value: Any) -> str:
    """A value as text; nothing for None."""
    return "" if value is None else str(value).strip()


def columns_in(template: str) -> list[str]:
    """The columns that a text names in braces, or the one that it is."""
    return _BRACED.findall(template) or [template]


def filled(template: str, cells: Mapping[str, Any]) -> str:
    """A text with the cells of the columns it names in braces; nothing where one of them is empty."""
    if "{" not in template:
        return text(cell(cells, template))
    found = {name: text(cell(cells, name)) for name in columns_in(template)}
    return _BRACED.sub(lambda match: found[match[1]], template) if all(found.values()) else ""
