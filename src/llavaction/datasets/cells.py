"""Cells of annotation tables: times, numbers, classes and lists as people and spreadsheets write them."""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from llavaction.base.errors import InputError
from llavaction.video.layouts import VIDEO_SUFFIXES

LATEST = 864_000.0
"""Seconds, ten days: no video is longer, so a time beyond is in another unit."""
MOST_CLASS = 10**6
LONGEST_LIST = 20_000
"""Characters of a list in a cell."""

_PLAIN = re.compile(r"(?:\d{1,12}(?:[.,]\d{0,25})?|[.,]\d{1,25})(?:[eE]-\d{1,2})?", re.ASCII)
_PART, _THOUSAND = re.compile(r"\d{1,6}", re.ASCII), re.compile(r"[1-9]\d{0,2},\d{3}", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,12}(?:[.,]0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d{1,15}(?:[.,]\d{0,15})?|[.,]\d{1,15})(?:[eE][+-]?\d{1,2})?", re.ASCII)
_NO_VALUE = {"", "nan", "none", "null", "na", "n/a", "#n/a", "<na>", "-"}


def seconds(timestamp: str) -> float:
    """Seconds of "HH:MM:SS.ss", "MM:SS.ss" or plain seconds; the decimals may follow a comma.

    Raises:
        InputError: the text is none of these, or is later than ten days.
    """
    *above, last = timestamp.strip().split(":")
    if len(above) == 3:
        raise InputError(
            f"timestamp '{timestamp}' has four parts; frames (HH:MM:SS:FF) depend on the rate: expected HH:MM:SS.ss"
        )
    if len(above) > 2 or not _PLAIN.fullmatch(last) or not all(map(_PART.fullmatch, above)):
        raise InputError(f"timestamp '{timestamp}' is not HH:MM:SS.ss")
    if not above and _THOUSAND.fullmatch(last):
        raise InputError(f"timestamp '{timestamp}' may be {last.replace(',', '.')} or {last.replace(',', '')} seconds")
    values = [*map(float, above), float(last.replace(",", "."))]
    if any(value >= 60 for value in values[1:]):
        raise InputError(f"timestamp '{timestamp}' has 60 or more minutes or seconds where less is possible")
    total = 0.0
    for value in values:
        total = total * 60 + value
    if total > LATEST:
        raise InputError(f"timestamp '{timestamp}' is {total:,.0f} seconds: more than ten days, so in another unit")
    return round(total, 6) if above else total


def no_value(cell: str) -> bool:
    """Whether a cell only says that there is nothing in it, as programs write it: "", "nan", "NA", "None", "-"."""
    return cell.strip().casefold() in _NO_VALUE


def video_name(video: str) -> tuple[str, str]:
    """The id of a video that a table calls by its file: without folder and suffix, and with the folder."""
    path = PurePosixPath(video.replace("\\", "/"))
    bare = path.with_suffix("") if path.suffix.lower() in VIDEO_SUFFIXES and path.stem else path
    return bare.name, str(bare)


class CellReader:
    """Reads the cells of one file and remembers what it took them for.

    Args:
        path: the file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._remarks: dict[str, str] = {}
        self._times: dict[str, Counter[str]] = {}
        self._plain: dict[str, tuple[int, str]] = {}

    @property
    def notes(self) -> list[str]:
        """What was understood that could have been meant otherwise."""
        return [*self._remarks.values(), *self._about_times()]

    def seconds(self, text: str, column: str, line: int) -> float:
        """See :func:`seconds`."""
        value = seconds(text)
        form = "clock" if ":" in text else "whole" if text.strip().isdecimal() else "plain"
        self._times.setdefault(column, Counter())[form] += 1
        if form != "clock":
            self._plain.setdefault(column, (line, text))
        if "," in text:
            self._say("comma", f"line {line}: in '{text}' and the like the comma is read as the decimal point")
        return value

    def number(self, text: str, what: str) -> float:
        """A positive, finite number.

        Raises:
            InputError: it is something else.
        """
        if _THOUSAND.fullmatch(text):
            raise InputError(f"{what} '{text}' may be {text.replace(',', '.')} or {text.replace(',', '')}")
        value = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else math.nan
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{what} '{text}' is not a positive number")
        return value

    def whole(self, value: Any, what: str, line: int) -> int:
        """A class id; "20.0" is read as 20.

        Raises:
            InputError: it is no whole number, or is beyond any list of classes.
        """
        text = str(value).strip()
        if isinstance(value, bool) or not _WHOLE.fullmatch(text):
            raise InputError(f"{what} '{text:.60}' is not a whole number", file=self.path, line=line)
        bare = re.split("[.,]", text)[0]
        if bare != text:
            self._say(f"whole {what}", f"line {line}: {what} '{text}' and the like are read as whole numbers")
        if abs(int(bare)) > MOST_CLASS:
            raise InputError(f"{what} {text} is beyond {MOST_CLASS:,}", file=self.path, line=line)
        return int(bare)

    def listed(self, cell: str, what: str, line: int) -> tuple[Any, ...]:
        """A list written into a cell, as Python or JSON writes it; a cell without value is an empty one.

        Raises:
            InputError: it is something else.
        """
        if no_value(cell):
            if cell.strip():
                self._say(f"no {what}", f"line {line}: {what} '{cell}' and the like are read as an empty list")
            return ()
        items = _list_in(cell)
        if items is None:
            raise InputError(f"'{cell:.60}' is not a list such as ['plate', 'pan']", file=self.path, line=line)
        return items

    def _say(self, kind: str, text: str) -> None:
        self._remarks.setdefault(kind, text)

    def _about_times(self) -> list[str]:
        notes = []
        for column, (line, text) in self._plain.items():
            forms = self._times[column]
            remark = f"line {line}: {column} '{text}' is read as seconds"
            if forms["clock"]:
                remark += f" ({forms.total() - forms['clock']} such rows, {forms['clock']} with HH:MM:SS)"
            if forms["whole"] and not forms["plain"]:
                remark += "; all are whole numbers: if they are milliseconds or frame numbers, turn them into seconds"
            notes.append(remark)
        return notes


@lru_cache(maxsize=4096)
def _list_in(cell: str) -> tuple[Any, ...] | None:
    """The plain values of a list as Python or JSON writes it; None if the cell holds something else."""
    if len(cell) > LONGEST_LIST:
        return None
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        try:
            value = json.loads(cell)
        except (ValueError, RecursionError):
            return None
    plain = isinstance(value, list) and not any(isinstance(item, dict | list | tuple | set) for item in value)
    return tuple(value) if plain else None
