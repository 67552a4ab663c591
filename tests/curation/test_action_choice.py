"""Multiple choice: where distractors come from, what is told, what is answered."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from helpers.kitchen_days import material, predictions
from llavaction.base.errors import InputError
from llavaction.curation.action_choice import (
    ActionChoice,
    ActionChoiceAfterPrior,
    ActionChoiceAfterPriorSettings,
    ActionChoiceSettings,
)
from llavaction.curation.material import Material
from llavaction.datasets.epic_kitchens import EpicKitchens


def _task(made: Material, **settings: Any) -> ActionChoice:
    values = {"task": "hard_action_recognition", "name": "h"} | settings
    return ActionChoice(ActionChoiceSettings.from_mapping(values), made)


def test_distractors_are_among_the_best_and_none_is_true(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    task = _task(made, options=4)
    drawn: Counter[int] = Counter()
    answers: Counter[str] = Counter()
    for segment in made.table:
        record = task.record(segment, 0)
        options = [tuple(action) for action in record.provenance["options"]]
        assert options.count(segment.action) == 1
        others = [action for action in options if action != segment.action]
        allowed = [a for a in made.predictions[segment.segment_id].actions if made.truth.reason(segment, a) is None]
        places = [allowed.index(action) for action in others]
        assert len(set(places)) == 3
        assert max(places) < 8
        drawn.update(places)
        answer = record.messages[1].content
        assert options["ABCD".index(answer)] == segment.action
        answers[answer] += 1
        lines = record.messages[0].content.splitlines()
        assert lines[0] == "<video>"
        assert lines[1 + "ABCD".index(answer) + 1] == f"{answer}. {made.vocabulary.action_name(segment.action)}"
        assert record.labels is not None
        assert record.labels.action == made.vocabulary.action_id(segment.action)
    assert set(drawn) == set(range(8))
    assert max(drawn.values()) < 1.6 * min(drawn.values())
    assert max(answers.values()) < 1.6 * min(answers.values())


def test_a_pool_of_its_own_size(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    task = _task(made, options=3, pool=2)
    segment = made.table["P09_01_0"]
    best = [a for a in made.predictions[segment.segment_id].actions if made.truth.reason(segment, a) is None][:2]
    for turn in range(5):
        options = {tuple(action) for action in task.record(segment, turn).provenance["options"]}
        assert options == {segment.action, *best}
    with pytest.raises(InputError, match="pool of 1 is too small for 3 options"):
        _task(made, options=3, pool=1)


@pytest.mark.parametrize("miner", ["random", "exchangeable"])
def test_miners_that_need_no_specialist(kitchen: EpicKitchens, miner: str) -> None:
    made = material(kitchen, predictions=None)
    task = _task(made, miner=miner)
    usable = [segment for segment in made.table if task.refusal(segment) is None]
    assert len(usable) == len(made.table)
    used = Counter(
        action
        for segment in usable
        for action in map(tuple, task.record(segment, 0).provenance["options"])
        if action != segment.action
    )
    assert sum(used.values()) == 4 * len(usable)
    assert len(used) > 20


def test_published_prompts_and_answers(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    record = _task(made, prompt="published", text="paper").record(made.table["P09_01_1"], 0)
    prompt, answer = (message.content for message in record.messages)
    assert prompt.startswith("<video>\nYou are seeing this video from egocentric view and you are the person.")
    assert "Here are the options of actions you are selecting:\nA. " in prompt
    assert answer[1:] == ". slice onion with knife"
    assert answer in prompt


def test_prior_actions_are_told_as_often_as_asked(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    task = _task(made, prior_probability=0.3, text="paper")
    told, possible = 0, 0
    for segment in made.table:
        if _task(made, prior_probability=1.0).record(segment, 0).provenance["prior_actions"]:
            possible += 1
            for turn in range(3):
                told += task.record(segment, turn).provenance["prior_actions"] == 2
    assert possible > 150
    assert 0.24 < told / (3 * possible) < 0.36
    always = _task(made, prior_probability=1.0, text="paper").record(made.table["P09_01_2"], 0)
    lines = always.messages[0].content.splitlines()
    assert lines[1] == "5.0 seconds before this clip, this began: grab knife."
    assert lines[2] == "3.5 seconds before this clip, this began: slice onion with knife."


def test_the_task_of_prior_actions(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    settings = {"task": "prior_actions", "name": "p", "prompt": "published", "text": "paper"}
    task = ActionChoiceAfterPrior(ActionChoiceAfterPriorSettings.from_mapping(settings), made)
    reasons = {s.segment_id: task.refusal(s) for s in made.table.of_video("P09_01")}
    assert reasons["P09_01_2"] is None
    assert reasons["P09_01_0"] == reasons["P09_01_3"] == reasons["P09_01_5"] == "nothing close before"
    prompt = task.record(made.table["P09_01_2"], 0).messages[0].content
    assert (
        "\n5.0 seconds ago, you started an action grab knife. 3.5 seconds ago, you started an action slice onion with "
        "knife. What action are you currently performing? Here are the options of actions you can select:\nA. "
    ) in prompt


def test_prior_actions_as_the_specialist_sees_them(kitchen: EpicKitchens) -> None:
    made = material(kitchen)
    task = _task(made, prior_probability=1.0, prior_source="predictions", miner="random")
    lines = task.record(made.table["P09_01_2"], 0).messages[0].content.splitlines()
    first = made.vocabulary.action_name(made.predictions["P09_01_0"].actions[0])
    assert lines[1] == f"5.0 seconds before this clip, this began: {first}."


def test_segments_without_a_prediction(kitchen: EpicKitchens) -> None:
    known = predictions(kitchen)
    del known["P09_01_0"], known["P09_01_4"]
    made = material(kitchen, predictions=known)
    with pytest.raises(InputError, match=f"no prediction for 2 of {len(made.table)} segments, e.g. P09_01_0"):
        _task(made).refusal(made.table["P09_01_1"])
    task = _task(made, without_prediction="leave_out")
    assert [s.segment_id for s in made.table if task.refusal(s)] == ["P09_01_0", "P09_01_4"]
    assert task.refusal(made.table["P09_01_0"]) == "no prediction"
    with pytest.raises(InputError, match="needs out-of-fold predictions"):
        _task(material(kitchen, predictions=None))


def test_too_many_options(kitchen: EpicKitchens) -> None:
    known = {name: p.model_copy(update={"actions": p.actions[:3]}) for name, p in predictions(kitchen).items()}
    task = _task(material(kitchen, predictions=known))
    assert {task.refusal(segment) for segment in task.material.table} == {"too few distractors"}
