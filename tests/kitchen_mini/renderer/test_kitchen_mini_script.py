"""What happens in kitchen_mini makes sense, and covers its classes with a long tail."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from helpers.kitchen_mini_scenes import small
from kitchen_mini.renderer.goals import plan
from kitchen_mini.renderer.script import scripts, unseen_participants
from kitchen_mini.renderer.state import AWAY, HAND, ON_BOARD, SPOTS_INSIDE, State, Step
from kitchen_mini.renderer.world import ACTIONS, NOUNS, VERBS, allows, spoken


@pytest.fixture(scope="module")
def stays() -> list[tuple[State, list[Step]]]:
    return [plan(6, np.random.default_rng(index)) for index in range(1500)]


def check(state: State, step: Step) -> None:
    """What must hold before a step."""
    verb, noun, place = step.verb, step.noun, state.place
    assert allows(noun, verb)
    assert len(state.held()) <= 2
    if verb == "take":
        assert place[noun] == step.spot not in (HAND, AWAY)
        assert len(state.held()) <= 1
        assert "." not in step.spot or step.spot.split(".")[0] in state.opened
    elif verb == "put":
        assert place[noun] == HAND
        assert step.to not in state.occupied() or step.to in ("pan", "bowl", "cup")
        assert "." not in step.to or step.to.split(".")[0] in state.opened
    elif verb == "move":
        assert place[noun] == step.spot
        assert step.to not in state.occupied()
    elif verb in ("open", "close"):
        thing = step.spot if step.spot in SPOTS_INSIDE else noun
        assert (thing in state.opened) == (verb == "close")
    elif verb in ("turn-on", "turn-off"):
        assert (noun in state.running) == (verb == "turn-off")
    elif verb in ("cut", "peel"):
        assert place[noun] == ON_BOARD
        assert state.held() == ["knife"]
    elif verb == "mix":
        assert state.held() == ["spoon"]
        assert step.partner in state.content or noun in state.content
    elif verb == "wash" and noun in place:
        assert place[noun] == HAND
        assert "tap" in state.running
    elif verb in ("pour", "shake", "squeeze"):
        assert place[noun] == HAND
        assert not step.partner or place[step.partner] not in (HAND, AWAY)


def test_every_step_is_possible_when_it_is_done(stays: list[tuple[State, list[Step]]]) -> None:
    for start, steps in stays:
        state = start.copy()
        for step in steps:
            check(state, step)
            state.apply(step)


def test_classes_are_covered_with_a_long_tail(stays: list[tuple[State, list[Step]]]) -> None:
    counts = Counter((step.verb, step.noun) for _, steps in stays for step in steps)
    assert len(ACTIONS) == 129
    assert len(counts) >= 118
    assert {verb for verb, _ in counts} == {verb.key for verb in VERBS}
    assert {noun for _, noun in counts} == {noun.key for noun in NOUNS}
    ordered = sorted(counts.values(), reverse=True)
    total = sum(ordered)
    assert 0.3 < sum(ordered[:13]) / total < 0.7
    assert sum(ordered[len(ordered) // 2 :]) / total < 0.15


def test_each_noun_goes_with_several_verbs() -> None:
    for noun in NOUNS:
        assert len(noun.verbs) >= 2


def test_same_seed_same_scripts_and_other_splits_stay() -> None:
    few, many = scripts(small(), 3), scripts(small(train_videos=9), 3)
    assert few == scripts(small(), 3)
    assert few != scripts(small(), 4)

    def test_events(found: list) -> list:
        return [script.events for script in found if script.split == "test"]

    assert test_events(few) == test_events(many)


def test_unseen_people_occur_in_their_split_only() -> None:
    settings = small(train_videos=20, validation_videos=10, test_videos=10)
    found = scripts(settings, 0)
    cast = {split: [s.participant_id for s in found if s.split == split] for split in ("train", "validation", "test")}
    assert unseen_participants(settings, "validation") == ["P09", "P10"]
    assert unseen_participants(settings, "test") == ["P11", "P12", "P13", "P14"]
    assert set(cast["train"]) == {f"P{number:02d}" for number in range(1, 9)}
    for split, others in (("validation", "test"), ("test", "validation")):
        unseen = set(unseen_participants(settings, split))
        assert sum(name in unseen for name in cast[split]) == 4
        assert not unseen & (set(cast["train"]) | set(cast[others]))
    assert len({script.video_id for script in found}) == 40


def test_no_unseen_people_where_none_are_wanted() -> None:
    found = scripts(small(unseen_test_participants=0, unseen_validation_participants=0), 0)
    assert {script.participant_id for script in found} <= {f"P{number:02d}" for number in range(1, 9)}


def test_phrases_are_spoken_in_word_order() -> None:
    assert spoken("board:chopping") == "chopping board"
    assert spoken("pick-up") == "pick up"
    assert spoken("plate") == "plate"
