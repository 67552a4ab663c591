"""Text of users made fit to be shown: nothing in it moves the cursor, changes colours or turns the reading order."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line break; C1 among them
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # direction marks and overrides, line separators
    "\ufff9-\ufffb\ud800-\udfff]"  # annotation marks; halves of surrogate pairs
)
_BREAKS = re.compile("[\t\n]")


def shown(text: object, *, lines: bool = False) -> str:
    r"""``text`` with every control character, direction override and lone surrogate as an escape such as \x1b.

    Args:
        text: anything; its ``str`` is shown.
        lines: keep tabs and line breaks, for texts of several lines.
    """
    safe = _UNSEEN.sub(_escape, str(text))
    return safe if lines else _BREAKS.sub(_escape, safe)


def same_when_read(text: str) -> str:
    """What a reader takes ``text`` for: blanks and capitals make no difference. Equal results read the same."""
    return " ".join(text.split()).casefold()


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
