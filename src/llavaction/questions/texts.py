"""Text protocols: which words stand for a class in the options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.base.errors import InputError
from llavaction.base.registry import resolve
from llavaction.base.seeding import hashed_rng
from llavaction.base.text import same_when_read
from llavaction.questions.config import TEXTS


class OptionTexts(ABC):
    """Writes the options of a question.

    Args:
        vocabulary: labels and narrations.
        split: the split the segments come from.
        seed: of the choice among narrations.
    """

    def __init__(self, vocabulary: ActionVocabulary, split: str, seed: int) -> None:
        self.vocabulary, self.split, self.seed = vocabulary, split, seed

    @abstractmethod
    def write(self, segment: Segment, actions: Sequence[Action]) -> list[str]:
        """One text per action, no two equal; ``actions[0]`` is the right one.

        Raises:
            InputError: two classes have the same label.
        """

    @abstractmethod
    def train_counts(self, actions: Iterable[Action]) -> Counter[str]:
        """How often each text that may stand for one of the actions occurs in training."""

    def _labels(self, actions: Sequence[Action]) -> list[str]:
        labels = [self.vocabulary.action_name(action) for action in actions]
        if not _differ(labels):
            raise InputError(f"two classes have the same label: {labels}", hint="make the class keys differ")
        return labels

    def _draw(self, narrations: Counter[str], excluded: set[str], rng: np.random.Generator) -> str | None:
        """A narration that reads like none taken, by frequency; None if all do."""
        readings = {same_when_read(text) for text in excluded}
        free = {
            text: count
            for text, count in sorted(narrations.items())
            if count > 0 and same_when_read(text) and same_when_read(text) not in readings
        }
        if not free:
            return None
        weights = np.array(list(free.values()), dtype=float)
        return str(rng.choice(list(free), p=weights / weights.sum()))


def _differ(texts: Sequence[str]) -> bool:
    return len(set(map(same_when_read, texts))) == len(texts)


class ClassLabels(OptionTexts):
    """``clean``: every option is its class's label, "cut onion"."""

    def write(self, segment: Segment, actions: Sequence[Action]) -> list[str]:
        return self._labels(actions)

    def train_counts(self, actions: Iterable[Action]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for action in actions:
            counts[self.vocabulary.action_name(action)] += self.vocabulary.count(action, "train")
        return counts


class TrainNarrations(OptionTexts):
    """``clean-narrations``: every option is a training narration of its class, never the clip's own words.

    Where some class of a question has no usable training narration, all options of that question are class labels, so
    that the pool stays the same for all of them.
    """

    def write(self, segment: Segment, actions: Sequence[Action]) -> list[str]:
        rng = hashed_rng("train narrations", self.seed, segment.segment_id)
        used = {segment.narration}
        texts: list[str] = []
        for action in actions:
            text = self._draw(self.vocabulary.narrations_of(action, ["train"]), used, rng)
            if text is None:
                return self._labels(actions)
            texts.append(text)
            used.add(text)
        return texts

    def train_counts(self, actions: Iterable[Action]) -> Counter[str]:
        return _narration_counts(self.vocabulary, actions)


class PaperNarrations(OptionTexts):
    """``paper``: the right option is the clip's own narration, a distractor a random one of its class.

    As published (``GT_random_narration``): narrations of train and validation together. Leaks, as the audit shows.
    """

    def write(self, segment: Segment, actions: Sequence[Action]) -> list[str]:
        rng = hashed_rng("paper narrations", self.seed, segment.segment_id)
        texts = [segment.narration or self.vocabulary.action_name(actions[0])]
        for action in actions[1:]:
            text = self._draw(self.vocabulary.narrations_of(action), set(texts), rng)
            texts.append(text or self.vocabulary.action_name(action))
        return texts if _differ(texts) else self._labels(actions)

    def train_counts(self, actions: Iterable[Action]) -> Counter[str]:
        return _narration_counts(self.vocabulary, actions)


def _narration_counts(vocabulary: ActionVocabulary, actions: Iterable[Action]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for action in actions:
        counts.update(vocabulary.narrations_of(action, ["train"]))
    return counts


def make_texts(name: str, vocabulary: ActionVocabulary, split: str, seed: int) -> OptionTexts:
    """The text protocol of that name.

    Raises:
        InputError: no such protocol, or it needs narrations that the annotations do not have.
    """
    texts: OptionTexts = resolve(TEXTS, name, "text protocol")(vocabulary, split, seed)
    if name == "clean-narrations" and not vocabulary.narrations.get("train"):
        raise InputError(
            "the protocol 'clean-narrations' takes its texts from the training split, which is absent",
            hint="use --text clean (class labels)",
        )
    return texts
