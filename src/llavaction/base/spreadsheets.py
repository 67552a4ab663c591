"""Sheets of .xlsx workbooks (Office Open XML, ECMA-376): their cells as texts, within bounds; nothing is run."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError, XMLParser

from llavaction.base.archives import open_zip
from llavaction.base.errors import InputError
from llavaction.base.tables import Row

MOST_XML_BYTES = 400 << 20
"""Of one part of a workbook, unpacked."""
MOST_COLUMNS = 16_384
_PIECE = 1 << 16
_HINT = "save the sheet as CSV"


class Workbook:
    """An .xlsx file.

    Args:
        path: the file.

    Attributes:
        sheets: their names, in the workbook's order.

    Raises:
        InputError: it is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with open_zip(self.path, hint=_HINT) as archive:
            targets: dict[str, str] = {}
            for opening, name, values, _ in self._elements(archive, "xl/_rels/workbook.xml.rels"):
                if opening and name == "Relationship":
                    targets[values.get("Id", "")] = _part(values.get("Target", ""))
            self._part_of = {
                values.get("name", ""): targets.get(values.get("id", ""), "")
                for opening, name, values, _ in self._elements(archive, "xl/workbook.xml")
                if opening and name == "sheet"
            }
        self.sheets = tuple(self._part_of)

    def table(self, sheet: str) -> tuple[tuple[str, ...], Iterator[Row]]:
        """A sheet whose first row names the columns.

        Args:
            sheet: its name.

        Returns:
            The columns, in small letters, and the rows below with the number of each; rows without text are left out.
            A number is written as Excel stores it, a formula is its last result.

        Raises:
            InputError: there is no such sheet, it is empty, or its XML is damaged.
        """
        if sheet not in self._part_of:
            raise InputError(f"has no sheet '{sheet}'; found {', '.join(self.sheets)}", file=self.path)
        rows = self._rows(sheet)
        header = next(rows, None)
        if header is None:
            raise InputError(f"its sheet '{sheet}' is empty; expected a row of column names", file=self.path)
        columns = tuple(cell.strip().lower() for cell in header[1])

        def below() -> Iterator[Row]:
            for number, cells in rows:
                texts = [cell.strip() for cell in cells[: len(columns)]]
                texts += [""] * (len(columns) - len(texts))
                if any(texts):
                    yield Row(number, {name: text for name, text in zip(columns, texts, strict=True) if name})

        return columns, below()

    def _rows(self, sheet: str) -> Iterator[tuple[int, list[str]]]:
        with open_zip(self.path, hint=_HINT) as archive:
            shared = self._shared_texts(archive)
            number, cells, kind, place = 0, list[str](), "", 0
            for opening, name, values, text in self._elements(archive, self._part_of[sheet]):
                if name == "row":
                    if opening:
                        number, cells = int(values.get("r", number + 1)), []
                    elif cells:
                        yield number, cells
                elif name == "c" and opening:
                    kind = values.get("t", "n")
                    place = _column(values["r"]) if "r" in values else len(cells)
                elif name in ("v", "t") and not opening and place < MOST_COLUMNS:
                    cells += [""] * (place + 1 - len(cells))
                    cells[place] += shared[int(text)] if kind == "s" else text

    def _shared_texts(self, archive: zipfile.ZipFile) -> list[str]:
        if "xl/sharedStrings.xml" not in archive.namelist():
            return []
        texts, parts, spoken = list[str](), list[str](), False
        for opening, name, _, text in self._elements(archive, "xl/sharedStrings.xml"):
            if name == "si":
                if not opening:
                    texts.append("".join(parts))
                parts = []
            elif name == "rPh":  # how it is pronounced
                spoken = opening
            elif name == "t" and not opening and not spoken:
                parts.append(text)
        return texts

    def _elements(self, archive: zipfile.ZipFile, part: str) -> Iterator[tuple[bool, str, dict[str, str], str]]:
        """Begins and ends of the elements of a part: whether it begins, name, attributes, and the text at its end."""
        if part not in archive.namelist():
            raise InputError(f"is no .xlsx workbook: it lacks {part or 'a sheet'}", file=self.path, hint=_HINT)
        if archive.getinfo(part).file_size > MOST_XML_BYTES:
            raise InputError(f"'{part}' unpacks to more than {MOST_XML_BYTES >> 20} MiB", file=self.path)
        target = _Events(self.path)
        parser = XMLParser(target=target)
        try:
            with archive.open(part) as stream:
                while piece := stream.read(_PIECE):
                    parser.feed(piece)
                    yield from target.take()
                parser.close()
        except (ParseError, LookupError, ValueError) as error:  # the last two: an encoding that Python lacks
            raise InputError(f"'{part}' is damaged ({error})", file=self.path, hint=_HINT) from None
        yield from target.take()


class _Events:
    """What a parser met since it was last asked; a part that declares entities, as no honest one does, is refused."""

    def __init__(self, path: Path) -> None:
        self._path, self._met, self._text = path, list[tuple[bool, str, dict[str, str], str]](), list[str]()

    def doctype(self, *unused: Any) -> None:
        raise InputError("declares a document type, which no workbook does", file=self._path)

    def start(self, tag: str, values: dict[str, str]) -> None:
        self._text.clear()
        self._met.append((True, _bare(tag), {_bare(name): value for name, value in values.items()}, ""))

    def end(self, tag: str) -> None:
        self._met.append((False, _bare(tag), {}, "".join(self._text)))
        self._text.clear()

    def data(self, text: str) -> None:
        self._text.append(text)

    def close(self) -> None:
        return None

    def take(self) -> list[tuple[bool, str, dict[str, str], str]]:
        met, self._met = self._met, []
        return met


def _bare(name: str) -> str:
    return name.rpartition("}")[2]


def _part(target: str) -> str:
    """Where a part lies that the workbook names, from its own folder or from the root."""
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))


def _column(reference: str) -> int:
    """The place of a cell in its row: 0 for "A7", 27 for "AB7"."""
    letters, place = re.match("[A-Z]{0,4}", reference), 0
    for letter in letters[0] if letters else "":
        place = place * 26 + ord(letter) - 64
    return max(place - 1, 0)
