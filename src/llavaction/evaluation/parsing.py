"""Which option a generated text names. Never guesses: what is not clear is 'unparsed'."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llavaction.questions.schema import LETTERS


@dataclass(frozen=True)
class ParsedAnswer:
    """What could be read from a text.

    Attributes:
        choice: index of the option, or None.
        status: "parsed" or "unparsed".
        rule: what the choice rests on ("letter", "letter and text", "stated letter", "option text", "exact text"), or
            why there is none ("empty", "no option named", "several options named", "letter and text disagree").
    """

    choice: int | None
    status: Literal["parsed", "unparsed"]
    rule: str


def _parsed(choice: int, rule: str) -> ParsedAnswer:
    return ParsedAnswer(choice, "parsed", rule)


def _unparsed(reason: str) -> ParsedAnswer:
    return ParsedAnswer(None, "unparsed", reason)


def parse_answer(text: str, options: Sequence[str]) -> ParsedAnswer:
    """Read the chosen option from generated text.

    In this order, the first that applies decides:
    the text is an option, with or without its letter; the text is a letter; it states "the answer is B" with one letter
    only; it marks one letter ("option B", "(B)", "B." at the start of a sentence); it contains exactly one option's
    text as whole words. A letter beside the text of another option, several options with nothing that says which is
    meant, or a mark in a text that denies something is not a choice. The article "a" is never taken for option A.

    Args:
        text: what the model wrote.
        options: the options' texts without letters, in the order shown.
    """
    text = re.sub(r"<[^<>]*>", " ", text)
    bare = [_words(option) for option in options]
    return _whole(_words(text), bare) or _within(text, bare)


def _whole(whole: str, bare: Sequence[str]) -> ParsedAnswer | None:
    """Read a text that is nothing but an answer."""
    letters = LETTERS[: len(bare)]
    if not whole:
        return _unparsed("empty")
    exact = [i for i, option in enumerate(bare) if whole == option]
    if len(exact) == 1:
        return _parsed(exact[0], "exact text")
    with_letter = [i for i, option in enumerate(bare) if whole == f"{letters[i].lower()} {option}"]
    if len(with_letter) == 1:
        return _parsed(with_letter[0], "letter and text")
    if len(whole) == 1 and whole.upper() in letters:
        return _parsed(letters.index(whole.upper()), "letter")
    return None


def _within(text: str, bare: Sequence[str]) -> ParsedAnswer:
    """Read a text that says more than the answer."""
    letters = LETTERS[: len(bare)]
    named = _texts_within(_words(text), bare)
    stated = _letters(_STATED, text, letters)
    found = stated or _letters(_MARKED, text, letters)
    choices = {letters.index(letter) for letter in found} or named
    if len(choices) != 1:
        return _unparsed("several options named" if choices else "no option named")
    if not stated and _DENIED.search(text):
        return _unparsed("says what it is not")
    if named and not choices <= named:
        return _unparsed("letter and text disagree")
    return _parsed(choices.pop(), "stated letter" if stated else "letter" if found else "option text")


def _words(text: str) -> str:
    """Lower-case words separated by single blanks; punctuation, hyphens and mark-up are gone."""
    return " ".join(re.findall(r"[^\W_]+(?:['’][^\W_]+|\.\d+)*", text.casefold()))


_OPEN, _CLOSE = r"[*_\"'(\[]*", r"[*_\"')\]]*"
_STATED = re.compile(
    r"(?i:\b(?:answer|choice|choose|select|pick|option(?=\s+(?:is|was)\b))"
    r"(?:\s+(?:is|was|would\s+be|must\s+be|option|letter))*)"
    rf"\s*[:=]?\s*{_OPEN}([B-HJ-Z]|[AI](?!\s+(?!because\b|since\b|as\b)[a-z])|[b-z](?=\W*$))(?![\w'’-])"
    rf"|(?:\b[Ii]t\s+is|\b[Ii]t['’]s)\s+{_OPEN}([A-Z])(?=\W*$)"
)
_MARKED = re.compile(
    rf"(?i:\boption)\s+{_OPEN}([A-Z])(?![\w'’-])"
    r"|(?<!\w)[(\[]([A-Z])[)\]]"
    rf"|(?:^|[.:;!?]\s)\s*{_OPEN}([A-Z]){_CLOSE}(?:[.):]{_CLOSE}(?=\s|$)|\s*$)",
    re.MULTILINE,
)
_DENIED = re.compile(r"(?i)\b(?:not|no|neither|nor|none|cannot|wrong|incorrect|unsure)\b|n['’]t\b")


def _letters(pattern: re.Pattern[str], text: str, letters: str) -> set[str]:
    """The options' letters that the groups of ``pattern`` find."""
    found = {group.upper() for match in pattern.finditer(text) for group in match.groups() if group}
    return found & set(letters)


def _texts_within(whole: str, options: Sequence[str]) -> set[int]:
    """Options whose words occur in the text, leaving out those that only occur inside a longer option that does."""
    spans: list[tuple[int, int, int]] = []
    for i, option in enumerate(options):
        if option:
            pattern = rf"(?<!\S){re.escape(option)}(?!\S)"
            spans.extend((match.start(), match.end(), i) for match in re.finditer(pattern, whole))
    return {
        i
        for start, stop, i in spans
        if not any(s <= start and stop <= e and e - s > stop - start for s, e, other in spans if other != i)
    }


def process_raw_pred(raw: str) -> str:
    """The answer text as the published evaluation cleans it up, oddities included, to compare with its numbers.

    Where "None" occurs anywhere, every "None. " is deleted and nothing else happens. Otherwise the last "X. text" of
    the string counts (capital letter, full stop, one blank or line break, then the rest of that line), cut at its first
    full stop; without one the string stays as it is.
    """
    if "None" in raw:
        return raw.replace("None. ", "")
    statement: str | None = None
    position = 0
    while position < len(raw):
        start = position + 3
        opens = (
            "A" <= raw[position] <= "Z" and raw[position + 1 : start - 1] == "." and raw[start - 1 : start].isspace()
        )
        if opens and start < len(raw) and raw[start] != "\n":
            line_end = raw.find("\n", start)
            position = len(raw) if line_end < 0 else line_end
            statement = raw[start:position]
        else:
            position += 1
    return raw if statement is None else statement.partition(".")[0]


def remove_option_letter(text: str) -> str:
    """What stands between the first ". " and the next one, as published; the text itself where there is none."""
    parts = text.split(". ")
    return parts[1] if len(parts) > 1 else text


def parse_as_published(text: str, options: Sequence[str]) -> ParsedAnswer:
    """The published rule: commas at the end go, :func:`process_raw_pred`, then equality with an option's text."""
    answer = process_raw_pred(text.rstrip(","))
    if answer in options:
        return _parsed(list(options).index(answer), "published")
    return _unparsed("published: equals no option")
