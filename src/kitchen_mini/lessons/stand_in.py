"""Text-only lessons: words stand in for the clip, so that a model may learn to read before it learns to see."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.curation.material import Material
from llavaction.curation.records import VIDEO, Message, TrainingRecord
from llavaction.curation.tasks import Conversation, Task, TaskSettings, task_class, task_settings

SUFFICES = ("hard_action_recognition", "direct_narration", "part_choice")
"""Tasks for which a segment's class label says enough to answer."""
_BESIDE = ("name", "weight", "cap", "labels")
"""Settings that every task has; those of the records made are the ones beside ``of``."""


class StandInSettings(TaskSettings):
    """Whose records are told in words."""

    of: Mapping[str, Any] = Field(description="The task that makes the records, with its own settings.")
    clutter: int = Field(
        0,
        ge=0,
        description="The most names of verbs and nouns that stand before the clip's place, as other things are in "
        "sight; a reader must not take them for what is done.",
    )

    @field_validator("of")
    @classmethod
    def _complete(cls, of: Mapping[str, Any]) -> Mapping[str, Any]:
        if of.get("task") not in SUFFICES:
            raise ValueError(
                f"task '{of.get('task')}' needs the clip itself: a class label cannot stand in for it; "
                f"it can for {', '.join(SUFFICES)}"
            )
        for key in _BESIDE:
            if key in of:
                raise ValueError(f"'{key}' stands beside 'of', not within it")
        try:
            return task_settings(of).model_dump(mode="json", exclude=set(_BESIDE))
        except InputError as error:
            raise ValueError(error.problem) from None


class StandIn(Task):
    """``stand_in``: the records of another task, in which the segment's class label stands in for the clip.

    The heads learn nothing from them; see ``TrainingRecord.words``.
    """

    settings_class = StandInSettings
    settings: StandInSettings

    def __init__(self, settings: StandInSettings, material: Material) -> None:
        super().__init__(settings, material)
        task = task_settings(settings.of).model_copy(update={"name": settings.name})
        self._task: Task = task_class(task.task)(task, material)

    def refusal(self, segment: Segment) -> str | None:
        return self._task.refusal(segment)

    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        return self._task.converse(segment, rng)

    def record(self, segment: Segment, turn: int) -> TrainingRecord:
        """The record of the other task, told in words."""
        rng = self.material.rng(self.settings.name, segment, turn)
        conversation = self.converse(segment, rng)
        around = f"{self._clutter(rng)}\n" if self.settings.clutter else ""
        return TrainingRecord(
            record_id=f"{self.settings.name}:{segment.segment_id}:{turn}",
            task=self._task.settings.task,
            words=self.material.text_of(segment, "label"),
            messages=(
                Message(role="user", content=f"{around}{VIDEO}\n{conversation.prompt}"),
                Message(role="assistant", content=conversation.answer),
            ),
            provenance={"segment_id": segment.segment_id, "seed": self.material.seed, **conversation.provenance},
        )

    def _clutter(self, rng: np.random.Generator) -> str:
        """Some names of classes, in any order."""
        names = self._names
        return " ".join(
            names[place] for place in rng.integers(len(names), size=1 + rng.integers(self.settings.clutter))
        )

    @cached_property
    def _names(self) -> list[str]:
        vocabulary = self.material.vocabulary
        verbs = [vocabulary.verb_name(verb) for verb in vocabulary.verbs]
        return [*verbs, *filter(None, map(vocabulary.noun_name, vocabulary.nouns))]
