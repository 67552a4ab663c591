"""Temporal detection: when in a longer clip does the action begin and end?"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Clip, Segment
from llavaction.curation.material import Wording
from llavaction.curation.tasks import Conversation, Task, TaskSettings


class TemporalDetectionSettings(TaskSettings):
    """How much is seen around the action."""

    padding: float = Field(
        3.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds before and after the action, taken together, 3 as in the paper.",
    )
    wording: Wording = Field("narration", description="What the action is called.")


class TemporalDetection(Task):
    """``temporal_detection``: the answer is "start, end" in seconds from the start of the padded clip."""

    settings_class = TemporalDetectionSettings
    settings: TemporalDetectionSettings

    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        before = rng.random() * self.settings.padding
        clip = padded(segment, before, self.settings.padding - before, self.material.durations.get(segment.video_id))
        prompt = detection_prompt(self.material.text_of(segment, self.settings.wording), segment)
        return Conversation(prompt, relative_span(segment, clip), clip)


def padded(segment: Segment, before: float, after: float, duration: float | None = None) -> Clip:
    """The clip with ``before`` and ``after`` seconds around a segment, as far as the video goes, to two decimals.

    Args:
        segment: what is padded.
        before: seconds to add at the start.
        after: seconds to add at the end; what does not fit at one side is not added at the other.
        duration: seconds of the video; None where it is not known. (An annotation may end after it.)
    """
    start = max(0.0, round(segment.start - before, 2))
    stop = round(segment.stop + after, 2)
    if duration is not None:
        stop = min(stop, max(duration, segment.stop))
    return Clip(video_id=segment.video_id, start=start, stop=stop)


def detection_prompt(action: str, segment: Segment) -> str:
    """The published question; it tells how long the action lasts."""
    return (
        f"The provided video contains an action '{action}' that lasts {round(segment.stop - segment.start, 2)} seconds."
        " What is the relative start and end time of the action in seconds? "
        "Format it as 'start_timestamp: end_timestamp' and round to 2 decimal places."
    )


def relative_span(segment: Segment, clip: Clip) -> str:
    """The published answer, "2.1, 3.9": where the segment lies in the clip."""
    return f"{round(segment.start - clip.start, 2)}, {round(segment.stop - clip.start, 2)}"
