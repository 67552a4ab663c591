"""The mark-up that answers come in: tags, LaTeX, JSON, boxes to tick."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

_TAG = re.compile(r"<(?![A-Z]>)[^<>]*>")
_TAGS = r"(?:final[_ ]?)?answer|ans|choice|response|output|result|conclusion"
_ANSWER_OPENS = re.compile(rf"(?i)<(?:{_TAGS})>|<\|begin_of_box\|>|\[ANSWER\]|◁answer▷")
_ANSWER_CLOSES = re.compile(rf"(?i)</(?:{_TAGS})>|<\|end_of_box\|>|\[/ANSWER\]|◁/answer▷")
_LATEX = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|mathit|operatorname|bf|rm)\s?\{([^{}]*)\}")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s?\{([^{}]*)\}")
_OBJECT = re.compile(r"\{[^{}]*\}|\[[^\[\]{}]*\]")
_FIELD = re.compile(
    r"(?i)(?:(?:the|my|final|correct|best|predicted|selected|chosen)[_ -]?){0,3}"
    r"(?:answer|choice|option|letter|prediction|predicted|label|response|result|output)"
    r"(?:[_ -]?(?:letter|option|choice|id|text))?"
)
_STRUCK = re.compile(r"~~[^~\n]*~~|<(s|del|strike)>[^<>]*</\1>|\\(?:sout|cancel|st)\s?\{[^{}]*\}")
_NOT_TICKED = re.compile(r"\[ \]|☐|❌|✗|✘|👎")
_TICKED = re.compile(r"\[[xX✓✔]\]|☑|✅|✔|✓|👍")
_MARK = re.compile(f"(?:{_NOT_TICKED.pattern}|{_TICKED.pattern})")
_LONGEST_OBJECT = 4000
"""Characters of an object within a text that is read; a longer one is no answer."""


def contained_answers(text: str) -> list[str]:
    r"""What stands in containers made for an answer: ``<answer>``, else ``\boxed{}``, else the fields of objects."""
    tagged = [_ANSWER_CLOSES.split(piece, maxsplit=1)[0] for piece in _ANSWER_OPENS.split(text)[1:]]
    answers = tagged or _BOXED.findall(_unwrapped(text)) or _fields(text)
    return list(dict.fromkeys(answers))


def plain_text(text: str) -> str:
    """A text without tags, LaTeX and what is struck out; where boxes are ticked or not, without what is not."""
    text = _STRUCK.sub(" ", text)
    if "\\" in text or "$" in text:
        text = re.sub(r"\$+|\\[()\[\]]", " ", _unwrapped(text))
    if _NOT_TICKED.search(text):
        items = (item for line in text.splitlines() for item in _items(line))
        text = "\n".join(item for item in items if not _NOT_TICKED.search(item))
    return _TAG.sub(" ", _TICKED.sub("", text))


def _items(line: str) -> list[str]:
    """A line cut before its marks where it begins with one, else behind them."""
    marks = list(_MARK.finditer(line))
    before = bool(marks) and not re.search(r"\w", line[: marks[0].start()])
    cuts = [mark.start() if before else mark.end() for mark in marks]
    return [line[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(line)], strict=True)]


def _unwrapped(text: str) -> str:
    """LaTeX without the commands that only set type."""
    for _ in range(4):  # commands within commands
        text = _LATEX.sub(r"\1", text)
    return text


def _fields(text: str) -> list[str]:
    """What the objects within a text, in JSON or as Python prints them, hold as an answer."""
    answers = []
    for block in _OBJECT.findall(text):
        value = _value(block) if len(block) <= _LONGEST_OBJECT else None
        if isinstance(value, dict):
            values = [item for key, item in value.items() if isinstance(key, str) and _FIELD.fullmatch(key.strip())]
            answers += [", ".join(map(str, item)) if isinstance(item, list) else str(item) for item in values]
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            answers.append(value[0])
    return answers


def _value(block: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that Python does not know
        for read_block in (json.loads, ast.literal_eval):
            try:
                return read_block(block)
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
    return None
