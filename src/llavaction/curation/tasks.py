"""Tasks: what a model learns to say about a segment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Clip, Segment
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.base.errors import InputError
from llavaction.base.records import Strict
from llavaction.curation.material import Material
from llavaction.curation.records import VIDEO, Message, TrainingRecord

TASKS = {
    "hard_action_recognition": "llavaction.curation.action_choice:ActionChoice",
    "prior_actions": "llavaction.curation.action_choice:ActionChoiceAfterPrior",
    "direct_narration": "llavaction.curation.narration:DirectNarration",
    "temporal_detection": "llavaction.curation.temporal_detection:TemporalDetection",
    "caption": "llavaction.curation.caption:Caption",
    "open_qa": "llavaction.curation.open_qa:OpenQA",
    "part_choice": "llavaction.curation.part_choice:PartChoice",
}
"""Tasks by name."""

Item = TypeVar("Item")


class TaskSettings(Strict):
    """What all tasks of a mixture have; each adds its own."""

    task: str = Field(description="what the records teach; see TASKS")
    name: str = Field("", description="what the records are called; the task's name by default, unique in a mixture")
    weight: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="records per segment; 0.5 takes half of the segments"
    )
    cap: int | None = Field(None, gt=0, description="most records of this task; None for no limit")
    labels: bool = Field(True, description="whether the action heads learn from these records too")
    stand_in: bool = Field(
        False,
        description="make text-only rows in which the class label stands in for the clip on the action token, and from "
        "which the heads learn nothing; see TrainingRecord.words",
    )
    clutter: int = Field(
        0,
        ge=0,
        description="with stand_in: up to so many names of verbs and nouns stand before the clip's place, as other "
        "things are in sight; a reader must not take them for what is done",
    )


@dataclass(frozen=True)
class Conversation:
    """What a task makes of a segment.

    Attributes:
        prompt: what the user says; the video goes before it.
        answer: what the model is to say.
        clip: what is seen; the segment itself where None.
        labelled: whether the clip shows the segment's action and no other.
        provenance: what is worth knowing of how it was made.
    """

    prompt: str
    answer: str
    clip: Clip | None = None
    labelled: bool = True
    provenance: Mapping[str, Any] = field(default_factory=dict)


class Task(ABC):
    """Makes records of segments, each from the segment's own random numbers.

    Args:
        settings: of ``settings_class``.
        material: what the records are made from.

    Attributes:
        label_suffices: whether a segment's class label says enough to answer, so that it may stand in for the clip.

    Raises:
        InputError: the label is to stand in for the clip, and does not suffice.
    """

    settings_class: ClassVar[type[TaskSettings]] = TaskSettings
    label_suffices: ClassVar[bool] = False

    def __init__(self, settings: Any, material: Material) -> None:
        if settings.stand_in and not self.label_suffices:
            raise InputError(
                f"task '{settings.name or settings.task}' needs the clip itself: a class label cannot stand in for it",
                hint="leave 'stand_in' out of its settings",
            )
        self.settings, self.material = settings, material

    def refusal(self, segment: Segment) -> str | None:
        """Why no record can be made of a segment, in a few words; None where one can."""
        return None

    @abstractmethod
    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        """The conversation about a segment that is not refused."""

    def record(self, segment: Segment, turn: int) -> TrainingRecord:
        """The record number ``turn`` (from 0) of a segment."""
        rng = self.material.rng(self.settings.name, segment, turn)
        made = self.converse(segment, rng)
        stand_in = self.settings.stand_in
        around = f"{self._clutter(rng)}\n" if stand_in and self.settings.clutter else ""
        labelled = self.settings.labels and made.labelled and not stand_in
        return TrainingRecord(
            record_id=f"{self.settings.name}:{segment.segment_id}:{turn}",
            task=self.settings.task,
            clip=None if stand_in else made.clip or segment.clip,
            words=self.material.words(segment, "label") if stand_in else None,
            messages=(
                Message(role="user", content=f"{around}{VIDEO}\n{made.prompt}"),
                Message(role="assistant", content=made.answer),
            ),
            labels=self.material.labels(segment) if labelled else None,
            provenance={"segment_id": segment.segment_id, "seed": self.material.seed, **made.provenance},
        )

    def _clutter(self, rng: np.random.Generator) -> str:
        """Some names of classes, in any order."""
        names = _names(self.material.vocabulary)
        return " ".join(
            names[place] for place in rng.integers(len(names), size=1 + rng.integers(self.settings.clutter))
        )


def _names(vocabulary: ActionVocabulary) -> list[str]:
    verbs = [vocabulary.verb_name(verb) for verb in vocabulary.verbs]
    return [*verbs, *filter(None, map(vocabulary.noun_name, vocabulary.nouns))]


def one_of(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """An item drawn uniformly."""
    return items[int(rng.integers(len(items)))]
