from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from helpers.evaluation_fakes import make_benchmark
from llavaction.backends.asking import choose
from llavaction.base.errors import InputError
from llavaction.evaluation.predictions import (
    PREDICTIONS,
    Prediction,
    failed,
    probabilities,
    read_predictions,
    scored,
)
from llavaction.runs.journal import Journal

QUESTIONS = make_benchmark().questions


def test_the_record_alone_tells_the_choice() -> None:
    prediction = scored(QUESTIONS[0], choose(np.array([-3.0, -1.00000049, -1.0, -2.0])), "option letters")
    assert prediction.scores == (-3.0, -1.0, -1.0, -2.0)
    assert prediction.choice == 1  # equal once rounded: the first
    assert prediction.margin == 0.0
    assert sum(probabilities(prediction)) == pytest.approx(1)


def test_minus_infinity_is_written_as_a_number() -> None:
    sure = scored(QUESTIONS[0], choose(np.array([-np.inf, 0.0, -np.inf, -np.inf])), "oracle")
    assert (sure.choice, sure.margin) == (1, 1e6)
    json.loads(sure.model_dump_json(), parse_constant=pytest.fail)


def test_status_and_choice_must_agree() -> None:
    with pytest.raises(ValidationError, match="does not go with"):
        Prediction(question_id="q", video_id="v", answer=0, parse_status="scored", decision_rule="x")


def test_a_question_answered_twice_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / PREDICTIONS, Prediction, "question_id") as journal:
        journal.append([failed(QUESTIONS[0], "x", "a"), failed(QUESTIONS[0], "x", "b")])
    with pytest.raises(InputError, match=r"jsonl:2: question id .* twice"):
        read_predictions(tmp_path)
