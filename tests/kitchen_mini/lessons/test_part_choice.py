"""Which verb, which object: options of one kind, none of them true but one, each drawn as often."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from helpers.kitchen_days import material
from kitchen_mini.lessons.part_choice import QUESTIONS, PartChoice, PartChoiceSettings
from llavaction.base.errors import InputError
from llavaction.curation.tasks import task_class
from llavaction.datasets.epic_kitchens import EpicKitchens


def _task(kitchen: EpicKitchens, **settings: Any) -> PartChoice:
    values = {"task": "part_choice", "name": "part"} | settings
    return PartChoice(PartChoiceSettings.from_mapping(values), material(kitchen, predictions=None))


@pytest.mark.parametrize("part", ["verb", "noun"])
def test_the_letter_is_that_of_the_label(kitchen: EpicKitchens, part: str) -> None:
    task = _task(kitchen, part=part, options=3)
    made = task.material
    label_of = made.vocabulary.verb_name if part == "verb" else made.vocabulary.noun_name
    known = {action[0 if part == "verb" else 1] for action in made.vocabulary.counts["train"]}
    letters: Counter[str] = Counter()
    drawn: Counter[int] = Counter()
    for segment in made.table:
        if task.refusal(segment):
            continue
        record = task.record(segment, 0)
        own = segment.verb_class if part == "verb" else segment.noun_class
        options, answer = record.provenance["options"], record.messages[1].content
        assert options["ABC".index(answer)] == own
        assert len(set(options)) == 3
        assert known.issuperset(options)
        assert record.messages[0].content.splitlines() == [
            "<video>",
            QUESTIONS[part],
            *(f"{letter}. {label_of(label)}" for letter, label in zip("ABC", options, strict=True)),
            "Answer with the option's letter.",
        ]
        assert record.clip == segment.clip
        assert record.labels.verb == segment.verb_class
        letters[answer] += 1
        drawn.update(label for label in options if label != own)
    assert sum(letters.values()) > 200
    assert max(letters.values()) < 1.6 * min(letters.values())
    assert max(drawn.values()) < 2.5 * min(drawn.values())


def test_further_nouns_and_overlapping_segments_give_no_distractor(kitchen: EpicKitchens) -> None:
    for name, part, true in (
        ("P09_01_1", "noun", {"onion", "knife"}),
        ("P09_01_3", "noun", {"pan", "plate"}),
        ("P09_01_3", "verb", {"wash", "take"}),
    ):
        task = _task(kitchen, part=part, options=3)
        segment = task.material.table[name]
        for turn in range(40):
            lines = task.record(segment, turn).messages[0].content.splitlines()[2:-1]
            assert len(true.intersection(line[3:] for line in lines)) == 1


def test_what_cannot_be_asked(kitchen: EpicKitchens) -> None:
    task = _task(kitchen, part="verb", options=26)
    assert {task.refusal(segment) for segment in task.material.table} == {"too few distractors"}
    with pytest.raises(InputError, match="part"):
        PartChoiceSettings.from_mapping({"task": "part_choice"})
    assert task_class("part_choice") is PartChoice
