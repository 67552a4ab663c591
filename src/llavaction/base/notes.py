"""Notes to the person at the terminal: what was understood of a file that could have been meant otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

from llavaction.base.text import shown

_said: set[str] = set()


def note(what: str, *, file: str | Path | None = None, line: int | None = None) -> None:
    """Write one line to standard error, once per process however often it is said.

    Args:
        what: what was understood, and of which the reader should know.
        file: the file it is about.
        line: 1-based line in that file.
    """
    place = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
    text = shown(f"note: {place}{what}")
    if text not in _said:
        _said.add(text)
        print(text, file=sys.stderr)
