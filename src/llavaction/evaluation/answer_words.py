"""The words around an option in an answer, in the languages that models answer in: read from answer_words.yaml."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

from llavaction.base.bounded import read_yaml


class Words(NamedTuple):
    """Alternatives of a regular expression each; empty where a language needs none.

    Attributes:
        answer: what the letter is said to be ("answer", "Lösung").
        link: what connects the two ("is", "lautet").
        filler: what may stand between ("the", "option", "probably").
        choose: verbs of choice in front of the letter ("I choose", "ich wähle").
        chosen: verbs of choice behind it ("würde B wählen", "Bを選ぶ").
        option: what an option is called.
        correct: what a chosen option is said to be.
        it_is: how a sentence begins that ends with the answer ("it is B", "c'est B").
        denied: words in front of an option that deny it, or behind it ("not B", "B is wrong").
        denied_behind: those that only deny what is in front of them ("B değil").
        but: what stands between a denied option and the one chosen instead ("not A but B").
        joined: what joins options of which each may be meant ("A or B").
        also: by which another option shares what is said of the first ("D too").
        doubted: by which an option is only possible ("maybe B").
        condition: by which an option depends on something ("B, if ...").
        mentioned: by which an option is only spoken about ("consider B", "e.g. B").
        mentioned_behind: the same behind the option.
        yes: a verdict on an option, "B: yes".
        no_link: whether an option is called correct without a word between.
    """

    answer: str = ""
    link: str = ""
    filler: str = ""
    choose: str = ""
    option: str = ""
    correct: str = ""
    denied: str = ""
    denied_behind: str = ""
    but: str = ""
    joined: str = ""
    also: str = ""
    doubted: str = ""
    condition: str = ""
    mentioned: str = ""
    mentioned_behind: str = ""
    it_is: str = ""
    chosen: str = ""
    yes: str = ""
    no_link: bool = False


def _languages(form: str) -> dict[str, Words]:
    languages = read_yaml(Path(__file__).with_suffix(".yaml"))[form]

    def joined(fields: dict[str, Any]) -> dict[str, Any]:
        return {field: "|".join(value) if isinstance(value, list) else value for field, value in fields.items()}

    return {name: Words(**joined(fields)) for name, fields in languages.items()}


SPACED = _languages("spaced")
"""Languages that put blanks between words."""
UNSPACED = _languages("unspaced")
"""Languages that put none, or glue particles to words."""


def spaced(field: str) -> str:
    """The alternatives of all spaced languages for a field of :class:`Words`."""
    return "|".join(filter(None, (getattr(words, field) for words in SPACED.values())))


def unspaced(field: str) -> str:
    """The alternatives of all other languages for a field of :class:`Words`."""
    return "|".join(filter(None, (getattr(words, field) for words in UNSPACED.values())))


def either(field: str) -> str:
    """A group that matches a word of any language for a field of :class:`Words`."""
    words = rf"(?:(?<!\w)(?:{spaced(field)})(?!\w)|(?:{unspaced(field) or '(?!)'}))"
    return unicodedata.normalize("NFKC", words)  # as the answers are
