"""Which classes say the same thing, judged by the words the class files list for them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations

from llavaction.actions.vocabulary import Action, ActionVocabulary, LabelClass
from llavaction.base.text import same_when_read


class Synonyms:
    """Pairs of verb classes, and of noun classes, of which one can be said for the other.

    Two noun classes are synonyms when an instance of one, as an unordered set of singular words, is an instance
    of the other ("garlic:peel" is listed under garlic, "peel:garlic" under skin). Two verb classes are synonyms
    when the key of one is the leading word of an instance of the other: "put-in" is listed under *insert*, so
    "put plate" is true of every "insert plate". Both relations are symmetric. They are generous
    on purpose (*screw* and *unscrew* through "screw-off"): a lost distractor costs little, a second right answer spoils
    a question. Classes whose names read the same ("plate" and "Plate") are synonyms too, and so are actions whose verbs
    and nouns make the same text. Labels that are no verb-noun pairs are synonyms only where they read the same.
    """

    def __init__(self, vocabulary: ActionVocabulary) -> None:
        listed = set() if vocabulary.one_label else _verb_pairs(vocabulary.verbs)
        self._verbs = _symmetric(listed | _same_names(vocabulary.verbs))
        self._nouns = _symmetric(_noun_pairs(vocabulary.nouns) | _same_names(vocabulary.nouns))
        self._reading_of = {action: same_when_read(vocabulary.action_name(action)) for action in vocabulary.actions}
        actions: dict[str, set[Action]] = defaultdict(set)
        for action, text in self._reading_of.items():
            actions[text].add(action)
        self._same_text = {action: actions[text] for action, text in self._reading_of.items() if len(actions[text]) > 1}

    def verbs(self, verb: int) -> frozenset[int]:
        """The verb class and its synonyms."""
        return self._verbs.get(verb, frozenset((verb,)))

    def nouns(self, noun: int) -> frozenset[int]:
        """The noun class and its synonyms."""
        return self._nouns.get(noun, frozenset((noun,)))

    def also_true(self, action: Action, nouns: Iterable[int] = ()) -> frozenset[Action]:
        """All pairs that say the same as ``action``, itself included; ``nouns`` are further nouns of the segment."""
        same_nouns = {same for noun in (action[1], *nouns) for same in self.nouns(noun)}
        pairs = {(verb, noun) for verb in self.verbs(action[0]) for noun in same_nouns}
        return frozenset(pairs | self._same_text.get(action, set()))

    def read_alike(self, one: Action, other: Action) -> bool:
        """Whether the labels of two actions are the same to a reader."""
        return one == other or self._reading_of.get(one, one) == self._reading_of.get(other, other)


def _symmetric(pairs: Iterable[tuple[int, int]]) -> Mapping[int, frozenset[int]]:
    related: dict[int, set[int]] = defaultdict(set)
    for a, b in pairs:
        related[a] |= {a, b}
        related[b] |= {a, b}
    return {label: frozenset(others) for label, others in related.items()}


def _noun_pairs(nouns: Mapping[int, LabelClass]) -> set[tuple[int, int]]:
    owners: dict[frozenset[str], set[int]] = defaultdict(set)
    for noun in nouns.values():
        for instance in (noun.key, *noun.instances):
            owners[frozenset(_singular(word) for word in re.split(r"[:\-\s]+", instance.strip()))].add(noun.id)
    return {pair for ids in owners.values() for pair in combinations(sorted(ids), 2)}


def _same_names(classes: Mapping[int, LabelClass]) -> set[tuple[int, int]]:
    owners: dict[str, list[int]] = defaultdict(list)
    for label in sorted(classes.values(), key=lambda label: label.id):
        owners[same_when_read(label.name)].append(label.id)
    return {pair for ids in owners.values() for pair in combinations(ids, 2)}


def _verb_pairs(verbs: Mapping[int, LabelClass]) -> set[tuple[int, int]]:
    by_key = {verb.key: verb.id for verb in verbs.values()}
    pairs = set()
    for verb in verbs.values():
        for instance in (verb.key, *verb.instances):
            other = by_key.get(instance.split("-")[0])
            if other is not None and other != verb.id:
                pairs.add((other, verb.id))
    return pairs


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
