"""The rows of files of questions, from CSV, JSON, JSON Lines, Parquet or Arrow, each with its file and line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NamedTuple

from llavaction.base.bounded import read_text
from llavaction.base.errors import InputError
from llavaction.base.json_stream import JsonCursor
from llavaction.base.records import read_lines
from llavaction.base.tables import Table
from llavaction.evaluation.benchmarks.nesting import rows_below, starts_with_names

PLACE = "#"
"""Column with the place of a row in its list or file, from 1."""
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow")
"""Of the files of a folder that are read."""

_COMMA_TOO_MANY = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])')


class Row(NamedTuple):
    """A row of a file; its cells are by column, of CSV all of them texts."""

    file: Path
    line: int
    cells: Mapping[str, Any]


def question_files(path: Path) -> list[Path]:
    """The files that a path means: itself, those of a folder, or those a name with ``*`` fits; sorted.

    Raises:
        InputError: there is none.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [inner for inner in path.iterdir() if inner.suffix.lower() in SUFFIXES]
    else:
        first = next((place for place, part in enumerate(path.parts) if "*" in part), None)
        found = [] if first is None else list(Path(*path.parts[:first]).glob(str(Path(*path.parts[first:]))))
    if not found:
        raise InputError("no such file of questions", file=path)
    return sorted(inner for inner in found if inner.is_file())


def read_rows(path: Path, required: Sequence[str], way: Sequence[str] = ()) -> tuple[list[Row], list[str]]:
    """All rows of a file, and how its form was understood.

    Args:
        path: a name that ends in .json, .jsonl, .parquet or .arrow is read as such, any other as CSV.
        required: columns that a header of CSV must have.
        way: to the rows of nested JSON, see ``Protocol.rows``.

    Raises:
        InputError: the file is missing or damaged, or a row cannot be read; names file and line.
    """
    if not path.is_file():
        raise InputError("no such file of questions", file=path)
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".arrow"):
        entries: Iterator[tuple[int, Any]] = enumerate(_columnar(path), start=1)
    elif suffix == ".jsonl":
        entries = read_lines(path, "question")
    elif suffix == ".json":
        return _read_json(path, way)
    else:
        return _read_table(path, required)
    return _placed(path, ((line, entry, way, {}) for line, entry in entries)), []


def _read_table(path: Path, required: Sequence[str]) -> tuple[list[Row], list[str]]:
    table = Table(path, required)
    rows = []
    for place, row in enumerate(table, start=1):
        if row.fault:
            raise InputError(row.fault, file=path, line=row.line)
        rows.append(Row(path, row.line, {PLACE: str(place), **row.cells}))
    return rows, table.notes


def _read_json(path: Path, way: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Commas behind the last entry of a list or mapping, which are no JSON, are taken off and counted."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return _placed(path, _json_entries(stream, path, way)), []
    except InputError as error:
        if "not JSON" not in error.problem:
            raise
        text = read_text(path)
        mended, count = _COMMA_TOO_MANY.subn(lambda match: match[1] or "", text)
        taken = len(text) - len(mended)
        if not taken or not count:
            raise
        rows = _placed(path, _json_entries(io.StringIO(mended), path, way))
        return rows, [f"is no JSON: {taken} commas with nothing behind them are taken off"]


def _json_entries(
    stream: IO[str], path: Path, way: Sequence[str]
) -> Iterator[tuple[int, Any, Sequence[str], dict[str, Any]]]:
    """Line, entry, the way on from it, and the columns so far, entry by entry of the list or mapping on top."""
    cursor = JsonCursor(stream, path)
    if cursor.peek() == "[":
        for entry in cursor.list_items():
            yield cursor.began, entry, way, {}
    elif cursor.peek() == "{" and starts_with_names(way):
        for key in cursor.object_keys():
            line, entry = cursor.line, cursor.value()
            yield line, entry, way[1:], {way[0][1:-1]: key}
    elif cursor.peek() == "{" and way:
        yield cursor.line, cursor.value(), way, {}
    else:
        raise InputError(
            "expected a list of questions",
            file=path,
            line=cursor.line,
            hint="say with the key 'rows' how they are reached" if cursor.peek() == "{" else None,
        )
    cursor.end()


def _placed(path: Path, entries: Iterator[tuple[int, Any, Sequence[str], dict[str, Any]]]) -> list[Row]:
    rows, whole = [], 0
    for line, entry, way, columns in entries:
        try:
            below = rows_below(entry, way, columns)
        except InputError as error:
            raise InputError(error.problem, file=path, line=line) from None
        for place, cells in below:
            whole += 1
            rows.append(Row(path, line, {PLACE: str(place or whole), **cells}))
    return rows


def _columnar(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file, or of an Arrow file as Hugging Face's ``datasets`` keeps it."""
    if find_spec("pyarrow") is None:
        raise InputError(
            f"files of this form ({path.suffix}) are read by pyarrow, which is not installed",
            file=path,
            hint="pip install pyarrow, or write the rows as JSON Lines: datasets' to_json does",
        )
    pyarrow = import_module("pyarrow")
    try:
        if path.suffix.lower() == ".parquet":
            return list(import_module("pyarrow.parquet").read_table(path).to_pylist())
        ipc = import_module("pyarrow.ipc")
        with pyarrow.memory_map(str(path)) as source:
            try:
                return list(ipc.open_stream(source).read_all().to_pylist())
            except pyarrow.ArrowInvalid:
                source.seek(0)
                return list(ipc.open_file(source).read_all().to_pylist())
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"cannot be read as {path.suffix[1:]} ({error})"[:300], file=path) from None
