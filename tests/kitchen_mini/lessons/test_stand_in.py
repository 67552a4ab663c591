"""Words in place of clips: the same conversations, the label for the video, and other things in sight."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from helpers.kitchen_days import material
from kitchen_mini.lessons.stand_in import StandIn, StandInSettings
from llavaction.base.errors import InputError
from llavaction.curation.material import Material
from llavaction.curation.records import TrainingRecord
from llavaction.curation.tasks import Task, task_class, task_settings
from llavaction.datasets.epic_kitchens import EpicKitchens

CHOICE = {"task": "hard_action_recognition"}


def _told(made: Material, of: dict[str, Any], **settings: Any) -> StandIn:
    values = {"task": "stand_in", "name": "told", "of": of} | settings
    return StandIn(StandInSettings.from_mapping(values), made)


def _seen(made: Material, of: dict[str, Any]) -> Task:
    return task_class(of["task"])(task_settings({"name": "told", **of}), made)


@pytest.mark.parametrize(
    "of", [CHOICE, {"task": "part_choice", "part": "verb", "options": 3}], ids=lambda of: of["task"]
)
def test_a_label_stands_in_for_the_clip(kitchen: EpicKitchens, of: dict[str, Any]) -> None:
    made = material(kitchen)
    told, seen = _told(made, of), _seen(made, of)
    for segment in made.table:
        assert told.refusal(segment) == seen.refusal(segment)
        if seen.refusal(segment):
            continue
        record, plain = told.record(segment, 0), seen.record(segment, 0)
        same = {"messages", "record_id", "task", "provenance"}
        assert record.model_dump(include=same) == plain.model_dump(include=same)
        assert (record.clip, record.labels) == (None, None)
        if of is CHOICE:
            options = record.messages[0].content.splitlines()[2:-1]
            assert options["ABCDE".index(record.messages[1].content)][3:] == record.words
        if segment.segment_id == "P09_01_1":
            assert record.words == "cut onion"  # whatever was narrated


def test_a_label_stands_in_for_the_narrated_clip(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    segment = made.table["P09_01_1"]
    for answer, wanted in (("narration", "slice onion with knife"), ("label", "cut onion")):
        record = _told(made, {"task": "direct_narration", "answer": answer}).record(segment, 0)
        assert (record.clip, record.words, record.labels) == (None, "cut onion", None)
        assert record.messages[0].content.startswith("<video>\n")
        assert record.messages[1].content == wanted


def test_names_of_other_things_stand_before_the_clip(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    plain, cluttered, again = (_told(made, CHOICE, clutter=most) for most in (0, 6, 6))
    verbs = {made.vocabulary.verb_name(verb) for verb in made.vocabulary.verbs}
    nouns = {made.vocabulary.noun_name(noun) for noun in made.vocabulary.nouns}
    names = re.compile("|".join(sorted(map(re.escape, verbs | nouns), key=len, reverse=True)))
    counts: Counter[int] = Counter()
    said: Counter[str] = Counter()
    for segment in made.table:
        record = cluttered.record(segment, 0)
        assert TrainingRecord.from_mapping(record.model_dump()) == record == again.record(segment, 0)
        before, mark, after = record.messages[0].content.partition("\n<video>\n")
        assert mark and f"<video>\n{after}" == plain.record(segment, 0).messages[0].content
        assert record.messages[1] == plain.record(segment, 0).messages[1]
        words = names.findall(before)
        assert " ".join(words) == before
        counts[len(words)] += 1
        said.update(words)
    assert set(counts) == set(range(1, 7)) and max(counts.values()) < 3 * min(counts.values())
    assert set(said) == verbs | nouns and max(said.values()) < 4 * min(said.values())
    first = made.table["P09_01_1"]
    assert cluttered.record(first, 0).messages[0] != cluttered.record(first, 1).messages[0]


@pytest.mark.parametrize(
    ("of", "settings", "message"),
    [
        ({"task": "temporal_detection"}, {}, "task 'temporal_detection' needs the clip itself"),
        ({"task": "prior_actions"}, {}, "task 'prior_actions' needs the clip itself"),
        ({"task": "stand_in", "of": CHOICE}, {}, "task 'stand_in' needs the clip itself"),
        (CHOICE, {"clutter": -1}, "clutter"),
        ({**CHOICE, "optoins": 3}, {}, "of: .*did you mean 'options'"),
        ({**CHOICE, "weight": 2}, {}, "'weight' stands beside 'of', not within it"),
    ],
)
def test_what_is_refused(kitchen: EpicKitchens, of: dict[str, Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _told(material(kitchen), of, **settings)
