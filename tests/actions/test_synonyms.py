from __future__ import annotations

from pathlib import Path

import pytest

from helpers.annotation_files import random_rows, write_annotations
from llavaction.actions.synonyms import Synonyms
from llavaction.actions.vocabulary import ActionVocabulary, LabelClass
from llavaction.base.errors import InputError
from llavaction.base.text import same_when_read
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.questions.builder import build_benchmark
from llavaction.questions.config import BuildConfig
from llavaction.questions.schema import Option, Question


def test_classes_that_read_alike_are_synonyms() -> None:
    verbs = [LabelClass(id=i, key=key) for i, key in enumerate(("turn", "turn on", "Turn", "wash"))]
    nouns = [
        LabelClass(id=i, key=key)
        for i, key in enumerate(("plate", "Plate", "board:chopping", "chopping  board", "light", "on light"))
    ]
    vocabulary = ActionVocabulary(
        {label.id: label for label in verbs},
        {label.id: label for label in nouns},
        ((0, 5), (1, 4), (3, 0), (3, 1), (3, 4)),
    )
    synonyms = Synonyms(vocabulary)
    assert synonyms.nouns(0) >= {0, 1}
    assert synonyms.nouns(2) >= {2, 3}
    assert synonyms.verbs(0) >= {0, 2}
    assert (1, 4) in synonyms.also_true((0, 5))  # "turn on light" either way
    assert (3, 1) in synonyms.also_true((3, 0))
    assert (3, 4) not in synonyms.also_true((3, 0))
    assert synonyms.read_alike((3, 0), (3, 1))
    assert not synonyms.read_alike((3, 0), (3, 4))


@pytest.mark.parametrize("miner", ["random", "exchangeable"])
@pytest.mark.parametrize("text", ["clean", "clean-narrations", "paper"])
def test_no_question_has_two_options_that_read_the_same(tmp_path: Path, miner: str, text: str) -> None:
    rows = {
        "validation": random_rows(6, 40, 0),
        "train": [row.replace("take", "Take") for row in random_rows(6, 40, 1)],
    }
    folder = write_annotations(tmp_path, rows)
    path = folder / "EPIC_100_noun_classes.csv"
    changed = path.read_text().replace("5,pan,", "5,Plate,").replace("8,onion,", '8,"chopping board ",')
    path.write_text(changed)
    dataset = EpicKitchens(folder)
    alike = [(remark.line, remark.what) for remark in dataset.remarks]
    assert alike == [
        (7, "class 5 reads like class 0 ('Plate'); no question offers both"),
        (10, "class 8 reads like class 1 ('chopping board'); no question offers both"),
    ]
    made = build_benchmark(dataset, BuildConfig(split="validation", miner=miner, text=text, options=4))
    assert len(made.questions) > 200
    for question in made.questions:
        texts = [same_when_read(option.text) for option in question.options]
        assert len(set(texts)) == 4
    offered = {option.action[1] for question in made.questions for option in question.options}
    assert {0, 5, 1, 8} <= offered


def test_a_question_with_two_such_options_is_no_question() -> None:
    values = {
        "question_id": "q",
        "clip": {"video_id": "v", "start": 0, "stop": 1},
        "question": "?",
        "options": [Option(text="take plate"), Option(text="Take  plate")],
        "answer": 0,
        "provenance": {"miner": "m", "text_pool": "t"},
    }
    with pytest.raises(InputError, match="two options have the same text"):
        Question.from_mapping(values)
