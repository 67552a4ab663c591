"""Options and answers as files write them: lists, columns, lines of a text; letters, numbers, texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from llavaction.base.errors import InputError
from llavaction.base.text import same_when_read
from llavaction.datasets.cells import CellReader, no_value
from llavaction.evaluation.benchmarks.nesting import cell, text
from llavaction.evaluation.benchmarks.protocol import AnswerForm, Protocol
from llavaction.questions.asked import LETTERS

_LETTERED = re.compile(r"\(?([A-Z])[.):]\s+(?=\S)")
_LETTER = re.compile(r"\(?([A-Za-z])[.):]?")
_INDEX = re.compile(r"(\d{1,3})(?:\.0*)?", re.ASCII)
_NAMED = re.compile(r"(?:Sentence|Caption|Option) ([A-Z]|\d):\s+(?=\S)")
"""How TempCompass marks what is to be matched with a video; these words belong to the option."""
_INSTRUCTION = re.compile(r"Answer with the option", re.IGNORECASE)
"""Begins a line behind the last option that is no part of it."""


class Lines(NamedTuple):
    """A question whose text ends with its options."""

    question: str
    options: list[str]


def lines_of(told: str) -> Lines:
    """A text with a line for each option ("A. plate", "(B) cup", "Caption A: A plate is washed.") at its end.

    An option may go over several lines. Letters stay as written.

    Raises:
        InputError: no two lines are options in their order.
    """
    lines = told.strip().split("\n")
    first = next((place for place, line in enumerate(lines) if _mark(line) == 0), len(lines))
    options: list[str] = []
    for line in lines[first:]:
        if _mark(line) == len(options):
            options.append(line.strip())
        elif _INSTRUCTION.match(line.strip()):
            break
        else:
            options[-1] += "\n" + line.rstrip()
    if len(options) < 2:
        raise InputError(f"no options stand in '{told:.100}', each on a line of its own ('A. plate')")
    return Lines("\n".join(lines[:first]).strip(), [option.strip() for option in options])


def _mark(line: str) -> int | None:
    """Which option a line says that it is, from 0; None for one that says nothing."""
    match = _LETTERED.match(line.strip()) or _NAMED.match(line.strip())
    if match is None:
        return None
    return int(match[1]) - 1 if match[1].isdigit() else LETTERS.index(match[1])


def read_options(cells: Mapping[str, Any], protocol: Protocol, reader: CellReader, line: int) -> list[str]:
    """The options of a row as written, empty ones included, for letters and indices count them.

    Raises:
        InputError: there are not 2 to 26 of them.
    """
    columns = protocol.columns
    if protocol.choices:
        written: Sequence[Any] = protocol.choices
    elif isinstance(columns.options, tuple):
        written = [cell(cells, name) for name in columns.options]
    elif columns.options == columns.question:
        written = lines_of(text(cell(cells, columns.options))).options
    else:
        written = _listed(cell(cells, columns.options), reader, line)
    texts = ["" if text(value) in protocol.no_option else text(value) for value in written]
    if sum(option != "" for option in texts) < 2 or len(texts) > len(LETTERS):
        raise InputError(f"has the options {texts!s:.200}; expected are 2 to {len(LETTERS)} texts")
    return texts


def _listed(value: Any, reader: CellReader, line: int) -> Sequence[Any]:
    if isinstance(value, str) and not no_value(value) and not value.lstrip().startswith("[") and "\n" in value:
        return lines_of(value).options
    options = reader.listed(value, "options", line) if isinstance(value, str) else value
    if not isinstance(options, list | tuple):
        raise InputError("its options are no list", hint="give a list of texts, or a column for each option")
    return options


def answer_place(answer: str, options: Sequence[str], form: AnswerForm = "auto") -> int:
    """Which option an answer means.

    Args:
        answer: "B", "(b)", "B.", "1" (counted from 0 or, as ``index_from_1``, from 1) or an option's text.
        options: as written.
        form: how the answer is told; "auto" takes each of them but ``index_from_1``.

    Raises:
        InputError: it is no option, or may be two of them.
    """
    letter, index = _LETTER.fullmatch(answer), _INDEX.fullmatch(answer)
    places: list[int] = []
    if form in ("auto", "text"):
        bare = same_when_read(answer)
        for texts in (options, without_letters(options)):
            places += [place for place, option in enumerate(texts) if same_when_read(option) == bare]
    if letter and form in ("auto", "letter"):
        places.append(LETTERS.index(letter[1].upper()))
    if index and form not in ("text", "letter"):
        places.append(int(index[1]) - (form == "index_from_1"))
    matching = {place for place in places if 0 <= place < len(options) and options[place]}
    if len(matching) == 1:
        return matching.pop()
    if matching:
        either = " or ".join(f"'{options[place]}'" for place in sorted(matching))
        raise InputError(f"answer '{answer:.60}' may mean {either}", hint="say which with the key 'answers'")
    last = len(options) - 1
    expected = {
        "letter": f"a letter from A to {LETTERS[last]}",
        "index": f"a number from 0 to {last}",
        "index_from_1": f"a number from 1 to {last + 1}",
        "text": "the text of one",
    }
    forms = expected.get(form) or f"{expected['letter']}, {expected['index']} or {expected['text']}"
    from_1 = "where answers count from 1, say so with 'answers: index_from_1'" if index and form != "text" else None
    raise InputError(f"answer '{answer:.60}' is no option; expected {forms}", hint=from_1)


def without_letters(options: Sequence[str]) -> list[str]:
    """Options without the letters before them, where all have theirs ("A. plate", "B. cup"); empty ones stay."""
    matches = {place: _LETTERED.match(option) for place, option in enumerate(options) if option}
    if all(match and match[1] == LETTERS[place] for place, match in matches.items()):
        return [_LETTERED.sub("", option, count=1) for option in options]
    return list(options)
