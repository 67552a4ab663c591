"""CSV files as people have them: any common separator, encoding and line end; what was understood is said."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llavaction.base.bounded import read_bytes
from llavaction.base.errors import InputError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What may stand between cells, with its name; the header decides."""
MOST_BYTES = 128 << 20
MOST_LINES = 2_000_000
LONGEST_LINE = 1 << 20
"""Characters."""
LONGEST_CELL = 200
"""Lines that one quoted cell may go over."""

_OPEN = "unexpected end of data"
"""What the csv module says of a quote that is open where the text ends."""


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        line: 1-based line on which it begins.
        cells: by column, blanks around them taken off; empty for a row that cannot be read.
        fault: why it cannot be read.
    """

    line: int
    cells: Mapping[str, str]
    fault: str | None = None


class Table:
    """The rows of a CSV file.

    Args:
        path: the file.
        required: columns it must have; capitals and blanks around names make no difference.

    Attributes:
        columns: the header, as understood.
        notes: what was understood of the file's form; complete once its rows were read.

    Raises:
        InputError: the file is missing, empty or too large, is no text, or lacks a column.
    """

    def __init__(self, path: str | Path, required: Sequence[str]) -> None:
        self.path, self.notes = Path(path), list[str]()
        text = self._decoded(read_bytes(self.path, MOST_BYTES))
        if max(text.count("\n"), text.count("\r")) > MOST_LINES:
            raise InputError(f"has more than {MOST_LINES:,} lines", file=self.path)
        lines = io.StringIO(text, newline=None)
        self._lines = enumerate((line.rstrip("\n") for line in lines), start=1)
        self._ahead: deque[tuple[int, str]] = deque()
        self.separator, self.columns = self._read_header(required)

    def __iter__(self) -> Iterator[Row]:
        stripped = None
        while (first := self._next()) is not None:
            line, text = first
            if not text.strip(f" \t{self.separator}"):
                continue
            cells = self._record(text)
            if isinstance(cells, str):
                yield Row(line, {}, cells)
                continue
            bare = [cell.strip() for cell in cells]
            if stripped is None and bare != cells:
                stripped = line
                self.notes.append(f"line {line}: blanks around cells are taken off, here and in other rows")
            bare += [""] * (len(self.columns) - len(bare))
            yield Row(line, {name: cell for name, cell in zip(self.columns, bare, strict=True) if name})

    def _next(self) -> tuple[int, str] | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def _record(self, text: str) -> list[str] | str:
        """The cells of the record that begins on a line, or what is wrong with that line; other lines are not lost.

        A quoted cell goes on over the next lines until its quote is closed. Where one of those lines is a whole record
        of its own, or the joined record has not as many cells as the header, the quote was never meant to be open.
        """
        width, lines = len(self.columns), list[tuple[int, str]]()
        while True:
            if len(text) > LONGEST_LINE:
                problem = f"is longer than {LONGEST_LINE:,} characters"
                break
            cells = split_line(text, self.separator)
            if not isinstance(cells, str):
                while len(cells) > width and not cells[-1].strip():
                    cells.pop()
                if len(cells) <= width and not (lines and len(cells) < width):
                    return cells
                kind = SEPARATORS[self.separator]
                problem = f"has {len(cells)} cells, the header has {width}; a text that holds {kind} must be quoted"
                break
            problem = cells
            following = self._next() if cells == _OPEN and len(lines) < LONGEST_CELL else None
            if following is None:
                break
            lines.append(following)
            if following[1].count('"') % 2 == 0:
                alone = split_line(following[1], self.separator)
                if not isinstance(alone, str) and len(alone) >= width > 1:
                    break
            text = f"{text}\n{following[1]}"
        self._ahead.extendleft(reversed(lines))
        if lines or problem == _OPEN:
            return 'a quote (") opens on this line and is not closed before the next row; close it, or write it as ""'
        return problem

    def _decoded(self, raw: bytes) -> str:
        head = raw[:4096]
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-32" if raw.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")) else "utf-16"
        elif len(head) > 3 and head[1::2].count(0) > len(head) // 4:
            encoding = "utf-16-le"
        elif len(head) > 3 and head[::2].count(0) > len(head) // 4:
            encoding = "utf-16-be"
        else:
            encoding = "utf-8-sig"
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            if encoding != "utf-8-sig":
                raise InputError(
                    f"is not {encoding.upper()} text as it seems ({error.reason})", file=self.path
                ) from None
            place = raw.count(b"\n", 0, error.start) + (raw.count(b"\r", 0, error.start) if b"\n" not in raw else 0) + 1
            self.notes.append(
                f"line {place}: byte 0x{raw[error.start]:02x} is not UTF-8; the file is read as Western European text "
                "(Windows-1252); save it as UTF-8 if letters come out wrong"
            )
            return raw.decode("cp1252", errors="replace")
        if encoding != "utf-8-sig":
            self.notes.append(f"read as {encoding.upper()} text")
        return text

    def _read_header(self, required: Sequence[str]) -> tuple[str, list[str]]:
        declared = None
        while (numbered_line := self._next()) is not None:
            line, text = numbered_line
            if (declaration := re.fullmatch(r'"?sep=(.)"?\s*', text, re.IGNORECASE)) and declaration[1] in SEPARATORS:
                declared = declaration[1]
            elif text.strip():
                break
        if numbered_line is None:
            raise InputError(f"is empty; expected a header with {', '.join(required)}", file=self.path)
        if len(text) > LONGEST_LINE:
            raise InputError(f"its header is longer than {LONGEST_LINE:,} characters", file=self.path, line=line)
        cells_of = {mark: split_line(text, mark) for mark in ([declared] if declared else SEPARATORS)}
        headers = {
            mark: (cells, [_column(name, required) for name in cells])
            for mark, cells in cells_of.items()
            if not isinstance(cells, str)
        }
        if not headers:
            raise InputError("its header has a quote that is not closed", file=self.path, line=line)
        separator = max(headers, key=lambda mark: (len({*required} & {*headers[mark][1]}), len(headers[mark][1])))
        spellings, names = headers[separator]
        missing = [name for name in required if name not in names]
        if missing:
            raise InputError(f"lacks the column(s) {', '.join(missing)}; found {names[:40]}", file=self.path, line=line)
        twice = sorted({name for name in names if name and names.count(name) > 1})
        if twice:
            raise InputError(f"has two columns '{twice[0]}'", file=self.path, line=line, hint="take one of them away")
        if separator != ",":
            self.notes.append(f"line {line}: cells are separated by {SEPARATORS[separator]}")
        respelt = [f"{was!r} as '{name}'" for was, name in zip(spellings, names, strict=True) if was != name]
        if respelt:
            self.notes.append(f"line {line}: columns read: {', '.join(respelt[:4])}{' ...' * (len(respelt) > 4)}")
        return separator, names


def split_line(text: str, separator: str) -> list[str] | str:
    """The cells of a record, or what is wrong with it."""
    if "\0" in text:
        return "holds a NUL character, which no text does"
    try:
        return next(csv.reader([text], delimiter=separator, strict=True, skipinitialspace=True))
    except csv.Error as error:
        if str(error) == _OPEN:
            return _OPEN
        if "expected after" in str(error):
            bare = re.sub(rf'" +(?={re.escape(separator)}|$)', '"', text)  # blanks behind a closing quote
            if bare != text:
                return split_line(bare, separator)
            return 'has a quote (") inside a quoted cell; write it twice ("")'
        return f"is not CSV ({error})"


def _column(name: str, required: Sequence[str]) -> str:
    """The required column that is meant, or the name without blanks around it."""
    bare = name.strip().strip("\ufeff")
    return bare if bare in required else next((column for column in required if column == bare.lower()), bare.lower())
