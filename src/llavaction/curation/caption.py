"""Captions written from templates: a sentence about one action, or about two that follow one another."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Clip, Segment
from llavaction.curation.material import Wording
from llavaction.curation.tasks import Conversation, Task, TaskSettings, one_of

REQUESTS: tuple[str, ...] = (
    "Describe what happens in this clip.",
    "Write a caption for this video.",
    "Tell in a sentence what the hands do.",
    "What can be seen here? Answer in one sentence.",
)
SINGLE: tuple[str, ...] = (
    "The action shown is to {action}.",
    "Somebody's hands are at work: {action}.",
    "The person uses {object} to do this: {action}.",
    "What happens here can be called '{action}'; it involves {object}.",
)
DOUBLE: tuple[str, ...] = (
    "Two actions follow one another: first {action}, then {next}.",
    "It begins with '{action}' and goes on with '{next}'.",
    "The person starts with this: {action}. After that comes: {next}.",
    "Before '{next}' one sees '{action}'.",
)
LABELLED_REQUESTS = tuple(request for request in REQUESTS if "hands" not in request)
LABELLED_SINGLE = ("What the clip shows is labelled '{action}'.", "This is seen: {action}.")
LABELLED_DOUBLE = tuple(form for form in DOUBLE if "person" not in form)
"""Of labels without a noun, which may be an animal's."""


class CaptionSettings(TaskSettings):
    """What captions are about."""

    wording: Wording = Field("narration", description="What actions are called.")
    double: float = Field(
        0.3,
        ge=0,
        le=1,
        description="How often the clip is extended to the action that follows, where one does closely, as a share.",
    )
    longest: float = Field(20.0, gt=0, description="The most seconds of a clip of two actions.")


class Caption(Task):
    """``caption``: says no more than the annotations do."""

    settings_class = CaptionSettings
    settings: CaptionSettings

    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        facts = {
            "action": self.material.text_of(segment, self.settings.wording),
            "object": self._objects(segment),
        }
        following = self.material.successors.get(segment.segment_id)
        double = rng.random() < self.settings.double and following is not None
        clip = None
        if double and following is not None and following.stop - segment.start <= self.settings.longest:
            facts["next"] = self.material.text_of(following, self.settings.wording)
            clip = Clip(video_id=segment.video_id, start=segment.start, stop=following.stop)
        requests, forms = REQUESTS, DOUBLE if clip else SINGLE
        if self.material.vocabulary.one_label:
            requests, forms = LABELLED_REQUESTS, LABELLED_DOUBLE if clip else LABELLED_SINGLE
        usable = [form for form in forms if facts["object"] or "{object}" not in form]
        answer = one_of(usable, rng).format(**facts)
        provenance = {"actions": 2 if clip else 1}
        return Conversation(one_of(requests, rng), answer, clip, labelled=clip is None, provenance=provenance)

    def _objects(self, segment: Segment) -> str:
        """Names of the segment's nouns, "knife, onion and board"; empty where it has none."""
        nouns = dict.fromkeys((segment.noun_class, *segment.all_noun_classes))
        *most, last = list(filter(None, map(self.material.vocabulary.noun_name, nouns))) or [""]
        return f"{', '.join(most)} and {last}" if most else last
