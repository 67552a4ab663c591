"""Training records: a clip, words in its place, or neither."""

from __future__ import annotations

from typing import Any

import pytest

from llavaction.base.errors import InputError
from llavaction.curation.records import TrainingRecord

CLIP = {"video_id": "v", "start": 0.0, "stop": 1.0}


def _record(asked: str, **values: Any) -> TrainingRecord:
    talk = [{"role": "user", "content": asked}, {"role": "assistant", "content": "B"}]
    return TrainingRecord.from_mapping({"record_id": "r", "task": "t", "messages": talk, **values})


def test_words_stand_in_for_a_clip() -> None:
    record = _record("<video>\nWhat?", words="take plate")
    assert record.clip is None
    assert TrainingRecord.from_mapping(record.model_dump(mode="json")) == record
    assert _record("<video>\nWhat?", clip=CLIP).words is None
    assert _record("What?").words is None


@pytest.mark.parametrize(
    ("asked", "values", "message"),
    [
        ("What?", {"words": "take plate"}, "stands 0 times in the messages of a record with words"),
        ("<video><video>", {"words": "take plate"}, "stands 2 times in the messages of a record with words"),
        ("<video>", {"words": " "}, "must not be empty"),
        ("<video>", {"words": "take plate", "clip": CLIP}, "a clip or words that stand in for it, not both"),
        ("<video>", {}, "stands 1 times in the messages of a record with no clip"),
        ("What?", {"clip": CLIP}, "stands 0 times in the messages of a record with a clip"),
    ],
)
def test_records_that_are_refused(asked: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _record(asked, **values)
