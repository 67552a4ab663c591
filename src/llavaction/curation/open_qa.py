"""Free-form questions with answers that the annotations give, written from templates."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Clip, Segment
from llavaction.curation.material import Material, Wording
from llavaction.curation.tasks import Conversation, Task, TaskSettings, one_of

QUESTIONS = {
    "verb": (
        "What is done with the {noun}?",
        "The {noun} is handled here. Which movement is it?",
        "Name the verb that fits what happens to the {noun}.",
    ),
    "action": (
        "What is done here?",
        "Name what happens in this clip.",
        "Which behaviour does the clip show?",
    ),
    "noun": (
        "Which object does the action '{verb}' concern here?",
        "Somebody does this: {verb}. To what?",
        "What is the object of '{verb}' in this clip?",
    ),
    "occurs": (
        "Is the {noun} part of the action? Answer yes or no.",
        "Does the person do something with the {noun}? Answer yes or no.",
        "Yes or no: is the {noun} handled here?",
    ),
    "order": (
        "Which comes first: '{first}' or '{second}'?",
        "Two actions are shown, '{first}' and '{second}'. With which does the clip begin?",
        "In which action does the clip begin, '{first}' or '{second}'?",
    ),
}
"""Paraphrases by kind of question."""

TRIES = 20
"""How many objects are drawn until one is found that certainly is no part of the action."""


class OpenQASettings(TaskSettings):
    """What the answers may be long and called."""

    wording: Wording = Field("narration", description="What actions are called in questions about their order.")
    longest: float = Field(20.0, gt=0, description="The most seconds of a clip that shows two actions.")


class OpenQA(Task):
    """``open_qa``: verb, noun, whether an object occurs, and which of two actions comes first.

    Of labels that are no verb-noun pairs the whole action is asked for instead of its parts.

    Objects that are asked for in vain are drawn as often as they occur in the split, and yes is as frequent as no, so
    that the question alone does not tell the answer.
    """

    settings_class = OpenQASettings
    settings: OpenQASettings

    def __init__(self, settings: OpenQASettings, material: Material) -> None:
        super().__init__(settings, material)
        self._kinds: dict[str, Callable[[Segment, np.random.Generator], Conversation | None]] = {
            "verb": self._verb,
            "noun": self._noun,
            "occurs": self._occurs,
            "order": self._order,
        }
        if material.vocabulary.one_label:
            self._kinds = {"action": self._action, "order": self._order}

    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        for place in rng.permutation(len(self._kinds)):
            conversation = list(self._kinds.values())[place](segment, rng)
            if conversation is not None:
                return conversation
        raise AssertionError("the verb, or the whole action, can always be asked for")

    def _verb(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        return self._ask(
            "verb", self.material.vocabulary.verb_name(segment.verb_class), rng, noun=self._noun_name(segment)
        )

    def _action(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        return self._ask("action", self.material.text_of(segment, "label"), rng)

    def _noun(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        return self._ask(
            "noun", self._noun_name(segment), rng, verb=self.material.vocabulary.verb_name(segment.verb_class)
        )

    def _occurs(self, segment: Segment, rng: np.random.Generator) -> Conversation | None:
        if rng.random() < 0.5:
            return self._ask("occurs", "yes", rng, noun=self._noun_name(segment))
        involved = self._involved(segment)
        for _ in range(TRIES):
            noun = one_of(self._nouns, rng)
            if noun not in involved:
                return self._ask("occurs", "no", rng, noun=self.material.vocabulary.noun_name(noun))
        return None

    def _order(self, segment: Segment, rng: np.random.Generator) -> Conversation | None:
        following = self.material.successors.get(segment.segment_id)
        if following is None or following.stop - segment.start > self.settings.longest:
            return None
        if following.action in self.material.truth.synonyms.also_true(segment.action, segment.all_noun_classes):
            return None
        answer, other_answer = (self.material.text_of(part, self.settings.wording) for part in (segment, following))
        if answer == other_answer:
            return None
        first, second = (answer, other_answer) if rng.random() < 0.5 else (other_answer, answer)
        clip = Clip(video_id=segment.video_id, start=segment.start, stop=following.stop)
        return self._ask("order", answer, rng, clip, first=first, second=second)

    def _ask(
        self, kind: str, answer: str, rng: np.random.Generator, clip: Clip | None = None, **facts: str
    ) -> Conversation:
        question = one_of(QUESTIONS[kind], rng).format(**facts)
        return Conversation(question, answer, clip, labelled=clip is None, provenance={"kind": kind})

    def _noun_name(self, segment: Segment) -> str:
        return self.material.vocabulary.noun_name(segment.noun_class)

    def _involved(self, segment: Segment) -> set[int]:
        """Nouns of the segment and of all that overlap it, with their synonyms."""
        present = (segment, *self.material.table.overlapping(segment))
        nouns = {noun for action in present for noun in (action.noun_class, *action.all_noun_classes)}
        return {same for noun in nouns for same in self.material.truth.synonyms.nouns(noun)}

    @cached_property
    def _nouns(self) -> tuple[int, ...]:
        """The noun of every segment, sorted, so that the order of the annotations has no effect."""
        return tuple(sorted(segment.noun_class for segment in self.material.table))
