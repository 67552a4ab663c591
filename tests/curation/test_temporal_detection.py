"""Temporal detection against the published records, and at the ends of videos."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from helpers.kitchen_days import material
from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.curation.temporal_detection import (
    TemporalDetection,
    TemporalDetectionSettings,
    detection_prompt,
    padded,
    relative_span,
)
from llavaction.datasets.epic_kitchens import EpicKitchens


def _segment(start: float, stop: float) -> Segment:
    return Segment(
        segment_id="s", video_id="v", start=start, stop=stop, narration="take plate", verb_class=0, noun_class=0
    )


@pytest.mark.parametrize(("case", "seed", "padding"), [("seed0", 0, 5), ("seed42", 42, 5), ("seed0_delta2", 0, 2)])
def test_every_published_record_byte_by_byte(shared: Path, case: str, seed: int, padding: int) -> None:
    dataset = EpicKitchens(shared / "data/ek100")
    table = dataset.segments("validation")
    classes = ActionVocabulary.from_segments([], [], {"validation": table})  # the golden records know no other split
    draws = random.Random(seed)  # the published code draws from Python's global generator, a number a row
    records = []
    for segment in table:
        before = draws.random() * padding
        clip = padded(segment, before, padding - before)
        video = f"{segment.participant_id}-{segment.video_id}"
        records.append(
            {
                "video": video,
                "conversations": [
                    {"from": "human", "value": detection_prompt(segment.narration, segment)},
                    {"from": "gpt", "value": relative_span(segment, clip)},
                ],
                "id": video,
                "split": "train",
                "task_instruction": "",
                "num_samples": 1,
                "question_type": "temporal_detection",
                "dataset_name": "EK100",
                "start_timestamp": str(clip.start) if clip.start else "0",
                "end_timestamp": str(clip.stop),
                "verb_id": segment.verb_class,
                "noun_id": segment.noun_class,
                "action_id": classes.action_id(segment.action),
            }
        )
    golden = json.loads((shared / "golden/text/temporal.json").read_text())[case]
    shown = golden.get("first40", golden.get("first5"))
    assert records[: 2 * len(shown) : 2] == shown
    assert len(records) == golden["n"]
    assert hashlib.sha256(json.dumps(records).encode()).hexdigest() == golden["sha256"]


def test_clips_stay_within_the_video() -> None:
    assert padded(_segment(1.0, 2.0), 2.0, 1.0).model_dump() == {"video_id": "v", "start": 0.0, "stop": 3.0}
    assert padded(_segment(1.0, 2.0), 0.5, 2.5, duration=3.25).stop == 3.25
    assert padded(_segment(1.0, 2.0), 0.5, 2.5, duration=1.8).stop == 2.0  # an annotation may end after the video


def test_answers_are_relative_and_the_split_is_random(kitchen: EpicKitchens) -> None:
    durations = dict.fromkeys(kitchen.segments("train").videos, 31.5)
    task = TemporalDetection(
        TemporalDetectionSettings(task="temporal_detection", name="t"), material(kitchen, durations=durations)
    )
    shares = []
    for segment in kitchen.segments("train").of_video("P09_01"):
        record = task.record(segment, 0)
        assert record.clip is not None
        start, stop = map(float, record.messages[1].content.split(", "))
        assert record.clip.start + start == pytest.approx(segment.start, abs=0.006)
        assert record.clip.start + stop == pytest.approx(segment.stop, abs=0.006)
        assert segment.stop <= record.clip.stop <= min(segment.stop + 3.0, 31.5)
        assert record.clip.duration <= segment.stop - segment.start + 3.0 + 0.011
        assert record.labels is not None
        shares.append(start)
    assert len(set(shares)) == len(shares)
    assert record == task.record(segment, 0)
    assert record.clip != task.record(segment, 1).clip
