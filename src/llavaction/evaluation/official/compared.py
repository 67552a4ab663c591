"""Scorers that compare the text's beginning with the right answer.

Written from descriptions of the public code; commits are those of EvolvingLMMs-Lab/lmms-eval where none is named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llavaction.evaluation.official.outcomes import EXCLUDED, Outcome, place
from llavaction.questions.asked import LETTERS

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'


def mvbench(text: str, options: Sequence[str]) -> Outcome:
    """MVBench in lmms-eval: "A. text" in one line is A; else the first lone A to E once punctuation is gone.

    Source: ``mcq_acc`` of ``lmms_eval/tasks/mvbench/utils.py`` at 75571cfe. Case does not matter, so the article "a" is
    A. Empty texts are left out of the denominator.
    """
    if text == "":
        return EXCLUDED
    if leading := re.match(r"([A-E])\.\s*(.+)$", text.strip(), re.IGNORECASE):
        return place(leading[1].upper(), len(options))
    line = _without_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    found = re.search(r"\b([A-E])\b", line, re.IGNORECASE)
    return place(found[1].upper(), len(options)) if found else None


def _without_punctuation(text: str) -> str:
    """Marks that stand beside a blank go (all marks, where a number has a comma); others become blanks."""
    number = re.search(r"\d,\d", text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        beside = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if beside or number else " ")
    return re.sub(r"\.(?!\d)", "", cleaned)


def mvbench_check_ans(text: str, options: Sequence[str]) -> Outcome:
    """MVBench's own ``check_ans``: the first word is part of "(a)", or "(a)" is part of it, in small letters.

    Source: ``video_chat2/mvbench.ipynb`` of OpenGVLab/Ask-Anything, and ``vlmeval/dataset/utils/mvbench.py`` of
    open-compass/VLMEvalKit at e8e78f05, without the language model that the latter asks about the rest. An empty text
    and a lone bracket are part of every "(a)": right whatever the answer is.
    """
    word = text.lower().split(" ")[0]
    bare = word.replace(".", "")
    right = {i for i, _ in enumerate(options) if bare in f"({LETTERS[i].lower()})" or f"({LETTERS[i].lower()})" in word}
    return None if not right else right.pop() if len(right) == 1 else frozenset(right)


def vinoground(text: str, options: Sequence[str]) -> Outcome:
    """Vinoground: the text's first character is the letter, in either case.

    Source: ``lmms_eval/tasks/vinoground/utils.py`` at 03a5823f. The public code fails on an empty text,
    which is wrong here.
    """
    return place(text[:1].upper(), len(options)) if text else None
