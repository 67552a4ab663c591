"""A written answer as the rules of parsing see it: its plain text, its words, and the options named in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property, lru_cache

from llavaction.evaluation.answer_markup import plain_text
from llavaction.evaluation.answer_verdicts import LETTER_BEGINS, LETTER_END, Verdicts, verdicts
from llavaction.evaluation.answer_words import either
from llavaction.questions.schema import LETTERS

BEYOND = -1
"""Stands for a letter that no option has."""
DENIED = re.compile(rf"(?i){either('denied')}|{either('denied_behind')}|n['’]t\b")
_NAMED_ALONE = ("option {}", "answer {}")
_CALLED_ALONE = re.compile(
    rf"\W{{0,8}}(?:(?i:{either('filler')}|{either('option')}|(?<!\w)l['’])\s?){{0,4}}(?P<letter>[A-Z])"
    rf"(?:{either('option')}|\s(?:is|was|ist|est|es|è|é)|だ|です|입니다|이다)?\W*"
)
"""Nothing but a letter and what an option is called: "la C", "C项"."""
_CAPITAL = re.compile(r"\W{0,8}([A-Z])(?=\W)")
_LEAD_IN = re.compile(r"(?i)\A(?:sure|yes|okay|ok|well|certainly|of course|alright)\b[,.!:]+\s(?=\W*[A-Z]\b)")
LONE = re.compile(rf"{LETTER_BEGINS}([B-HJ-Z]|(?<=[(\[])A(?=[)\]])){LETTER_END}")
LETTERED = re.compile(r"(?<![\w'’])\W?([A-Z])[.):]\s?")
_NO_DOUBT = re.compile(
    r"(?i)\b(?:there\s+is\s+)?(?:no|without(?:\s+a)?)\s+(?:doubt|question)\b(?:\s+that\b)?|\bnot\s+only\b"
)
_SUFFIX = re.compile(r"(?<=[A-Z])['’](?:[dt][iıuü]r|y?[iıuü]|y?[ea]|n[iıuü]n)(?!\w)")
"""What Turkish adds to a letter."""
_TAKEN_BACK = re.compile(
    r"(?i)\b(?:no,?\s+)?wait\b(?=[,.:;!…—-])[,.:;!…—-]*(?:\s*no\b[,.:;!…—-]+)?|\bon\s+second\s+thou?ghts?\b|\bcorrection\s*:|\bscratch\s+that\b|\bactually,|"
    r"\bi\s+(?:was\s+wrong|made\s+a\s+mistake|take\s+(?:that|it)\s+back|change\s+my\s+(?:mind|answer))|\bhold\s+on\b[,.]|"
    r"\blet\s+me\s+(?:reconsider|correct)|(?<=[.!?]\s)no,\s"
)


class AnswerText:
    """A text without mark-up, and the options it may name.

    Attributes:
        raw: the text as written.
        text: the same without tags, LaTeX, and what was taken back.
        options: the options' words.
        letters: the options' letters.
    """

    def __init__(self, text: str, options: Sequence[str]) -> None:
        self.raw, self.texts = _without_runs(text), options
        self.options = [words_of(unicodedata.normalize("NFKC", option)) for option in options]
        self.letters = LETTERS[: len(options)]
        text = _NO_DOUBT.sub("", plain_text(self.raw).strip())
        self.text = _SUFFIX.sub(" ", _LEAD_IN.sub("", text))

    @cached_property
    def final_text(self) -> str:
        """The text behind the last point at which something is taken back, without options that are not chosen."""
        return self.verdicts.text

    @cached_property
    def verdicts(self) -> Verdicts:
        """What is said of options other than that they are chosen."""
        begins = max((match.end() for match in _TAKEN_BACK.finditer(self.text)), default=0)
        return verdicts(self.text[begins:], self.options, self.index)

    @cached_property
    def _alone(self) -> dict[str, set[int]]:
        """The options of every text that is nothing but one."""
        option_of: dict[str, set[int]] = {}
        for i, (letter, option) in enumerate(zip(self.letters.lower(), self.options, strict=True)):
            forms = (form.format(letter) for form in _NAMED_ALONE)
            for text in (option, f"{letter} {option}", f"{option} {letter}", *forms):
                option_of.setdefault(text, set()).add(i)
        return option_of

    def index(self, letter: str) -> int:
        """The option of a letter, ``BEYOND`` where there is none."""
        return self.letters.find(letter.upper())

    def line(self, line: str) -> int | None:
        """The option that a line names if it is nothing but an answer."""
        line_words = "" if "?" in line else words_of(line)
        options = set(self._alone.get(line_words, ()))
        if len(line_words) == 1 and line_words.upper() in LETTERS:
            options.add(self.index(line_words))
        if (match := _CAPITAL.match(line)) and line_words[2:] in self.options:
            options.add(self.index(match[1]))
            options.add(self.options.index(line_words[2:]))
        if line_words and (called := _CALLED_ALONE.fullmatch(line)):
            options.add(self.index(called["letter"]))
        return None if not options else options.pop() if len(options) == 1 else BEYOND

    def named(self, text: str) -> set[int]:
        """Options whose words occur in a text."""
        return _texts_within(words_of(text), self.options)

    def meant(self, text: str) -> set[int]:
        """Options whose words occur in a text in any form ("washing the plates" for "wash plate")."""
        return _texts_within(_stems(words_of(text)), [_stems(option) for option in self.options])

    def without_options(self, text: str) -> str:
        """The words of a text outside of the options it names."""
        words = words_of(text)
        for i in sorted(self.named(text), key=lambda i: -len(self.options[i])):
            words = words.replace(self.options[i], " ")
        return words

    def follows(self, text: str, end: int, letter: str | None = None) -> bool:
        """Whether an option's text (that of ``letter``, or any) stands at a place."""
        options = self.options if letter is None else [self.options[i] for i in [self.index(letter)] if i >= 0]
        words = words_of(text[end : end + max(map(len, options), default=0) + 20]) + " "
        return any(option and words.startswith(f"{option} ") for option in options)


def answer_lines(answer: AnswerText) -> list[int]:
    """The options of the lines that are nothing but an answer, without a list of all of them."""
    choices, before = [], ""
    for line in filter(str.strip, answer.final_text.splitlines()):
        choice = answer.line(line)
        if choice is not None and not (before.endswith(":") and DENIED.search(before)):
            choices.append(choice)
        before = line.strip()
    if set(choices) >= set(range(len(answer.options))):  # the options as they were asked
        for choice in range(len(answer.options)):
            choices.remove(choice)
    return choices


_LONGEST = 10_000
"""Characters of an answer that are read."""


def beginning_and_end(text: str) -> str:
    """A text as it is, or the whole lines of the first and the last characters of one that is too long to be read."""
    if len(text) <= _LONGEST:
        return text
    beginning, end = text[: _LONGEST // 2], text[-_LONGEST // 2 :]
    return beginning.rpartition("\n")[0] + "\n...\n" + end.partition("\n")[2]


_ARTICLES = frozenset(("the", "a", "an", "his", "her", "their", "its", "my", "your", "this", "that", "some"))


def _without_runs(text: str) -> str:
    """A text without empty lines, blanks in a row, and more than four of the same mark in a row."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return re.sub(r"([^\w\s])\1{4,}+", r"\1\1\1\1", "\n".join(filter(None, lines)))


def words_of(text: str) -> str:
    """Lower-case words separated by single blanks; punctuation, hyphens and mark-up are gone."""
    return " ".join(re.findall(r"[^\W_]+(?:['’][^\W_]+|\.\d+)*", text.casefold()))


def _stems(words: str) -> str:
    """Words without articles and English endings, so that "washing the plates" equals "wash plate"."""
    return " ".join(_stem(word) for word in words.split() if word not in _ARTICLES) or words


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def _texts_within(words: str, options: Sequence[str]) -> set[int]:
    """Options whose words occur in the text, leaving out those that only occur inside a longer option that does."""
    spans: list[tuple[int, int, int]] = []
    for i, option in enumerate(options):
        if option:
            pattern = rf"(?<!\S){re.escape(option)}(?!\S)"
            spans.extend((match.start(), match.end(), i) for match in re.finditer(pattern, words))
    options_within: set[int] = set()
    longest = (0, 0)  # of the spans that begin no later, the one that reaches furthest
    for start, stop, i in sorted(spans, key=lambda span: (span[0], -span[1])):
        if stop > longest[1] or (start, stop) == longest:
            options_within.add(i)
            longest = (start, stop)
    return options_within
