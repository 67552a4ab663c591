"""JSON files of any size, read entry by entry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from llavaction.base.bounded import DEEPEST, JSON, check_value
from llavaction.base.errors import InputError

CHUNK = 1 << 20
MOST_ENTRY = 2 << 20
"""Characters of one entry."""
MOST_TEXT = 1 << 30
"""Characters of a file."""

_BLANKS = re.compile(r"[ \t\n\r]*")


class JsonCursor:
    """A place in a JSON text that moves on value by value; memory holds one value at a time.

    Args:
        stream: the text.
        file: where it comes from, for messages.

    Attributes:
        began: 1-based line on which the last value begins.

    All methods raise InputError where the text is no JSON, an entry is longer than ``MOST_ENTRY``, or the text longer
    than ``MOST_TEXT``.
    """

    def __init__(self, stream: IO[str], file: str | Path) -> None:
        self._stream, self._file = stream, file
        self._buffer, self._place, self._read_count, self._ended = "", 0, 0, False
        self.began = 1
        self._line, self._counted = 1, 0  # the line of this place in the buffer; line breaks are counted once

    @property
    def line(self) -> int:
        """1-based line of the place."""
        self._line += self._buffer.count("\n", self._counted, self._place)
        self._counted = self._place
        return self._line

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            blanks = _BLANKS.match(self._buffer, self._place)
            self._place = blanks.end() if blanks else self._place
            if self._place < len(self._buffer):
                return self._buffer[self._place]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The value that begins here."""
        self.peek()
        self.began = self.line
        while True:
            try:
                value, end = JSON.raw_decode(self._buffer, self._place)
            except json.JSONDecodeError as error:
                if self._ended or len(self._buffer) - self._place > MOST_ENTRY:
                    raise self._fault(f"not JSON ({error.msg})", error.pos) from None
            except RecursionError:
                raise self._fault(f"is nested deeper than {DEEPEST} levels") from None
            except ValueError as error:
                raise self._fault(f"not JSON ({error})") from None
            else:
                if end + 3 <= len(self._buffer) or self._ended:  # a number may go on: "1", "1e", "1e+", "1e+5"
                    check_value(value, self._buffer[self._place : end], file=self._file, line=self.line)
                    self._place = end
                    return value
            self._more()

    def object_keys(self) -> Iterator[str]:
        """The keys of the object that begins here; the value of each must be taken before the next key is asked for."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        keys = set()
        while True:
            if self.peek() != '"':
                raise self._fault("not JSON (expected a key in quotes)")
            key = self.value()
            if key in keys:
                raise self._fault(f"not JSON (the key {key!a:.80} stands twice in an object)")
            keys.add(key)
            self._take(":")
            yield key
            if self._take(",}") == "}":
                return

    def list_items(self) -> Iterator[Any]:
        """The values of the list that begins here."""
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            yield self.value()
            if self._take(",]") == "]":
                return

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise self._fault("not JSON (something follows the document)")

    def _take(self, expected: str) -> str:
        character = self.peek()
        if not character or character not in expected:
            raise self._fault(f"not JSON (expected one of '{expected}')" if character else "not JSON (ends too soon)")
        self._place += 1
        return character

    def _more(self) -> bool:
        if self._ended:
            return False
        try:
            added = self._stream.read(max(CHUNK, len(self._buffer) - self._place))
        except UnicodeDecodeError as error:
            raise self._fault(f"is not UTF-8 text ({error.reason})") from None
        _ = self.line
        self._buffer, self._place, self._counted = self._buffer[self._place :] + added, 0, 0
        self._read_count += len(added)
        self._ended = not added
        if self._read_count > MOST_TEXT:
            raise self._fault(f"is longer than {MOST_TEXT:,} characters")
        return bool(added)

    def _fault(self, problem: str, place: int | None = None) -> InputError:
        ahead = 0 if place is None else self._buffer.count("\n", self._place, place)
        return InputError(problem, file=self._file, line=self.line + ahead)
