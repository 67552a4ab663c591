"""Verb, noun and action classes: their ids, their names, and what annotators said for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.base.records import Strict

Action = tuple[int, int]
"""An action class: (verb class, noun class)."""


class LabelClass(Strict):
    """One verb or noun class of a class file."""

    id: int = Field(ge=0)
    key: str = Field(description="the class's official name, e.g. 'board:chopping' or 'turn-on'; empty: no noun")
    instances: tuple[str, ...] = Field(default=(), description="the words annotators used that map to this class")
    category: str = ""

    @property
    def name(self) -> str:
        """The key as people read it, as published (``official_key``).

        "board:chopping" becomes "chopping board", "machine:sous:vide" "sous vide machine"; verbs keep their hyphens.
        """
        first, *others = (part.strip() for part in self.key.split(":"))
        return " ".join([*others, first])


class WholeLabel(LabelClass):
    """A label that is an action of its own ("groom: left wing"); its name is its key as it stands."""

    @property
    def name(self) -> str:
        """The key itself."""
        return self.key


NO_NOUN = LabelClass(id=0, key="")
"""The only noun class of labels that are no verb-noun pairs; it has no name."""


@dataclass(frozen=True)
class ActionVocabulary:
    """The closed label set of a dataset.

    Attributes:
        verbs: verb classes by id.
        nouns: noun classes by id.
        actions: every action class that occurs, in the published order of action ids: sorted as the strings
            "verb:noun" (so 0:10 comes before 0:2).
        narrations: split name to action class to how often each narration occurs there.
        counts: split name to how many segments each action class has there, narrated or not.
    """

    verbs: Mapping[int, LabelClass]
    nouns: Mapping[int, LabelClass]
    actions: tuple[Action, ...]
    narrations: Mapping[str, Mapping[Action, Counter[str]]] = field(default_factory=dict)
    counts: Mapping[str, Counter[Action]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {action: i for i, action in enumerate(self.actions)})

    @classmethod
    def from_segments(
        cls, verbs: Iterable[LabelClass], nouns: Iterable[LabelClass], splits: Mapping[str, Iterable[Segment]]
    ) -> ActionVocabulary:
        """Collect the action classes and narrations of the given splits (usually train and validation)."""
        narrations: dict[str, dict[Action, Counter[str]]] = {split: {} for split in splits}
        counts: dict[str, Counter[Action]] = {split: Counter() for split in splits}
        for split, segments in splits.items():
            for segment in segments:
                counts[split][segment.action] += 1
                if segment.narration:
                    narrations[split].setdefault(segment.action, Counter())[segment.narration] += 1
        return cls(
            verbs={verb.id: verb for verb in verbs},
            nouns={noun.id: noun for noun in nouns},
            actions=published_order(action for of_split in counts.values() for action in of_split),
            narrations=narrations,
            counts=counts,
        )

    @property
    def one_label(self) -> bool:
        """Whether an action is one label, not a verb with a noun."""
        return all(not noun.key for noun in self.nouns.values())

    def action_id(self, action: Action) -> int:
        """Position of an action class in :attr:`actions`.

        Raises:
            InputError: the class does not occur in the splits this vocabulary was made from.
        """
        ids: dict[Action, int] = object.__getattribute__(self, "_ids")
        if action not in ids:
            raise InputError(f"action class {action} ({self.action_name(action)}) is not in the vocabulary")
        return ids[action]

    def __contains__(self, action: object) -> bool:
        return action in object.__getattribute__(self, "_ids")

    def verb_name(self, verb: int) -> str:
        """Readable name of a verb class."""
        return self.verbs[verb].name if verb in self.verbs else f"verb {verb}"

    def noun_name(self, noun: int) -> str:
        """Readable name of a noun class; empty for none."""
        return self.nouns[noun].name if noun in self.nouns else f"noun {noun}"

    def action_name(self, action: Action) -> str:
        """Readable name of an action class, "cut onion"; of one without noun the verb's, "run"."""
        return f"{self.verb_name(action[0])} {self.noun_name(action[1])}".rstrip()

    def count(self, action: Action, split: str) -> int:
        """How many segments of a split have this class; 0 where the split is absent."""
        return self.counts[split][action] if split in self.counts else 0

    def narrations_of(self, action: Action, splits: Iterable[str] | None = None) -> Counter[str]:
        """How often each narration was used for a class in the given splits (all by default)."""
        total: Counter[str] = Counter()
        for split in self.narrations if splits is None else splits:
            total.update(self.narrations.get(split, {}).get(action, Counter()))
        return total


def published_order(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Action classes sorted as the strings "verb:noun", the order of the published action ids."""
    return tuple(sorted(set(actions), key=lambda action: f"{action[0]}:{action[1]}"))
