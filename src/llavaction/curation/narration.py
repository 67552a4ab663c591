"""Direct narration: say in a few words what is done."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.curation.material import Wording
from llavaction.curation.tasks import Conversation, Task, TaskSettings
from llavaction.questions.prompts import QUESTION, Perspective, format_task_related_prompt, open_prompt


class DirectNarrationSettings(TaskSettings):
    """How the question is put and answered."""

    prompt: Literal["open", "published_open"] = Field(
        "open", description="Style of the prompt; see questions/prompts.py."
    )
    perspective: Perspective = Field(
        "first_person", description="How the published prompt speaks: 'you are the person', or of 'the person'."
    )
    answer: Wording = Field(
        "narration", description="What the answer is: the segment's narration, or its class's label."
    )


class DirectNarration(Task):
    """``direct_narration``: no options; the answer is the segment's narration."""

    settings_class = DirectNarrationSettings
    settings: DirectNarrationSettings

    def refusal(self, segment: Segment) -> str | None:
        return "no narration" if self.settings.answer == "narration" and not segment.narration else None

    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        prompt = open_prompt(QUESTION)
        if self.settings.prompt == "published_open":
            prompt = format_task_related_prompt("", "direct_narration", perspective=self.settings.perspective)
        return Conversation(prompt, self.material.text_of(segment, self.settings.answer))
