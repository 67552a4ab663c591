"""Narrations, captions, free-form questions: true, varied, and not to be guessed from the question."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from helpers.kitchen_days import material
from llavaction.actions.segments import Clip
from llavaction.base.registry import resolve
from llavaction.curation.caption import DOUBLE, REQUESTS, SINGLE, Caption, CaptionSettings
from llavaction.curation.material import Material
from llavaction.curation.open_qa import QUESTIONS
from llavaction.curation.tasks import TASKS, Task
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.datasets.registry import open_annotations
from llavaction.questions.prompts import QUESTION, multiple_choice_prompt
from llavaction.questions.schema import Option, Provenance, Question


def _task(kitchen: EpicKitchens, name: str, **settings: Any) -> Task:
    kind: type[Task] = resolve(TASKS, name, "task")
    values = {"task": name, "name": name} | settings
    return kind(kind.settings_class.from_mapping(values), material(kitchen))


def test_the_open_prompt_is_that_of_the_benchmarks() -> None:
    question = Question(
        question_id="q",
        clip=Clip(video_id="v", start=0, stop=1),
        question=QUESTION,
        options=(Option(text="a"), Option(text="b")),
        answer=0,
        provenance=Provenance(miner="m", text_pool="clean"),
    )
    assert multiple_choice_prompt(question, "open") == f"{QUESTION}\nAnswer in a few words."


def test_direct_narration(kitchen: EpicKitchens) -> None:
    segment = kitchen.segments("train")["P09_01_1"]
    task = _task(kitchen, "direct_narration")
    assert task.record(segment, 0).messages[1].content == "slice onion with knife"
    assert task.refusal(segment.model_copy(update={"narration": ""})) == "no narration"
    label = _task(kitchen, "direct_narration", answer="label", prompt="published_open").record(segment, 0)
    assert label.messages[1].content == "cut onion"
    assert label.messages[0].content.endswith("Give a short sentence such as 'move knife'.")


def test_captions_name_the_action_and_use_every_template(kitchen: EpicKitchens) -> None:
    task = _task(kitchen, "caption", double=0.5)
    made = task.material
    seen: Counter[str] = Counter()
    for segment in made.table:
        record = task.record(segment, 0)
        request = record.messages[0].content.removeprefix("<video>\n")
        answer = record.messages[1].content
        assert request in REQUESTS
        assert segment.narration in answer
        assert "{" not in answer
        seen[request] += 1
        assert record.clip is not None
        if record.provenance["actions"] == 2:
            following = made.successors[segment.segment_id]
            assert following.narration in answer
            assert (record.clip.start, record.clip.stop) == (segment.start, following.stop)
            assert record.labels is None
        else:
            assert record.clip == segment.clip
            assert record.labels is not None
        seen[f"actions {record.provenance['actions']}"] += 1
        seen[answer.split()[0]] += 1
    assert all(seen[request] > 30 for request in REQUESTS)
    assert 60 < seen["actions 2"] < 180
    assert all(seen[template.split()[0]] > 5 for template in (*SINGLE, *DOUBLE))
    assert seen["The"] > seen["Before"]


def test_captions_of_labels_without_nouns_speak_of_nobody(tmp_path: Path) -> None:
    rows = [f"a{i % 4},{i},{i + 1},{('groom', 'rear', 'dig')[i % 3]}" for i in range(40)]
    (tmp_path / "train.csv").write_text("video,start,stop,label\n" + "\n".join(rows) + "\n")
    dataset = open_annotations(tmp_path)
    table = dataset.segments("train")
    task = Caption(CaptionSettings(task="caption", name="c", double=0.5), Material(table, dataset.vocabulary, "train"))
    said = [message.content for segment in table for message in task.record(segment, 0).messages]
    assert not [text for text in said if "hand" in text or "person" in text or "to groom" in text]
    assert {2, 1} == {task.record(segment, 0).provenance["actions"] for segment in table}


def test_an_object_list_is_readable(kitchen: EpicKitchens) -> None:
    task = _task(kitchen, "caption", double=0)
    answers = {task.record(task.material.table["P09_01_1"], turn).messages[1].content for turn in range(20)}
    assert "The person uses onion and knife to do this: slice onion with knife." in answers
    assert len(answers) == len(SINGLE)


def test_free_form_answers_are_true(kitchen: EpicKitchens) -> None:
    task = _task(kitchen, "open_qa")
    made = task.material
    kinds: Counter[str] = Counter()
    for segment in made.table:
        for turn in range(3):
            record = task.record(segment, turn)
            kind, question, answer = record.provenance["kind"], record.messages[0].content, record.messages[1].content
            kinds[kind if kind != "occurs" else answer] += 1
            if kind == "verb":
                assert answer == made.vocabulary.verb_name(segment.verb_class)
            elif kind == "noun":
                assert answer == made.vocabulary.noun_name(segment.noun_class)
            elif kind == "order":
                assert answer == segment.narration
                assert made.successors[segment.segment_id].narration in question
                assert record.labels is None
            else:
                own = made.vocabulary.noun_name(segment.noun_class)
                assert (f"the {own} " in question or f"the {own}?" in question) == (answer == "yes")
    assert set(kinds) == {"verb", "noun", "yes", "no", "order"}
    assert min(kinds.values()) > 60
    assert 0.7 < kinds["yes"] / kinds["no"] < 1.4


def test_an_absent_object_is_neither_a_further_noun_nor_one_of_an_overlapping_segment(kitchen: EpicKitchens) -> None:
    task = _task(kitchen, "open_qa")
    table = task.material.table
    for name, involved in (("P09_01_1", {"onion", "knife"}), ("P09_01_3", {"pan", "plate"})):
        denied = set()
        for turn in range(200):
            record = task.record(table[name], turn)
            if record.provenance["kind"] == "occurs" and record.messages[1].content == "no":
                denied |= {noun for noun in involved if f" {noun} " in record.messages[0].content}
        assert not denied


def test_the_order_asked_for_does_not_tell_the_answer(kitchen: EpicKitchens) -> None:
    task = _task(kitchen, "open_qa")
    first = []
    for segment in task.material.table:
        record = task.record(segment, 0)
        if record.provenance["kind"] == "order":
            question, answer = (message.content for message in record.messages)
            other = task.material.successors[segment.segment_id].narration
            first.append(question.index(f"'{answer}'") < question.index(f"'{other}'"))
    assert len(first) > 20
    assert 0.3 < sum(first) / len(first) < 0.7


@pytest.mark.parametrize("kind", list(QUESTIONS))
def test_every_question_has_paraphrases(kind: str) -> None:
    assert len(set(QUESTIONS[kind])) >= 3
