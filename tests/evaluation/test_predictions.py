from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_fakes import make_benchmark
from pydantic import ValidationError

from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.locks import RunLockedError
from llavaction.evaluation.predictions import (
    Prediction,
    PredictionJournal,
    failed,
    probabilities,
    read_predictions,
    scored,
)

QUESTIONS = make_benchmark().questions


def test_the_record_alone_tells_the_choice() -> None:
    prediction = scored(QUESTIONS[0], np.array([-3.0, -1.00000049, -1.0, -2.0]), "option letters")
    assert prediction.scores == (-3.0, -1.0, -1.0, -2.0)
    assert prediction.choice == 1  # equal once rounded: the first
    assert prediction.margin == 0.0
    assert sum(probabilities(prediction)) == pytest.approx(1)


def test_minus_infinity_is_written_as_a_number_and_nan_fails() -> None:
    sure = scored(QUESTIONS[0], np.array([-np.inf, 0.0, -np.inf, -np.inf]), "oracle")
    assert (sure.choice, sure.margin) == (1, 1e6)
    json.loads(sure.model_dump_json(), parse_constant=pytest.fail)
    broken = scored(QUESTIONS[0], np.array([0.0, np.nan, 0.0, 0.0]), "option letters")
    assert (broken.parse_status, broken.choice) == ("failed", None)
    assert "nan" in str(broken.error)


def test_a_wrong_number_of_scores_is_the_backends_fault() -> None:
    with pytest.raises(LlavactionError, match=r"shape \(3,\).*4 options"):
        scored(QUESTIONS[0], np.zeros(3), "option letters")


def test_status_and_choice_must_agree() -> None:
    with pytest.raises(ValidationError, match="does not go with"):
        Prediction(question_id="q", video_id="v", answer=0, parse_status="scored", decision_rule="x")


def test_a_half_written_line_is_cut_off(tmp_path: Path) -> None:
    with PredictionJournal(tmp_path) as journal:
        journal.append([failed(question, "x", "broken") for question in QUESTIONS[:3]])
    path = tmp_path / "predictions.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert len(read_predictions(tmp_path)) == 2
    with PredictionJournal(tmp_path) as journal:
        assert list(journal.done) == [question.question_id for question in QUESTIONS[:2]]
        journal.append([failed(QUESTIONS[2], "x", "broken")])
    assert path.read_bytes() == whole


def test_a_damaged_finished_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_text('{"question_id": "a"}\n')
    with pytest.raises(InputError, match=r"predictions.jsonl:1: .*video_id"), PredictionJournal(tmp_path):
        pass
    with pytest.raises(InputError, match=r"predictions.jsonl:1"), PredictionJournal(tmp_path):
        pass  # the lock was given back, the complaint is the same


def test_only_one_writer(tmp_path: Path) -> None:
    second = PredictionJournal(tmp_path)
    with PredictionJournal(tmp_path), pytest.raises(RunLockedError, match="another process is writing"):
        second.__enter__()
    with PredictionJournal(tmp_path) as journal:
        assert journal.done == {}


def test_rewriting_keeps_the_journal_open(tmp_path: Path) -> None:
    records = [failed(question, "x", "broken") for question in QUESTIONS[:3]]
    with PredictionJournal(tmp_path) as journal:
        journal.append(records)
        journal.rewrite(reversed(records[:2]))
        journal.append([records[2]])
    assert [p.question_id for p in read_predictions(tmp_path)] == [records[i].question_id for i in (1, 0, 2)]


def test_a_question_answered_twice_is_refused(tmp_path: Path) -> None:
    with PredictionJournal(tmp_path) as journal:
        journal.append([failed(QUESTIONS[0], "x", "a"), failed(QUESTIONS[0], "x", "b")])
    with pytest.raises(InputError, match=r"jsonl:2: question id .* twice"):
        read_predictions(tmp_path)
