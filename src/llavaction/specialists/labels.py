"""The closed label set of a specialist: the classes its heads score, and pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action, ActionVocabulary, LabelClass, WholeLabel, published_order
from llavaction.base.errors import InputError
from llavaction.base.records import Strict
from llavaction.base.registry import suggestion
from llavaction.specialists.agreement import PredictedClasses


class ClassName(Strict):
    """One class: its id in the class file, and its key there."""

    id: int
    key: str


class SpecialistLabels(Strict):
    """What each head's outputs stand for, in their order."""

    verbs: tuple[ClassName, ...] = Field(min_length=1, description="all classes of the verb class file")
    nouns: tuple[ClassName, ...] = Field(min_length=1, description="all classes of the noun class file")
    actions: tuple[Action, ...] = Field(min_length=1, description="pairs that occur in training, in published order")

    @classmethod
    def of_training(cls, vocabulary: ActionVocabulary, segments: Iterable[Segment]) -> SpecialistLabels:
        """All classes of the class files, and the pairs of the training segments."""
        return cls(
            verbs=_names(vocabulary.verbs.values()),
            nouns=_names(vocabulary.nouns.values()),
            actions=published_order(segment.action for segment in segments),
        )

    @property
    def one_label(self) -> bool:
        """Whether an action is one label, not a verb with a noun."""
        return not any(name.key for name in self.nouns)

    @property
    def classes(self) -> PredictedClasses:
        """What the class ids stand for, in words."""
        form = WholeLabel if self.one_label else LabelClass
        verbs, nouns = ({name.id: form(**name.model_dump()).name for name in side} for side in (self.verbs, self.nouns))
        return PredictedClasses(verbs=verbs, nouns=nouns)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of verbs, nouns and actions."""
        return len(self.verbs), len(self.nouns), len(self.actions)

    @cached_property
    def verb_columns(self) -> dict[int, int]:
        """Output of the verb head by class id."""
        return {name.id: column for column, name in enumerate(self.verbs)}

    @cached_property
    def noun_columns(self) -> dict[int, int]:
        """Output of the noun head by class id."""
        return {name.id: column for column, name in enumerate(self.nouns)}

    @cached_property
    def action_columns(self) -> dict[Action, int]:
        """Output of the action head by pair."""
        return {action: column for column, action in enumerate(self.actions)}

    @cached_property
    def pairs(self) -> tuple[Action, ...]:
        """Every verb with every noun."""
        return tuple((verb.id, noun.id) for verb in self.verbs for noun in self.nouns)

    def targets(self, segments: Sequence[Segment]) -> NDArray[np.int64]:
        """Head outputs of the segments' classes [segments, 3]: verb, noun, action (-1: a pair not met in training).

        Raises:
            InputError: a segment's verb or noun class is not among the labels.
        """
        for segment in segments:
            for kind, label, class_ids in (
                ("verb", segment.verb_class, self.verb_columns),
                ("noun", segment.noun_class, self.noun_columns),
            ):
                if label not in class_ids:
                    raise InputError(
                        f"segment '{segment.segment_id}' has {kind} class {label}; "
                        f"this specialist knows {len(class_ids)} {kind} classes",
                        hint="its classes are those of the annotation folder it was trained on",
                    )
        rows = [
            (self.verb_columns[s.verb_class], self.noun_columns[s.noun_class], self.action_columns.get(s.action, -1))
            for s in segments
        ]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)

    def check(self, vocabulary: ActionVocabulary, where: str) -> None:
        """Refuse a dataset whose classes mean something else.

        Args:
            vocabulary: of the dataset.
            where: its folder, for the message.

        Raises:
            InputError: a class id stands for another class there, or is not known here.
        """
        for kind, names, classes in (("verb", self.verbs, vocabulary.verbs), ("noun", self.nouns, vocabulary.nouns)):
            keys = {name.id: name.key for name in names}
            for label in classes.values():
                if keys.get(label.id) != label.key:
                    if self.one_label and vocabulary.one_label:
                        raise self._other_labels(vocabulary, where)
                    mine = f"'{keys[label.id]}'" if label.id in keys else "unknown"
                    raise InputError(
                        f"{kind} class {label.id} is '{label.key}' there and {mine} to this specialist",
                        file=where,
                        hint="predict with the classes that the specialist was trained on",
                    )

    def _other_labels(self, vocabulary: ActionVocabulary, where: str) -> InputError:
        """What is wrong with labels whose numbers are others: one more or less moves those behind it."""
        mine, theirs = {name.key for name in self.verbs}, {label.key for label in vocabulary.verbs.values()}
        if strange := sorted(theirs - mine):
            more = f", nor are {len(strange) - 1} others" if strange[1:] else ""
            return InputError(
                f"label '{strange[0]}' is none of the {len(mine)} that this specialist was trained on{more}",
                file=where,
                hint=f"{suggestion(strange[0], mine)} Correct the label in the table, or train a specialist on it",
            )
        absent = sorted(mine - theirs)
        return InputError(
            f"has no segment of {len(absent)} of the {len(mine)} labels that this specialist was trained on, the first "
            f"'{absent[0]}'",
            file=where,
            hint="put this table into a folder with the one it was trained on (train.csv, test.csv)",
        )


def _names(classes: Iterable[LabelClass]) -> tuple[ClassName, ...]:
    return tuple(ClassName(id=label.id, key=label.key) for label in sorted(classes, key=lambda label: label.id))
