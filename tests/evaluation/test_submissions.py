"""Answers in the form of a benchmark's server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.public_benchmarks import FILES, opened
from llavaction import api
from llavaction.base.errors import InputError
from llavaction.cli.benchmark import benchmark as command
from llavaction.evaluation.predictions import Prediction
from llavaction.evaluation.submissions import submission, write_submission
from llavaction.questions.schema import Question


def prediction(question: Question, choice: int | None) -> Prediction:
    return Prediction(
        question_id=question.question_id,
        video_id=question.clip.video_id,
        answer=question.answer,
        choice=choice,
        parse_status="unparsed" if choice is None else "parsed",
        decision_rule="test",
    )


def test_egoschema_takes_indices(tmp_path: Path) -> None:
    found = opened(tmp_path, "egoschema")
    made = [prediction(question, place) for place, question in enumerate(found.questions)]
    assert submission(found, made) == {"uid-0": 0, "uid-1": 1, "uid-2": 2}
    with pytest.raises(InputError, match="1 of 3 questions were not asked; a submission needs all"):
        submission(found, made[:2])
    with pytest.raises(InputError, match=r"1 of 3 questions have no answer, e.g. 'uid-2'(?s:.*)--retry-failed"):
        submission(found, [*made[:2], prediction(found.questions[2], None)])
    with pytest.raises(InputError, match="'NExT-QA' has no server"):
        submission(opened(tmp_path, "nextqa"), made)


def test_motionbench_takes_letters(tmp_path: Path) -> None:
    found = opened(tmp_path, "motionbench", hidden="ask")
    assert submission(found, [prediction(question, 2) for question in found.questions]) == {"m1": "C", "m2": "C"}


def test_a_run_is_submitted(tmp_path: Path) -> None:
    opened(tmp_path, "egoschema")
    result = api.evaluate(tmp_path / "mine.yaml", "chance", tmp_path / "run", say=lambda said: None)
    assert result.metrics["accuracy"] is None and result.metrics["counts"]["hidden"] == 3
    assert write_submission(tmp_path / "run", tmp_path / "answers.json") == 3
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert answers == {made.question_id: made.choice for made in result.predictions}
    (tmp_path / "mine.yaml").rename(tmp_path / "moved.yaml")
    with pytest.raises(InputError, match="benchmark is not there"):
        write_submission(tmp_path / "run", tmp_path / "answers.json")
    moved = ["--benchmark", str(tmp_path / "moved.yaml")]
    told = CliRunner().invoke(command, ["submit", str(tmp_path / "run"), "--output", str(tmp_path / "b.json"), *moved])
    assert told.exit_code == 0 and "3 answers written to" in told.output
    assert json.loads((tmp_path / "b.json").read_text()) == answers and len(FILES["egoschema"][1]()) == 3
