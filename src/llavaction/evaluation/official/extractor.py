"""The extractor that lmms-eval has used for Video-MME since April 2026, as far as it is described."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llavaction.evaluation.official.outcomes import Outcome, place
from llavaction.questions.asked import LETTERS


def videomme_2026(text: str, options: Sequence[str]) -> Outcome:
    """Video-MME in lmms-eval since April 2026: a letter at the start, at the end, in a phrase, then "(A)", "A.", "A:",
    "A)" and "A "; the first of these that applies decides.

    Source: the order described of ``lmms_eval/tasks/_task_utils/mcq_extract.py`` at 75571cfe. The expressions are ours,
    so answers at the border of two rules may be read otherwise than there; later commits abstain more often.
    """
    letters = LETTERS[: len(options)]
    answer = text.strip()
    patterns = (
        rf"\A[(\[*\"']*([{letters}])(?:[)\]*\"'.:,]+|\s*\Z|\s*\n)",
        rf"(?:\A|\n)\s*[(\[*]*([{letters}])[)\]*.]*\s*\Z",
        rf"(?i:answer|option|choice)\s*(?i:is)?\s*[:=]?\s*[(\[*]*([{letters}])\b",
        rf"\(([{letters}])\)",
        rf"\b([{letters}])\.",
        rf"\b([{letters}]):",
        rf"\b([{letters}])\)",
        rf"\b([{letters}]) ",
    )
    for pattern in patterns:
        if found := re.search(pattern, answer):
            return place(found[1], len(options))
    return None
