"""Captions written from templates: a sentence about one action, or about two that follow one another."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Clip, Segment
from llavaction.curation.material import Wording
from llavaction.curation.tasks import Conversation, Task, TaskSettings, one_of

REQUESTS = (
    "Describe what happens in this clip.",
    "Write a caption for this video.",
    "Tell in a sentence what the hands do.",
    "What can be seen here? Answer in one sentence.",
)
SINGLE = (
    "The action shown is to {action}.",
    "Somebody's hands are at work: {action}.",
    "The person uses {object} to do this: {action}.",
    "What happens here can be called '{action}'; it involves {object}.",
)
DOUBLE = (
    "Two actions follow one another: first {action}, then {next}.",
    "It begins with '{action}' and goes on with '{next}'.",
    "The person starts with this: {action}. After that comes: {next}.",
    "Before '{next}' one sees '{action}'.",
)


class CaptionSettings(TaskSettings):
    """What captions are about."""

    wording: Wording = Field("narration", description="what actions are called")
    double: float = Field(
        0.3, ge=0, le=1, description="how often the clip is extended to the action that follows, where one does closely"
    )
    longest: float = Field(20.0, gt=0, description="most seconds of a clip of two actions")


class Caption(Task):
    """``caption``: says no more than the annotations do."""

    settings_class = CaptionSettings
    settings: CaptionSettings

    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        facts = {
            "action": self.material.words(segment, self.settings.wording),
            "object": self._objects(segment),
        }
        following = self.material.successors.get(segment.segment_id)
        double = rng.random() < self.settings.double and following is not None
        clip = None
        if double and following is not None and following.stop - segment.start <= self.settings.longest:
            facts["next"] = self.material.words(following, self.settings.wording)
            clip = Clip(video_id=segment.video_id, start=segment.start, stop=following.stop)
        single = SINGLE if facts["object"] else [form for form in SINGLE if "{object}" not in form]
        answer = one_of(DOUBLE if clip else single, rng).format(**facts)
        provenance = {"actions": 2 if clip else 1}
        return Conversation(one_of(REQUESTS, rng), answer, clip, labelled=clip is None, provenance=provenance)

    def _objects(self, segment: Segment) -> str:
        """Names of the segment's nouns, "knife, onion and board"; empty where it has none."""
        nouns = dict.fromkeys((segment.noun_class, *segment.all_noun_classes))
        *most, last = list(filter(None, map(self.material.vocabulary.noun_name, nouns))) or [""]
        return f"{', '.join(most)} and {last}" if most else last
