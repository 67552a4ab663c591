"""Thoughts: what a model writes to itself before it answers, kept apart from the answer."""

from __future__ import annotations

import re

_TAGS = "think|thinking|thought|thoughts|reasoning|reason|analysis|reflection|rationale|scratchpad|seed:think"
_THOUGHTS: tuple[tuple[str, str], ...] = (
    (rf"<(?:{_TAGS})>", rf"</(?:{_TAGS})>"),
    (r"<\|(?:begin_of_thought|START_THINKING|think)\|>", r"<\|(?:end_of_thought|END_THINKING|/think)\|>"),
    (r"\[(?:THINK|THINKING|REASONING)\]", r"\[/(?:THINK|THINKING|REASONING)\]"),
    (r"◁think(?:ing)?▷", r"◁/think(?:ing)?▷"),
    (r"<\|channel>thought\b", r"<channel\|>"),
    (
        r"<\|channel\|>(?:analysis|commentary)\b(?:<\|message\|>)?",
        r"<\|channel\|>final(?:<\|constrain\|>\w+)?(?:<\|message\|>)?",
    ),
    (
        r"\A(?-i:analysis(?=[A-Z]|(?s:.*)assistantfinal))",
        r"assistantfinal",
    ),  # the same where the decoder has left out special tokens
)
"""How thoughts open and close by the models that have them; the last two end where the answer's channel opens."""

_MARKS = tuple(re.compile(f"(?P<opens>{opens})|{closes}", re.IGNORECASE) for opens, closes in _THOUGHTS)


def without_thoughts(text: str) -> str | None:
    """What is said outside of thoughts.

    A thought that is closed but was never opened began with the text, as it does where the chat template opens it.

    Returns:
        The rest, or None where a thought is never closed: the text was cut off before the answer.
    """
    for marks in _MARKS:
        spoken: list[str] = []
        position, thinking = 0, False
        for mark in marks.finditer(text):
            if mark["opens"] is None:
                if not thinking:
                    spoken.clear()
                position, thinking = mark.end(), False
            elif not thinking:
                spoken.append(text[position : mark.start()])
                thinking = True
        if thinking:
            return None
        text = "\n".join([*spoken, text[position:]])
    return text
