"""Statements in a written answer, "the answer is B", "I choose B", "B is correct"; their words are in answer_words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from llavaction.evaluation.answer_text import AnswerText
from llavaction.evaluation.answer_verdicts import CLOSED, LETTER_END
from llavaction.evaluation.answer_words import SPACED, either

_SEPARATED = r"[\s:=*_~\"'`´«»„“”‘’「」『』《》【】(\[{<>→|#–—―\-]{0,12}+"
_LINKING = rf"(?:{either('link')}|{either('filler')}|{either('option')})"
_LETTER_NEXT = rf"(?=[A-Za-z]{LETTER_END})"
_HEADS = (
    re.compile(rf"(?i:{either('answer')}(?>{_SEPARATED}{_LINKING}){{0,6}}){_SEPARATED}{_LETTER_NEXT}"),
    re.compile(rf"(?i:{either('choose')}(?>{_SEPARATED}{_LINKING}){{0,6}}){_SEPARATED}{_LETTER_NEXT}"),
    re.compile(
        r"(?i:\b(?:prediction|output|response|result|solution|conclusion|final(?:\s+\w+)?|decision|assistant|correct|best|"
        rf"verdict|label|key|predicted\s+\w+)[*_\"'`]{{0,4}}\s?[:=]){_SEPARATED}{_LETTER_NEXT}"
    ),
    re.compile(r"^[^\w\n]{0,12}A\s?:\s?(?=[A-Z][^\w\n]{0,12}$)", re.MULTILINE),  # "Q: ... A: B"
)
"""What stands before a stated letter."""
_IS = re.compile(rf"(?i:\b(?:is|would\s+be|must\s+be)\b(?>{_SEPARATED}{_LINKING}){{0,6}}){_SEPARATED}{_LETTER_NEXT}")
_SUBJECT = re.compile(
    r"(?i:\b(?:answer|option|choice|one)\b)(?:(?!(?i:\b(?:not|no|never|nor|neither|if|whether|of)\b|n['’]t)|\b[A-Z]\b)"
    r"[^.!?\n:])++\Z"
)
"""Of what a letter is said some words later: "the option that best describes the video is B"."""
_AT_THE_END = re.compile(
    rf"(?i:{either('it_is')})[,:]?(?>{_SEPARATED}{_LINKING}){{0,6}}{_SEPARATED}(?P<letter>[A-Z]){LETTER_END}"
    r"(?=[^\w\n]{0,12}$)",
    re.MULTILINE,
)
_WITHOUT_LINK = "|".join(words.correct for words in SPACED.values() if words.correct and words.no_link)
_CALLED_RIGHT = re.compile(
    rf"(?<![\w'’-])(?P<letter>[A-Z]){CLOSED}\s*(?i:{either('option')})?\s*"
    rf"(?i:{either('link')}|(?<!\w)(?:seems?|looks|best|correctly|fits|matches)(?!\w)|(?=[正对對最更]|(?:{_WITHOUT_LINK})(?!\w)))"
    rf"(?>\s*(?i:{either('filler')}|(?<!\w)(?:to\s+be|une?|eine?|una?|uma?)(?!\w))){{0,4}}\s*"
    rf"(?i:{either('correct')}|(?<!\w)(?:matches|describes|fits|answers|best)(?!\w))"
)
_CHOSEN = re.compile(
    rf"(?<![A-Za-z])(?P<letter>[A-Z]){CLOSED}(?:です|でした|だ(?=[。.]?$)|번?\s*입니다|\s*(?i:{either('chosen')}))",
    re.MULTILINE,
)
_TO_THE_LETTER = re.compile(rf"(?P<open>[(\[]?)(?P<letter>[A-Za-z]){LETTER_END}")
_WORD_AFTER = re.compile(
    r"[ \t]+(?!(?:because|since|as|is|was|and|or|for|due|where|which|with|while|given|based)\b)[^\W\d_]"
)
LISTED = re.compile(
    rf"{CLOSED}\s*(?:(?:\.\.\.|;)\s*(?=(?i:{either('joined')})))?(?:(?:[,/&+、(]|(?i:{either('joined')}))\s*){{1,3}}"
    rf"(?i:(?<!\w)(?:option|the|la|die|el|a)\s+)?[(\[*\"']{{0,6}}([A-HJ-Z]){LETTER_END}(?!{CLOSED}\s+(?:is|was|are|does|shows|would)\b)"
)
DOUBTED = re.compile(rf"{CLOSED}\s*[*_\"'`)\],;(\s]{{0,8}}(?:\.\.\.\s*)?(?:(?i:{either('joined')})\s*)?\?")
"""What is left of a doubt behind a letter."""
_NOT_THE_ANSWER = re.compile(
    r"(?i)(?:\b(?:wrong|incorrect|false|worst|least|second|other|previous|unlikely|distractor|falsche|mauvaise|"
    r"fausse|incorrecta|errónea|sbagliata|errata|errada|incorreta|неправильный|неверный)"
    r"|错误|錯誤|間違\w*|틀린) ?(?:[\w-]+ ){0,2}$"
)
_NEAR, _REST = 100, 200
"""How many characters before a statement, and behind it, belong to it."""
_BEFORE_DENIED = re.compile(
    rf"(?i)(?:(?:{either('denied')}|(?<!\w)(?:doubt|if|whether|unless|nicht|n['’]t|why|is)(?!\w))\s*(?:really\s+|to\s+)?"
    r"(?:think|believe|say|agree|see|sure|certain|true|clear|likely|possible|the\s+case|know|mean|feel|expect|认为|覺得|觉得|pense)?\s*"
    r"(?:that|if|whether|why|how)?\s*(?:the|my|this|i\s+(?:would\s+)?)?\s*(?:option|correct|right|best|final)?\s*[(\[*\"']*"
    rf"|(?<!\w)(?:not|nicht|не|pas|no|non|não|n['’]t)\W+(?:\w+\W+){{0,2}}(?:dass|что|que|che|that)\W+(?:\w+\W+){{0,2}})$"
)
_FINAL = re.compile(r"(?i)(?:\b(?:final|finale|endgültige|définitive|итоговый|окончательный)|最终|最終|최종)\W*$")
REASON = re.compile(
    r"(?i)[\s,]*(?:because|since|as|due|weil|da|parce|car|porque|ya\s+que|perché|pois|потому|так\s+как|因为|因為)"
)


@dataclass(frozen=True)
class Statement:
    """A letter that a text says is the answer.

    Attributes:
        choices: its option; several where the text says "B or C".
        final: whether it is called the final answer.
        rest: the rest of its line.
    """

    choices: frozenset[int]
    final: bool
    rest: str


def statements(answer: AnswerText, text: str) -> Iterable[Statement]:
    """What a text says the answer is, in the order of the letters.

    Statements that are turned round ("the answer is not B") are left out.

    Args:
        answer: the answer that the text belongs to.
        text: the text.
    """
    places: dict[int, int] = {}  # where the letter stands, to where the statement begins
    for head in _HEADS:
        for match in head.finditer(text):
            places.setdefault(match.end(), match.start())
    for match in _IS.finditer(text):
        if subject := _SUBJECT.search(text, max(0, match.start() - _NEAR), match.start()):
            places.setdefault(match.end(), subject.start())
    for pattern in (_AT_THE_END, _CALLED_RIGHT, _CHOSEN):
        for match in pattern.finditer(text):
            places.setdefault(match.start("letter"), match.start())
    for place, start in sorted(places.items()):
        opening = place - 1 if place and text[place - 1] in "([" else place
        letter_match = _TO_THE_LETTER.match(text, opening)
        before = text[max(0, start - _NEAR) : start]
        if letter_match is None or _is_denied(before):
            continue
        letters, end = _letters_at(answer, text, letter_match)
        if letters and not DOUBTED.match(text, end):
            line_end = text.find("\n", end)
            remainder = text[end : end + _REST if line_end < 0 else min(line_end, end + _REST)]
            choices = frozenset(answer.index(letter) for letter in letters)
            yield Statement(choices, _FINAL.search(before) is not None, remainder)


@lru_cache(maxsize=1024)
def _is_denied(before: str) -> bool:
    """Whether the words before a statement turn it round: "I do not think that", "the wrong"."""
    return bool(_BEFORE_DENIED.search(before) or _NOT_THE_ANSWER.search(before) or before.endswith("不"))


def _letters_at(answer: AnswerText, text: str, match: re.Match[str]) -> tuple[list[str], int]:
    """The letters at a place, "B" or "B or C", and where they end; none where it is a word ("a plate")."""
    letter, end = match["letter"], match.end()
    if letter.islower() or letter in "AI":
        after = text[end : end + _NEAR]
        word = _WORD_AFTER.match(after) is not None and not answer.follows(text, end, letter)
        closed = bool(re.match(r"[.,;:)\]}\"'*`]", after))
        if (
            word
            or (letter == "a" and not closed)
            or (letter.islower() and not closed and after.strip() and not REASON.match(after))
        ):
            return [], end
    letters = [letter]
    while more := LISTED.match(text, end):
        letters.append(more[1])
        end = more.end()
    return letters, end
