"""Text of users made fit to be shown: nothing in it moves the cursor, changes colours or turns the reading order."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line break; C1 among them
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # direction marks and overrides, line separators
    "\ufff9-\ufffb\ud800-\udfff]"  # annotation marks; halves of surrogate pairs
)
_BREAKS = re.compile("[\t\n]")


def shown(text: object, *, lines: bool = False) -> str:
    r"""``text`` with every control character, direction override and lone surrogate as an escape such as \u001b.

    Args:
        text: anything; its ``str`` is shown.
        lines: keep tabs and line breaks, for texts of several lines.
    """
    safe = _UNSEEN.sub(_escape, str(text))
    return safe if lines else _BREAKS.sub(_escape, safe)


def same_when_read(text: str) -> str:
    """What a reader takes ``text`` for: blanks and capitals make no difference. Equal results read the same."""
    return " ".join(text.split()).casefold()


class SafeStream:
    """A text stream on which nothing but text arrives; everything else about it is the stream's own.

    Attributes:
        raw: the stream itself, for progress bars, which move the cursor.
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """Write ``text`` as :func:`shown`, with its line breaks.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"this stream takes text, not {type(text).__name__}")
        self.raw.write(shown(text, lines=True))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def safe_output() -> Iterator[None]:
    """While the block lasts, what is printed cannot steer the terminal."""
    before = sys.stdout, sys.stderr
    # a process that was started with a closed stream has None
    streams: list[Any] = [stream if isinstance(stream, SafeStream | None) else SafeStream(stream) for stream in before]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"  # as JSON writes it, so that a printed document stays one
