"""One half of an action by multiple choice: which verb, or which object."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.base.text import same_when_read
from llavaction.curation.material import Material
from llavaction.curation.tasks import Conversation, Task, TaskSettings
from llavaction.questions.prompts import multiple_choice_prompt
from llavaction.questions.schema import LETTERS, Option, Provenance, Question

QUESTIONS = {"verb": "Which verb fits the video?", "noun": "Which object does the video show in use?"}
"""What is asked, by the part of the action that is asked for."""


class PartChoiceSettings(TaskSettings):
    """How the questions are made."""

    part: Literal["verb", "noun"] = Field(description="What the options are: verb labels, or noun labels.")
    options: int = Field(5, ge=2, le=len(LETTERS), description="Options per question, the right one included.")


class PartChoice(Task):
    """``part_choice``: the answer is the letter of the segment's verb label, or of its noun label.

    Distractors are drawn uniformly from the other classes that occur in training. Left out are synonyms of the answer,
    further nouns of the segment, and what is done, or handled, in segments that overlap it.
    """

    settings_class = PartChoiceSettings
    settings: PartChoiceSettings

    def __init__(self, settings: PartChoiceSettings, material: Material) -> None:
        super().__init__(settings, material)
        if material.vocabulary.one_label:
            raise InputError(
                "part_choice asks for verbs or nouns; these labels are no verb-noun pairs",
                hint="leave this task out of the mixture; action_choice asks for whole labels",
            )

    def refusal(self, segment: Segment) -> str | None:
        return None if len(self._others(segment)) >= self.settings.options - 1 else "too few distractors"

    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        pool = self._others(segment)
        places = rng.permutation(len(pool))[: self.settings.options - 1]
        classes = [self._class_of(segment), *(pool[place] for place in places)]
        order = rng.permutation(len(classes))
        options = [Option(text=self._name(number)) for number in classes]
        provenance = Provenance(miner="random", text_pool="clean", seed=self.material.seed)
        question = Question.of_segment(segment, QUESTIONS[self.settings.part], options, order, provenance)
        return Conversation(
            prompt=multiple_choice_prompt(question, "letters"),
            answer=question.answer_letter,
            provenance={"part": self.settings.part, "options": [classes[place] for place in order]},
        )

    def _others(self, segment: Segment) -> list[int]:
        """Classes a distractor may be of, in order; no two are called the same."""
        present = (segment, *self.material.table.overlapping(segment))
        synonyms = self.material.truth.synonyms
        if self.settings.part == "verb":
            true = {same for action in present for same in synonyms.verbs(action.verb_class)}
        else:
            nouns = {noun for action in present for noun in (action.noun_class, *action.all_noun_classes)}
            true = {same for noun in nouns for same in synonyms.nouns(noun)}
        names = {same_when_read(self._name(self._class_of(segment)))}
        distractors = []
        for number in self._occurring:
            name = same_when_read(self._name(number))
            if number not in true and name not in names:
                names.add(name)
                distractors.append(number)
        return distractors

    def _class_of(self, segment: Segment) -> int:
        return segment.verb_class if self.settings.part == "verb" else segment.noun_class

    def _name(self, label: int) -> str:
        vocabulary = self.material.vocabulary
        return vocabulary.verb_name(label) if self.settings.part == "verb" else vocabulary.noun_name(label)

    @cached_property
    def _occurring(self) -> tuple[int, ...]:
        """Classes of the training split, or of all splits where there is none; sorted."""
        vocabulary = self.material.vocabulary
        actions = vocabulary.counts.get("train") or vocabulary.actions
        return tuple(sorted({action[0 if self.settings.part == "verb" else 1] for action in actions}))
