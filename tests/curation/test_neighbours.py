"""What came before: the published look-up, and what is not copied of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.kitchen_days import material
from llavaction.actions.segments import Segment, SegmentTable
from llavaction.base.errors import InputError
from llavaction.curation.neighbours import offset, preceding_pairs, prior_actions, successors
from llavaction.datasets.epic_kitchens import EpicKitchens


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "golden/text/lookup.json").read_text())


@pytest.fixture(scope="module")
def validation(shared: Path) -> EpicKitchens:
    return EpicKitchens(shared / "data/ek100")


def _published(segment: Segment, pair: tuple[Segment, Segment], words: Any) -> dict[str, Any]:
    def uid(one: Segment) -> str:
        return f"{one.participant_id}-{one.video_id}_{one.start}_{one.stop}"

    facts: dict[str, Any] = {}
    for name, earlier in zip(("prev2", "prev1"), pair, strict=True):
        facts |= {
            f"{name}_narration": words(earlier),
            f"{name}_offset": offset(segment, earlier),
            f"{name}_start": earlier.start,
            f"{name}_end": earlier.stop,
            f"{name}_uid": uid(earlier),
        }
    return facts | {
        "cur_narration": words(segment),
        "cur_start": segment.start,
        "cur_end": segment.stop,
        "cur_uid": uid(segment),
    }


@pytest.mark.parametrize("naming", ["GT_random_narration", "official_key"])
def test_the_published_look_up(golden: dict[str, Any], validation: EpicKitchens, naming: str) -> None:
    table, vocabulary = validation.segments("validation"), validation.vocabulary

    def words(one: Segment) -> str:
        return one.narration if naming == "GT_random_narration" else vocabulary.action_name(one.action)

    case = golden[f"{naming}|base"]
    pairs = preceding_pairs(table)
    assert len(pairs) == case["n"]
    found = [_published(table[name], pair, words) for name, pair in list(pairs.items())[:20]]
    assert found == [facts for _, facts in case["first20"]]


def test_the_published_look_up_of_predicted_actions(golden: dict[str, Any], validation: EpicKitchens) -> None:
    table = validation.segments("validation")
    row = {segment.segment_id: number for number, segment in enumerate(table)}
    case = golden["GT_random_narration|temporal_cot_pseudo"]
    pairs = preceding_pairs(table)
    assert len(pairs) == case["n"]
    for (name, pair), (_, facts) in zip(pairs.items(), case["first5"], strict=False):
        told = prior_actions(table[name], pair, lambda one: f"pred {row[one.segment_id]}")
        assert [(action.narration, action.offset) for action in told] == [
            (facts[f"{which}_narration"], facts[f"{which}_offset"]) for which in ("prev2", "prev1")
        ]


@pytest.mark.parametrize("gap", [0, 1, 10])
def test_the_published_look_up_with_other_gaps(golden: dict[str, Any], validation: EpicKitchens, gap: int) -> None:
    pairs = preceding_pairs(validation.segments("validation"), gap)
    assert len(pairs) == golden[f"GT_random_narration|base|delta={gap}"]["n"]


def test_offsets_that_are_not_positive_are_known_and_not_told(golden: dict[str, Any], validation: EpicKitchens) -> None:
    table = validation.segments("validation")
    offsets = [[offset(table[name], one) for one in pair] for name, pair in preceding_pairs(table).items()]
    counts = golden["negative_or_zero_offsets"]
    assert sum(second <= 0 for _, second in offsets) == counts["prev1"]
    assert sum(first <= 0 for first, _ in offsets) == counts["prev2"]
    assert sum(first < second for first, second in offsets) == counts["prev2_less_than_prev1"]
    told = [
        prior_actions(table[name], pair, lambda one: one.narration) for name, pair in preceding_pairs(table).items()
    ]
    assert sum(not story for story in told) == sum(min(both) <= 0 for both in offsets) > 200
    assert min(action.offset for story in told for action in story) > 0


def test_pairs_go_by_the_end_and_need_small_gaps(kitchen: EpicKitchens) -> None:
    table = kitchen.segments("train")
    pairs = preceding_pairs(SegmentTable(table.of_video("P09_01")))
    ids = {name: [one.segment_id for one in pair] for name, pair in pairs.items()}
    assert ids == {
        "P09_01_2": ["P09_01_0", "P09_01_1"],
        "P09_01_4": ["P09_01_1", "P09_01_2"],
        "P09_01_3": ["P09_01_2", "P09_01_4"],  # 4 ends before 3, although it begins later
    }
    told = prior_actions(table["P09_01_2"], pairs["P09_01_2"], lambda one: one.narration)
    assert [(action.narration, action.offset) for action in told] == [
        ("grab knife", 5.0),
        ("slice onion with knife", 3.5),
    ]
    assert prior_actions(table["P09_01_3"], pairs["P09_01_3"], lambda one: one.narration) == ()


def test_what_follows_overlaps_nothing(kitchen: EpicKitchens) -> None:
    found = successors(SegmentTable(kitchen.segments("train").of_video("P09_01")))
    assert {name: one.segment_id for name, one in found.items()} == {"P09_01_0": "P09_01_1", "P09_01_1": "P09_01_2"}


def test_a_class_that_is_not_in_the_vocabulary(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    segment = made.table["P09_01_0"].model_copy(update={"verb_class": 99})
    with pytest.raises(InputError, match=r"of class \(99, 2\) \(verb 99 knife\)"):
        made.labels(segment)
