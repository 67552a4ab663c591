"""The classes of multi-label annotations, their ids and names: from a list, a table or Animal Kingdom's workbook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from llavaction.base.bounded import read_text
from llavaction.base.errors import InputError
from llavaction.base.registry import suggestion
from llavaction.base.spreadsheets import Workbook
from llavaction.base.tables import Row, Table
from llavaction.base.text import same_when_read
from llavaction.datasets.cells import MOST_CLASS, no_value

ACTION_SHEET = "Action"
"""The sheet of Animal Kingdom's AR_metadata.xlsx that names its classes."""
IDS = ("label", "id", "class_id")
NAMES = ("action", "name", "class_name", "class")
_OTHER_ORDER = {"action_category", "index", "segment"}
"""Columns of Animal Kingdom's df_action.xlsx, whose ids are not those of the labels."""
_EXPECTED = "expected a table with the columns id and name, a text file with one name a line, or AR_metadata.xlsx"


@dataclass(frozen=True)
class ClassList:
    """Classes in the order of their ids.

    Attributes:
        ids: as the labels have them, rising.
        names: one each.
        named: whether the names are words; otherwise they are the ids.
        notes: what was understood.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    named: bool = True
    notes: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def _place_of_id(self) -> Mapping[int, int]:
        return {number: place for place, number in enumerate(self.ids)}

    @cached_property
    def _place_of_name(self) -> Mapping[str, int]:
        return {same_when_read(name): place for place, name in enumerate(self.names)}

    def has(self, text: str) -> bool:
        """Whether a text is the name of a class."""
        return same_when_read(text) in self._place_of_name

    def place(self, label: str) -> int:
        """The place of a class that a label names, by its name or its id.

        Raises:
            InputError: there is no such class.
        """
        found = self._place_of_name.get(same_when_read(label))
        if found is None and is_id(label):
            found = self._place_of_id.get(int(label))
        if found is None:
            known = f"ids are {self.ids[0]} to {self.ids[-1]}" if is_id(label) else suggestion(label, self.names)
            raise InputError(f"'{label:.80}' is none of the {len(self.ids)} classes", hint=known)
        return found

    @classmethod
    def of_labels(cls, labels: Iterable[str]) -> ClassList:
        """The classes that labels use: ids where all are whole numbers, else names in alphabetical order."""
        used = sorted(set(labels))
        if all(map(is_id, used)):
            ids = sorted(set(map(int, used)))
            return cls(tuple(ids), tuple(map(str, ids)), named=False)
        spellings: dict[str, str] = {}
        for label in used:
            spellings.setdefault(same_when_read(label), label)
        names = sorted(spellings.values(), key=lambda name: (name.casefold(), name))
        return cls(tuple(range(len(names))), tuple(names))


def is_id(label: str) -> bool:
    """Whether a label is a whole number."""
    return label.isascii() and label.isdecimal() and len(label) < 8


def read_classes(path: str | Path) -> ClassList:
    """The classes that a file lists.

    Args:
        path: a table (CSV, .xlsx) with a column of names (name, action or class) and one of ids (id or label); names
            alone are numbered from 0, and so are the lines of a .txt file. Of a workbook the sheet "Action" is read, or
            its first. A single row whose id is missing or "#N/A" gets the one that is left over ("Yawning" of Animal
            Kingdom, 139).

    Raises:
        InputError: the file cannot be read; an id or a name stands twice; or it is Animal Kingdom's df_action.xlsx,
            which has six classes (49, 50, 81 to 84) under other ids than the labels.
    """
    path = Path(path)
    if path.suffix.lower() == ".txt":
        lines = enumerate(read_text(path).splitlines(), start=1)
        return _numbered([(line, None, " ".join(text.split())) for line, text in lines if text.strip()], path)
    columns: Sequence[str]
    rows: Iterable[Row]
    if path.suffix.lower() == ".xlsx":
        book = Workbook(path)
        columns, rows = book.table(ACTION_SHEET if ACTION_SHEET in book.sheets else book.sheets[0])
    else:
        rows = table = Table(path, ())
        columns = table.columns
    if {*columns} >= _OTHER_ORDER:
        raise InputError(
            "numbers the classes otherwise than the labels do (49 and 50 are exchanged, 81 to 84 turned round)",
            file=path,
            hint=f"take AR_metadata.xlsx, whose sheet '{ACTION_SHEET}' has the ids of the labels",
        )
    name = next((column for column in NAMES if column in columns), None)
    number = next((column for column in IDS if column in columns), None)
    if name is None:
        raise InputError(f"lacks a column of class names; found {list(columns)[:20]}", file=path, hint=_EXPECTED)
    entries = []
    for row in rows:
        if row.fault:
            raise InputError(row.fault, file=path, line=row.line)
        if row.cells[name]:
            entries.append((row.line, row.cells[number] if number else None, " ".join(row.cells[name].split())))
    return _numbered(entries, path)


def _numbered(entries: Sequence[tuple[int, str | None, str]], path: Path) -> ClassList:
    """The classes of (line, id or None where ids are not listed, name)."""
    if not entries:
        raise InputError("lists no class", file=path, hint=_EXPECTED)
    name_of, line_of, without, notes = dict[int, str](), dict[str, int](), list[tuple[int, str]](), list[str]()
    for place, (line, text, name) in enumerate(entries):
        if (before := line_of.setdefault(same_when_read(name), line)) != line:
            raise InputError(f"'{name}' is listed on line {before} already", file=path, line=line)
        if text is not None and no_value(text):
            without.append((line, name))
            continue
        if text is not None and not is_id(text.removesuffix(".0")):
            raise InputError(f"the id of '{name}' is '{text:.40}', not a whole number", file=path, line=line)
        number = place if text is None else int(text.removesuffix(".0"))
        if number in name_of:
            raise InputError(f"'{name}' has the id {number} of '{name_of[number]}'", file=path, line=line)
        if number > MOST_CLASS:
            raise InputError(f"class id {number} is beyond {MOST_CLASS:,}", file=path, line=line)
        name_of[number] = name
    if without:
        left = sorted(set(range(len(entries))) - set(name_of))
        if len(without) > 1 or len(left) != 1:
            line, name = without[0]
            raise InputError(f"'{name}' has no id, and which it is cannot be told", file=path, line=line)
        line, name = without[0]
        name_of[left[0]] = name
        notes.append(f"{path.name}:{line}: '{name}' has no id; it is {left[0]}, the one that no other class has")
    ids = sorted(name_of)
    return ClassList(tuple(ids), tuple(name_of[number] for number in ids), notes=tuple(notes))
