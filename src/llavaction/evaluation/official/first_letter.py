"""Scorers that take the first capital letter, or the first that stands alone, with or without known beginnings removed.

Written from descriptions of the public code; commits are those of EvolvingLMMs-Lab/lmms-eval where none is named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llavaction.evaluation.official.outcomes import EXCLUDED, RANDOM, Outcome, place

_BEGINNINGS = ("The best answer is", "The correct answer is", "The answer is", "The answer")
_JOINED = ("The best option isThe correct option is", "Best answer:Best option:")
"""What a missing comma makes of two beginnings each: texts that no answer holds."""
_SEPARATE = ("The best option is", "The correct option is", "Best answer:", "Best option:")


def perceptiontest(text: str, options: Sequence[str]) -> Outcome:
    """Perception Test, validation: the first A to D that stands alone, capitals only.

    Source: ``lmms_eval/tasks/perceptiontest/val/utils.py`` at 75571cfe.
    """
    found = re.search(r"\b([A-D])\b", text.strip())
    return place(found[1], len(options)) if found else None


def videomme_2025(text: str, options: Sequence[str]) -> Outcome:
    """Video-MME as lmms-eval scored it until April 2026: beginnings are removed, then the first of A to D.

    Source: ``extract_characters_regex`` of ``lmms_eval/tasks/videomme/utils.py`` at 931d88d1. A comma is missing twice
    in its list, so "Best option: C" is B; "Answer: C. Jade." is A, as "Answer:" is not in the list.
    """
    return _first(text, options, (*_BEGINNINGS, *_JOINED), "ABCD")


def videomme(text: str, options: Sequence[str]) -> Outcome:
    """Video-MME's own evaluation: as :func:`videomme_2025`, "Answer:" and "Option:" removed too.

    What it cannot read it leaves out of the denominator. Source: ``eval_your_results.py`` of thanku-all/parse_answer at
    afd52cfe, with the same missing comma.
    """
    found = _first(text, options, (*_BEGINNINGS, *_JOINED, "Answer:", "Option:"), "ABCD")
    return EXCLUDED if found is None else found


def videomme_vlmevalkit(text: str, options: Sequence[str]) -> Outcome:
    """Video-MME in VLMEvalKit, without the language model that it asks about what it cannot read.

    Source: ``vlmeval/dataset/utils/videomme.py`` of open-compass/VLMEvalKit at e8e78f05. Unread answers are wrong here.
    """
    return _first(text, options, (*_BEGINNINGS, *_JOINED, "Answer:", "Option:"), "ABCD")


def videomme_v2(text: str, options: Sequence[str]) -> Outcome:
    """Video-MME-v2 in lmms-eval before 0.7.3: beginnings are removed, then the first of A to H.

    Source: ``lmms_eval/tasks/videomme_v2/utils.py`` at 1862875e. "Based on the video, C" is B.
    """
    removed = (*_BEGINNINGS, *_SEPARATE[:2], "Final Answer:", *_SEPARATE[2:], "Answer:", "Option:")
    return _first(text, options, removed, "ABCDEFGH")


def longvideobench(text: str, options: Sequence[str]) -> Outcome:
    """LongVideoBench: beginnings are removed, then the first of A to E, or a random option.

    Source: ``lmms_eval/tasks/longvideobench/utils.py`` at 75571cfe. A letter beyond the options is wrong, not drawn.
    """
    letter = _letter(text, (*_BEGINNINGS, *_SEPARATE), "ABCDE")
    return RANDOM if letter is None else place(letter, len(options))


def tvbench(text: str, options: Sequence[str]) -> Outcome:
    """TVBench: of the text in capitals the first lone letter, else its first character, else the one option it holds.

    Source: ``lmms_eval/tasks/tvbench/utils.py`` at 75571cfe. The article counts: "There is a jump first, so (C)" is A.
    """
    capitals = text.strip().upper()
    for found in (re.search(r"\b([A-Z])\b", capitals), re.match(r"\s*[(\[]?([A-Z])", capitals)):
        if found and place(found[1], len(options)) is not None:
            return place(found[1], len(options))
    squeezed = " ".join(text.lower().split())
    named = [i for i, option in enumerate(options) if " ".join(option.lower().split()) in squeezed]
    return named[0] if len(named) == 1 else None


def motionbench(text: str, options: Sequence[str]) -> Outcome:
    """MotionBench: of the text in capitals, known beginnings removed, the first lone A to F, else the first at all.

    Source: ``lmms_eval/tasks/motionbench/utils.py`` at 75571cfe. What stands before ``</think>`` is left out.
    """
    capitals = text.rpartition("</think>")[2].strip().upper()
    for begins in ("THE BEST ANSWER IS", "THE CORRECT ANSWER IS", "THE ANSWER IS", "BEST ANSWER:", "ANSWER:"):
        capitals = capitals.replace(begins, "")
    for pattern in (r"\b([A-F])\b", r"([A-F])[.):]", "([A-F])"):
        if found := re.search(pattern, capitals):
            return place(found[1], len(options))
    return None


def hd_epic(text: str, options: Sequence[str]) -> Outcome:
    """HD-EPIC: the first letter of the text, whatever it is: "The answer is C" is T, which is no option, so wrong.

    Source: ``lmms_eval/tasks/hd_epic/utils.py`` at 75571cfe.
    """
    found = re.search("[A-Z]", text.strip().upper())
    return place(found[0], len(options)) if found else None


def _letter(text: str, removed: Sequence[str], letters: str) -> str | None:
    text = text.strip()
    for beginning in removed:
        text = text.replace(beginning, "")
    found = re.search(f"[{letters}]", text)
    return found[0] if found else None


def _first(text: str, options: Sequence[str], removed: Sequence[str], letters: str) -> int | None:
    letter = _letter(text, removed, letters)
    return None if letter is None else place(letter, len(options))
