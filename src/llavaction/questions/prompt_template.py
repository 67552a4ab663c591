"""The official prompt of a benchmark, as data."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import Field, model_validator

from llavaction.base.records import Strict

_PLACES = re.compile(r"\{(question|options|subtitles)\}")


class PromptTemplate(Strict):
    """The words that a benchmark's makers, or its public evaluator, put round a question."""

    text: str = Field(description="The prompt, with {question} and, where options are listed, {options}.")
    option: str = Field(default="{letter}. {text}", description="How an option is written, with {letter} and {text}.")
    separator: str = Field(default="\n", description="What stands between two options.")
    capitalize: bool = Field(
        default=False, description="Whether the question begins with a capital, all its other letters small."
    )
    with_subtitles: str | None = Field(
        default=None, description="The prompt where subtitles are told, with {subtitles} besides."
    )
    subtitle_separator: str = Field(default="\n", description="What stands between two lines of subtitles.")
    source: str | None = Field(default=None, description="Where the prompt stands.")

    @model_validator(mode="after")
    def _has_its_places(self) -> PromptTemplate:
        if "{question}" not in self.text:
            raise ValueError("text lacks {question}")
        if self.with_subtitles is not None and "{subtitles}" not in self.with_subtitles:
            raise ValueError("with_subtitles lacks {subtitles}")
        if "{text}" not in self.option:
            raise ValueError("option lacks {text}")
        return self

    def fill(self, question: str, options: Sequence[tuple[str, str]], subtitles: Sequence[str] = ()) -> str:
        """The prompt of one question.

        Args:
            question: in words.
            options: letter and text of each.
            subtitles: lines; where there are some, :attr:`with_subtitles` is the prompt, or they come before ``text``.
        """
        text = self.text
        if subtitles:
            text = self.with_subtitles or "{subtitles}\n" + text
        listed = [self.option.replace("{letter}", letter).replace("{text}", words) for letter, words in options]
        values = {
            "question": question.capitalize() if self.capitalize else question,
            "options": self.separator.join(listed),
            "subtitles": self.subtitle_separator.join(subtitles),
        }
        return _PLACES.sub(lambda place: values[place[1]], text)
