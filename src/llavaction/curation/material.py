"""What records are made from: segments, their classes, their neighbours, what a specialist made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from llavaction.actions.segments import Segment, SegmentTable
from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.curation.neighbours import Pair, preceding_pairs, successors
from llavaction.curation.records import VIDEO, ActionLabels
from llavaction.questions.filters import TruthFilter
from llavaction.specialists.predictions import SpecialistPrediction

Wording = Literal["narration", "label"]
"""What a segment is called: by its own narration, or by the label of its class."""


@dataclass(frozen=True)
class Material:
    """What every task is given.

    Attributes:
        table: all segments of the split.
        vocabulary: names and ids of the classes.
        split: the split.
        seed: of all random choices.
        durations: seconds of each video, where known.
        predictions: out-of-fold predictions by segment id, where there are any.

    Raises:
        InputError: a narration or the name of a class says ``<video>``, which a record would take for its clip.
    """

    table: SegmentTable
    vocabulary: ActionVocabulary
    split: str
    seed: int = 0
    durations: Mapping[str, float] = field(default_factory=dict)
    predictions: Mapping[str, SpecialistPrediction] | None = None

    def __post_init__(self) -> None:
        names = map(self.vocabulary.action_name, self.classes)
        texts = [*((segment.narration, f"segment '{segment.segment_id}'") for segment in self.table)]
        texts += [(name, "a class") for name in (*names, *filter(None, map(self.vocabulary.noun_name, self._nouns)))]
        for text, whose in texts:
            if text and VIDEO in text:
                raise InputError(
                    f"{whose} is called {text!a:.80}, and '{VIDEO}' stands for the clip in training records",
                    hint="word it otherwise in the annotations",
                )

    @property
    def _nouns(self) -> set[int]:
        return {noun for segment in self.table for noun in segment.all_noun_classes}

    @cached_property
    def truth(self) -> TruthFilter:
        """Which classes would be right answers too."""
        return TruthFilter(self.table, self.vocabulary)

    @cached_property
    def classes(self) -> tuple[Action, ...]:
        """All known action classes, those of the vocabulary first."""
        more = {segment.action for segment in self.table if segment.action not in self.vocabulary}
        return (*self.vocabulary.actions, *sorted(more))

    @cached_property
    def pairs(self) -> dict[str, Pair]:
        """The two segments before each; see :func:`preceding_pairs`."""
        return preceding_pairs(self.table)

    @cached_property
    def successors(self) -> dict[str, Segment]:
        """The segment after each; see :func:`~llavaction.curation.neighbours.successors`."""
        return successors(self.table)

    def labels(self, segment: Segment) -> ActionLabels:
        """What the action heads are to say of a segment.

        Raises:
            InputError: its class is not among the action classes, which are those of train and validation.
        """
        if segment.action not in self.vocabulary:
            raise InputError(
                f"segment '{segment.segment_id}' is of class {segment.action} "
                f"({self.vocabulary.action_name(segment.action)}), which train and validation do not have",
                hint="curate the split 'train', or say 'labels: false' in the mixture",
            )
        return ActionLabels(
            verb=segment.verb_class, noun=segment.noun_class, action=self.vocabulary.action_id(segment.action)
        )

    def text_of(self, segment: Segment, wording: Wording) -> str:
        """What a segment is called; its class's label where it has no narration."""
        if wording == "narration" and segment.narration:
            return segment.narration
        return self.vocabulary.action_name(segment.action)

    def rng(self, name: str, segment: Segment, turn: int) -> np.random.Generator:
        """Random numbers for one record; they depend on nothing but the arguments and the seed."""
        return hashed_rng("record", self.seed, name, segment.segment_id, turn)
