"""The rows of a table of questions, from CSV, JSON or JSON Lines, each with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.json_stream import JsonCursor
from llavaction.base.records import read_lines
from llavaction.base.tables import Table

Row = tuple[int, Mapping[str, Any]]
"""Line, and values by column; of CSV all are texts."""


def read_rows(path: Path, required: Sequence[str]) -> tuple[list[Row], list[str]]:
    """All rows of a file, and how its form was understood.

    Args:
        path: a name that ends in .json or .jsonl is read as such, any other as CSV.
        required: columns that every row must have.

    Raises:
        InputError: the file is missing or damaged, or a row cannot be read or lacks a column; names file and line.
    """
    if not path.is_file():
        raise InputError("no such file of questions", file=path)
    if path.suffix.lower() not in (".json", ".jsonl"):
        table = Table(path, required)
        rows = []
        for row in table:
            if row.fault:
                raise InputError(row.fault, file=path, line=row.line)
            rows.append((row.line, row.cells))
        return rows, table.notes
    entries: list[Row] = []
    for line, entry in _json_list(path) if path.suffix.lower() == ".json" else read_lines(path, "question"):
        if not isinstance(entry, dict):
            raise InputError(f"expected a question with its columns, found {entry!r:.60}", file=path, line=line)
        if missing := [name for name in required if name not in entry]:
            problem = f"lacks {', '.join(missing)}; found {', '.join(map(str, entry))!s:.200}"
            raise InputError(problem, file=path, line=line)
        entries.append((line, entry))
    return entries, []


def _json_list(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig") as stream:
        cursor = JsonCursor(stream, path)
        if cursor.peek() != "[":
            raise InputError("expected a list of questions", file=path, line=cursor.line)
        for entry in cursor.list_items():
            yield cursor.began, entry
        cursor.end()
