"""Segments and the candidates that a specialist proposes for them, for the tests of recognition."""

from __future__ import annotations

from helpers.evaluation_fakes import NOUNS, VERBS
from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import ActionVocabulary, LabelClass
from llavaction.recognition.runner import RecognitionConfig
from llavaction.specialists.predictions import SpecialistPrediction

CONFIG = RecognitionConfig(
    annotations="a", split="test", predictions="p.jsonl", backend="fake", candidates=3, batch_size=3
)
SEGMENTS = [
    Segment(
        segment_id=f"P0{number // 6 + 1}_01_{number}",
        video_id=f"P0{number // 6 + 1}_01",
        participant_id=f"P0{number // 6 + 1}",
        start=float(number),
        stop=number + 1.5,
        narration="",
        verb_class=number % 5,
        noun_class=number % 4,
    )
    for number in range(24)
]
VOCABULARY = ActionVocabulary.from_segments(
    [LabelClass(id=i, key=key) for i, key in enumerate(VERBS)],
    [LabelClass(id=i, key=key) for i, key in enumerate(NOUNS)],
    {"train": SEGMENTS},
)


def ranking(segment: Segment, place: int) -> SpecialistPrediction:
    """The right action at the given place of four; place 3 is behind the three candidates.

    The wrong ones have, in this order: the right verb, the right noun, neither.
    """
    verb, noun = segment.action
    actions = [(verb, (noun + 1) % 4), ((verb + 1) % 5, noun), ((verb + 1) % 5, (noun + 1) % 4)]
    actions.insert(place, segment.action)
    return SpecialistPrediction(segment_id=segment.segment_id, actions=tuple(actions), scores=(0.4, 0.3, 0.2, 0.1))


PREDICTIONS = {segment.segment_id: ranking(segment, i % 4) for i, segment in enumerate(SEGMENTS)}
