"""Which option a generated text names. Never guesses: what is not clear is 'unparsed'."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llavaction.evaluation.answer_markup import contained_answers
from llavaction.evaluation.answer_text import (
    BEYOND,
    DENIED,
    LETTERED,
    LONE,
    AnswerText,
    answer_lines,
    beginning_and_end,
    words_of,
)
from llavaction.evaluation.answer_verdicts import CLOSED, LETTER_END
from llavaction.evaluation.answer_words import either
from llavaction.evaluation.statements import DOUBTED, LISTED, REASON, statements
from llavaction.evaluation.thoughts import without_thoughts


@dataclass(frozen=True)
class ParsedAnswer:
    """What could be read from a text.

    Attributes:
        choice: index of the option, or None.
        status: "parsed" or "unparsed".
        rule: what the choice rests on ("letter", "letter and text", "stated letter", "letter at the end",
            "option text", "exact text", "verdict"), or why there is none ("empty", "thought without an answer", "no
            option named", "several options named", "letter and text disagree", "says what it is not", "is not sure").
    """

    choice: int | None
    status: Literal["parsed", "unparsed"]
    rule: str


def _parsed(choice: int, rule: str) -> ParsedAnswer:
    return ParsedAnswer(choice, "parsed", rule)


def _unparsed(reason: str) -> ParsedAnswer:
    return ParsedAnswer(None, "unparsed", reason)


_MOST_CONTAINERS = 50
"""A text with more different answers in tags, boxes or fields than this is none."""
_EMPTY, _NONE, _SEVERAL, _DISAGREE = "empty", "no option named", "several options named", "letter and text disagree"
_NOT, _UNSURE_OF = "says what it is not", "is not sure"


def parse_answer(text: str, options: Sequence[str]) -> ParsedAnswer:
    """Read the chosen option from generated text.

    Thoughts (``<think>...</think>`` and their like) are left out; a text that ends within one holds no answer. Of the
    rest the first of :data:`_RULES` that applies decides. The article "a" is never taken for option A, and nothing is
    read where several options are named without a word on which is meant, a letter stands beside another option's
    text, or the text only says what the answer is not. Of a very long text the beginning and the end are read.

    Args:
        text: what the model wrote.
        options: the options' texts without letters, in the order shown.
    """
    answer = without_thoughts(unicodedata.normalize("NFKC", text))
    if answer is None:
        return _unparsed("thought without an answer")
    return _read(beginning_and_end(answer), options)


def _read(text: str, options: Sequence[str]) -> ParsedAnswer:
    answer = AnswerText(text, options)
    parsed = next(filter(None, (rule(answer) for rule in _RULES)), _unparsed(_NONE))
    views = answer.verdicts
    if parsed.choice in views.wrong:
        return _unparsed(_NOT)
    if parsed.rule not in (_EMPTY, _NONE):
        return parsed
    possible = views.doubted | views.discussed
    return _unparsed(
        _SEVERAL if len(possible) > 1 else _UNSURE_OF if possible else _NOT if views.wrong else parsed.rule
    )


def _contained(answer: AnswerText) -> ParsedAnswer | None:
    r"""An answer in a container of its own: ``<answer>``, ``\boxed{}``, or a field of a JSON object."""
    contents = contained_answers(answer.raw)
    if len(contents) > _MOST_CONTAINERS:
        return _unparsed(_SEVERAL)
    readings = [_read(content, answer.texts) for content in contents]
    parsed = [reading for reading in readings if reading.choice is not None]
    if len({reading.choice for reading in parsed}) > 1:
        return _unparsed(_SEVERAL)
    return parsed[0] if parsed else readings[0] if readings else None


def _whole(answer: AnswerText) -> ParsedAnswer | None:
    """The text is nothing but an answer."""
    line = words_of(answer.text)
    if not line:
        return _unparsed(_EMPTY)
    choice = answer.line(answer.text)
    if choice is None:
        return None
    if choice == BEYOND:
        return _unparsed(_NONE if len(line) == 1 else _DISAGREE)
    return _parsed(
        choice, "exact text" if line == answer.options[choice] else "letter" if len(line) == 1 else "letter and text"
    )


def _judged(answer: AnswerText) -> ParsedAnswer | None:
    """The options have verdicts, "A: no, B: yes"."""
    if not (right := answer.verdicts.right):
        return None
    stated_choices = {choice for statement in statements(answer, answer.final_text) for choice in statement.choices}
    return _unparsed(_SEVERAL) if len(right | stated_choices) > 1 else _parsed(right.copy().pop(), "verdict")


def _stated(answer: AnswerText) -> ParsedAnswer | None:
    """The text says "the answer is B", or that the final answer is."""
    candidates = list(statements(answer, answer.final_text))
    final = [statement for statement in candidates if statement.final]
    candidates = final or candidates
    choices = {choice for statement in candidates for choice in statement.choices}
    if not choices:
        return None
    if len(choices) > 1:
        return _unparsed(_SEVERAL)
    choice = choices.pop()
    if choice == BEYOND:
        return _unparsed(_NONE)
    for tail in {statement.rest for statement in candidates}:
        if (later := answer.meant(tail)) and choice not in later and not DENIED.search(answer.without_options(tail)):
            return _unparsed(_DISAGREE)
    if not final and len(lines := set(answer_lines(answer))) == 1 and lines != {choice}:
        return _unparsed(_SEVERAL)
    return _parsed(choice, "stated letter")


def _alone_on_a_line(answer: AnswerText) -> ParsedAnswer | None:
    """A line is nothing but an answer, and no other line is another; a list of all options does not count."""
    choices = set(answer_lines(answer))
    if not choices:
        return None
    if len(choices) > 1 or choices == {BEYOND}:
        return _unparsed(_SEVERAL if len(choices) > 1 else _NONE)
    return _parsed(choices.pop(), "letter")


def _begins(answer: AnswerText) -> ParsedAnswer | None:
    """The text begins with a letter or an option's text, set off from what follows: "B, because ...", "B. The hand"."""
    first = answer.final_text.strip()
    letter = _LEADING.match(first)
    line = first.partition("\n")[0]
    if letter is None:
        return _begins_with_text(answer, line)
    remainder = line[letter.end() :]
    if re.match(r"\W*\d", remainder) and not remainder.startswith(" ("):
        return None  # a number for each letter
    if DOUBTED.match(first, letter.end()) or LISTED.match(first, letter.end("letter")):
        return None
    choice = answer.index(letter["letter"])
    because = REASON.match(remainder) is not None
    explanation = remainder if because else answer.final_text[letter.end() :]
    refused = _NONE if choice == BEYOND else _contradicted(answer, choice, line, explanation)
    if not because and not refused:
        if _named_letters(answer) - {choice}:
            refused = _SEVERAL
        elif answer.verdicts.doubted or _UNSURE.search(answer.without_options(answer.final_text)):
            refused = _UNSURE_OF
    return _unparsed(refused) if refused else _parsed(choice, "letter")


def _contradicted(answer: AnswerText, choice: int, line: str, explanation: str) -> str | None:
    """Why an option is not chosen though ``line`` begins with its letter and goes on with ``said``, or None."""
    text = answer.texts[choice]
    position = line.casefold().find(text.casefold())
    if position >= 0 and DOUBTED.match(line, position + len(text)):
        return _NOT
    later = answer.meant(explanation)
    if later and choice not in later and not DENIED.search(answer.without_options(explanation)):
        return _DISAGREE
    return None


def _begins_with_text(answer: AnswerText, line: str) -> ParsedAnswer | None:
    head = re.split(r"[,.;:!]", line, maxsplit=1)[0]
    choice = answer.line(head)
    if choice is None or choice == BEYOND or answer.meant(answer.final_text) != {choice} or head == line:
        return None
    return None if DOUBTED.match(line, len(head)) else _parsed(choice, "option text")


def _marked(answer: AnswerText) -> ParsedAnswer | None:
    """The text marks one letter ("option B", "(B)"), or contains one option's words."""
    text, verdicts = answer.final_text, answer.verdicts
    letters = {answer.index(letter) for letter in _letters(_MARKED, text)} - {BEYOND}
    letters |= {answer.index(match[1]) for match in LETTERED.finditer(text) if answer.follows(text, match.end())}
    named_choices, meant_choices = answer.named(text), answer.meant(text)
    other_choices = _named_letters(answer) - {BEYOND} if letters else meant_choices - named_choices
    choices = letters or named_choices
    if len(choices) > 1 or (choices and other_choices - choices):
        return _unparsed(_SEVERAL)
    if not choices or choices == {BEYOND}:
        return None
    around = answer.without_options(text)
    if DENIED.search(around):
        return _unparsed(_NOT)
    unsure = verdicts.doubted or verdicts.discussed or text.rstrip().endswith("?")
    if unsure or _UNSURE.search(around) or _DEPENDS.search(around):
        return _unparsed(_UNSURE_OF)
    ending = None if letters else _ENDING.search(text.strip())
    if (named_choices and not choices <= named_choices) or (ending and answer.index(ending["letter"]) not in choices):
        return _unparsed(_DISAGREE)
    return _parsed(min(choices), "letter" if letters else "option text")


def _ends(answer: AnswerText) -> ParsedAnswer | None:
    """The text ends with a letter behind a comma or colon, "Based on the video, C", and names no other option."""
    text = answer.final_text.strip()
    found = _ENDING.search(text)
    if found is None or len(found["clause"].split()) < _FEWEST_WORDS_BEFORE or _CALLED.search(found["before"]):
        return None
    choice = answer.index(found["letter"])
    around = answer.without_options(text)
    if choice == BEYOND or _named_letters(answer) - {choice} or answer.meant(text) - {choice}:
        return None
    if DENIED.search(around) or _UNSURE.search(around) or _DEPENDS.search(around) or answer.verdicts.doubted:
        return None
    return _parsed(choice, "letter at the end")


_RULES: tuple[Callable[[AnswerText], ParsedAnswer | None], ...] = (
    _contained,
    _whole,
    _judged,
    _stated,
    _alone_on_a_line,
    _begins,
    _marked,
    _ends,
)
"""How an answer can be read, the surest way first."""

_LEADING = re.compile(
    rf"[*_\"'`(\[{{#>\s-]*(?P<letter>[A-Za-z]){CLOSED}"
    rf"(?:[.):,;]{CLOSED}(?=\s|$)|\s+[-–—]+\s"
    r"|(?=\s+(?i:because|since|as|weil|parce|car|porque|perché|rather\s+than|instead\s+of|over)\b|\s+\((?:confidence|\d))"
    r"|(?=[,，、]?\s*(?:因为|因為|，)))"
)
"""A letter set off from what follows."""
_MARKED = re.compile(
    r"(?:(?i:(?<!\w)(?:option|letter|opción|opzione|opção|вариант|letra|lettre|lettera|buchstabe|буква)(?!\w))"
    r"|选项|選項|選択肢|선택지)\s*"
    rf"[*_\"'(\[]{{0,6}}([A-Z]|[b-z]|a(?=[^\w\n]{{0,12}}$)){LETTER_END}"
    r"|(?<![a-z] )(?<!\w)[(\[]([A-Z])[)\]]|(?<!\w)[(\[]([A-Z])[)\]](?! [a-z])"
    rf"|(?:^|(?<=[.;!?。]\s))[*_\"'`(\[]{{0,6}}([A-Z]){CLOSED}(?:[.):]{CLOSED}(?=\s|$)(?!\s?\d)|\s?$)",
    re.MULTILINE,
)
"""A letter called an option, in brackets, or in a sentence of its own."""
_FEWEST_WORDS_BEFORE = 3
_ENDING = re.compile(
    r"(?P<before>(?P<clause>[^\n.;!?]{1,300}?)[,:])\s+[*_\"'`(\[]{0,6}(?P<letter>[A-Z])[*_\"'`)\]]{0,6}\.?\s*\Z"
)
"""A clause, a comma or colon, and a letter that is the end."""
_CALLED = re.compile(
    r"(?i)\b(?:(?:letters?|signs?|labels?|shirt|grade|vitamins?|plan|person|actor|player|team|room|camera|group|type)\W*"
    r"|(?:says?|reads?|shows?|spells?|named|called|labell?ed|marked)\b.*)\Z"
)
"""What else a lone letter is the name of."""
_UNSURE = re.compile(rf"(?i){either('doubted')}")
_DEPENDS = re.compile(rf"(?i){either('condition')}")


def _named_letters(answer: AnswerText) -> set[int]:
    """The options whose letters stand anywhere in a text."""
    lone = {answer.index(letter) for letter in LONE.findall(answer.final_text)} - {BEYOND}
    return lone | {answer.index(letter) for letter in _letters(_MARKED, answer.final_text)}


def _letters(pattern: re.Pattern[str], text: str) -> set[str]:
    return {group.upper() for match in pattern.finditer(text) for group in match.groups() if group}


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
