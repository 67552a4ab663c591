"""Scorers that look for letters as parts of the text, then for option texts, and take the last or the first.

They go back to MMMU's parser (github.com/MMMU-Benchmark/MMMU, ``eval/eval_utils.py``). Written from descriptions of the
public code; commits are those of EvolvingLMMs-Lab/lmms-eval.
"""

from __future__ import annotations

from collections.abc import Sequence

from llavaction.evaluation.official.outcomes import RANDOM, Outcome
from llavaction.questions.asked import LETTERS

_ENDS = (",", ".", "!", "?", ";", ":", "'")
_MOST_WORDS_OF_A_LETTER = 5
"""Option texts are looked for in longer answers only."""


def nextqa(text: str, options: Sequence[str]) -> Outcome:
    """NExT-QA: "(A)", else "A ", else "A.", else an option's text; of several the last, of none a random one.

    Source: ``lmms_eval/tasks/nextqa/utils.py`` at 75571cfe. Where several letters stand before full stops, none has the
    blanks by which the last is looked for, and the first letter of the alphabet among them wins.
    """
    padded, letters = _padded(text), LETTERS[: len(options)]
    for form, searched in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        if found := [i for i, letter in enumerate(letters) if form.format(letter) in padded]:
            return max(found, key=lambda i: padded.rfind(searched.format(letters[i])))
    named = _by_text(padded, options)
    return RANDOM if named is None else named


def egoschema(text: str, options: Sequence[str]) -> Outcome:
    """EgoSchema: as :func:`nextqa`, but all three forms of letters are collected, and the first position wins.

    Source: ``lmms_eval/tasks/egoschema/utils.py`` at 75571cfe. The position is that of a form's last occurrence.
    """
    padded, letters = _padded(text), LETTERS[: len(options)]
    found = [
        (padded.rfind(form.format(letter)), i)
        for form in ("({})", "{} ", "{}.")
        for i, letter in enumerate(letters)
        if form.format(letter) in padded
    ]
    if found:
        return min(found)[1]
    named = _by_text(padded, options, last=False)
    return RANDOM if named is None else named


def lemonade(text: str, options: Sequence[str]) -> Outcome:
    """LEMONADE: "A." and "A:", else "(A)", else "A ", else an option's text; of several the last, of none option A.

    Source: ``lmms_eval/tasks/lemonade/utils.py`` at 75571cfe, from amathislab/lmms-eval b3e4c26a. An empty text is
    wrong.
    """
    if text == "":
        return None
    padded, letters = _padded(text), LETTERS[: len(options)]
    for forms in (("{}.", "{}:"), ("({})",), ("{} ",)):
        lists = [[i for i, letter in enumerate(letters) if form.format(letter) in padded] for form in forms]
        found = [i for some in lists for i in some]
        if found:
            form = next(form for form, some in zip(forms, lists, strict=True) if some)
            searched = " {} " if form == "{} " else form
            return max(found, key=lambda i: padded.rfind(searched.format(letters[i])))
    named = _by_text(padded, options)
    return 0 if named is None else named


def tomato(text: str, options: Sequence[str]) -> Outcome:
    """TOMATO in lmms-eval: any capital letter of an option, wherever it stands; of several the last in brackets.

    Source: ``lmms_eval/tasks/tomato/utils.py`` at 75571cfe. Without brackets the first option whose letter occurs wins,
    so "Based on the frames, Answer: D" is A; so is a text without any letter. The benchmark's own code asks
    gpt-4o-mini.
    """
    padded, letters = _padded(text), LETTERS[: len(options)]
    if found := [i for i, letter in enumerate(letters) if letter in padded]:
        return max(found, key=lambda i: padded.rfind(f"({letters[i]})"))
    named = _by_text(padded, options)
    return 0 if named is None else named


def _padded(text: str) -> str:
    for end in _ENDS:
        text = text.strip(end)
    return f" {text} "


def _by_text(padded: str, options: Sequence[str], *, last: bool = True) -> int | None:
    """The option whose text the answer contains, of several the last (or first) by position."""
    lowered = padded.lower()
    if len(padded.split()) <= _MOST_WORDS_OF_A_LETTER:
        return None
    found = [i for i, option in enumerate(options) if option.lower() in lowered]
    if not found:
        return None
    return (max if last else min)(found, key=lambda i: lowered.rfind(options[i].lower()))
