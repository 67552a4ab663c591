"""How classes are called in tables: by the dataset's vocabulary, or by the options' own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from llavaction.questions.schema import Question


class ActionNames(Protocol):
    """What can say a class's name; :class:`llavaction.actions.vocabulary.ActionVocabulary` can."""

    def verb_name(self, verb: int) -> str:
        """Readable name of a verb class."""

    def noun_name(self, noun: int) -> str:
        """Readable name of a noun class."""

    def action_name(self, action: tuple[int, int]) -> str:
        """Readable name of an action class."""


class OptionNames:
    """Names read off a benchmark's options, for when there is no vocabulary.

    An action is called by its most frequent option text, a verb by the most frequent first word of its options, a noun
    by the most frequent rest. A class whose name another class has too gets its number behind it.
    """

    def __init__(self, questions: Iterable[Question]) -> None:
        counts = Counter((option.action, option.text) for question in questions for option in question.options)
        verbs: dict[int, Counter[str]] = {}
        nouns: dict[int, Counter[str]] = {}
        actions: dict[tuple[int, int], Counter[str]] = {}
        for (action, text), count in counts.items():
            if action is None:
                continue
            first, _, noun = text.partition(" ")
            actions.setdefault(action, Counter())[text] += count
            verbs.setdefault(action[0], Counter())[first] += count
            nouns.setdefault(action[1], Counter())[noun or first] += count
        self._verbs, self._nouns = _unique(verbs), _unique(nouns)
        self._actions = {action: _most_frequent(texts) for action, texts in actions.items()}

    def verb_name(self, verb: int) -> str:
        """Name of a verb class, "verb 3" if no option has it."""
        return self._verbs.get(verb, f"verb {verb}")

    def noun_name(self, noun: int) -> str:
        """Name of a noun class, "noun 3" if no option has it."""
        return self._nouns.get(noun, f"noun {noun}")

    def action_name(self, action: tuple[int, int]) -> str:
        """Name of an action class, made of its verb's and noun's names if no option has it."""
        return self._actions.get(action, f"{self.verb_name(action[0])} {self.noun_name(action[1])}")


def _most_frequent(texts: Counter[str]) -> str:
    return min(texts, key=lambda text: (-texts[text], text))


def _unique(texts: dict[int, Counter[str]]) -> dict[int, str]:
    names = {number: _most_frequent(counter) for number, counter in texts.items()}
    shared = Counter(names.values())
    return {number: f"{name} ({number})" if shared[name] > 1 else name for number, name in names.items()}
