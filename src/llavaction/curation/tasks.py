"""Tasks: what a model learns to say about a segment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Clip, Segment
from llavaction.base.errors import InputError
from llavaction.base.plugins import in_todays_form, with_plugins
from llavaction.base.records import Strict
from llavaction.base.registry import resolve
from llavaction.curation.material import Material
from llavaction.curation.records import VIDEO, Message, TrainingRecord

TASKS = {
    "hard_action_recognition": "llavaction.curation.action_choice:ActionChoice",
    "prior_actions": "llavaction.curation.action_choice:ActionChoiceAfterPrior",
    "direct_narration": "llavaction.curation.narration:DirectNarration",
    "temporal_detection": "llavaction.curation.temporal_detection:TemporalDetection",
    "caption": "llavaction.curation.caption:Caption",
    "open_qa": "llavaction.curation.open_qa:OpenQA",
}
"""Our tasks by name; plug-ins may add to them."""

Item = TypeVar("Item")


class TaskSettings(Strict):
    """What all tasks of a mixture have; each adds its own."""

    task: str = Field(description="Task that the records teach, one of curation/tasks.py's.")
    name: str = Field("", description="Name of the records, unique in a mixture. By default it is the task's.")
    weight: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="Records per segment; 0.5 takes half of the segments."
    )
    cap: int | None = Field(None, gt=0, description="The most records of this task. By default there is no limit.")
    labels: bool = Field(True, description="Whether the action heads learn from these records, too.")


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
    """

    settings_class: ClassVar[type[TaskSettings]] = TaskSettings

    def __init__(self, settings: Any, material: Material) -> None:
        self.settings, self.material = settings, material

    def refusal(self, segment: Segment) -> str | None:
        """Why no record can be made of a segment, in a few words; None where one can."""
        return None

    @abstractmethod
    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        """The conversation about a segment that is not refused."""

    def record(self, segment: Segment, turn: int) -> TrainingRecord:
        """The record number ``turn`` (from 0) of a segment."""
        conversation = self.converse(segment, self.material.rng(self.settings.name, segment, turn))
        labelled = self.settings.labels and conversation.labelled
        return TrainingRecord(
            record_id=f"{self.settings.name}:{segment.segment_id}:{turn}",
            task=self.settings.task,
            clip=conversation.clip or segment.clip,
            messages=(
                Message(role="user", content=f"{VIDEO}\n{conversation.prompt}"),
                Message(role="assistant", content=conversation.answer),
            ),
            labels=self.material.labels(segment) if labelled else None,
            provenance={"segment_id": segment.segment_id, "seed": self.material.seed, **conversation.provenance},
        )


def task_class(name: str) -> type[Task]:
    """The task that is called so, ours or a plug-in's.

    Raises:
        InputError: none is (suggests the nearest).
    """
    loaded: type[Task] = resolve(with_plugins("TASKS", TASKS), name, "task")
    return loaded


def task_settings(entry: Mapping[str, Any], file: Path | None = None) -> TaskSettings:
    """The settings of a task, as a mixture names them.

    Raises:
        InputError: there is no such task, or a setting is not as it has to be (names the nearest key).
    """
    entry = in_todays_form("task", entry)
    try:
        task = task_class(str(entry.get("task")))
    except InputError as error:
        raise InputError(error.problem, file=file, hint=error.hint) from None
    settings = task.settings_class.from_mapping(entry, file=file)
    return settings.model_copy(update={"name": settings.name or settings.task})


def one_of(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """An item drawn uniformly."""
    return items[int(rng.integers(len(items)))]
