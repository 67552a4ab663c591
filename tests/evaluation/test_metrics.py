from __future__ import annotations

import json
import math

import numpy as np
import pytest

from helpers.evaluation_fakes import card, make_question
from llavaction.backends.asking import choose
from llavaction.base.errors import InputError
from llavaction.base.statistics import wilson
from llavaction.evaluation.metrics import compute_metrics
from llavaction.evaluation.parsing import parse_answer
from llavaction.evaluation.predictions import Prediction, failed, generated, scored
from llavaction.questions.schema import Benchmark

# verbs 0 take, 1 put, 2 open; nouns 0 plate, 1 cup
TAKE_PLATE, PUT_PLATE, TAKE_CUP, OPEN_CUP = (0, 0), (1, 0), (0, 1), (2, 1)
OPTIONS = [TAKE_PLATE, PUT_PLATE, TAKE_CUP, OPEN_CUP]
SURE = 0.7, 0.1, 0.1, 0.1


def by_hand() -> tuple[Benchmark, list[Prediction]]:
    """Six questions over two videos: two right, one wrong by verb, one wrong by noun, one unparsed, one failed."""
    questions = [
        make_question(0, "v1", OPTIONS, 0),
        make_question(1, "v1", OPTIONS, 0),
        make_question(2, "v1", OPTIONS, 0),
        make_question(3, "v2", OPTIONS, 3),
        make_question(4, "v2", OPTIONS, 2),
        make_question(5, "v2", OPTIONS[:2], 1),
    ]

    def chosen(i: int, choice: int) -> Prediction:
        shares = np.roll(SURE, choice)
        return scored(questions[i], choose(np.log(shares)), "option letters")

    texts = [option.text for option in questions[4].options]
    predictions = [
        chosen(0, 0),  # right
        chosen(1, 1),  # put plate for take plate: the noun is right
        chosen(2, 2),  # take cup for take plate: the verb is right
        chosen(3, 3),  # right
        generated(questions[4], "hm", parse_answer("hm", texts), "generated text"),
        failed(questions[5], "option letters", "damaged"),
    ]
    return Benchmark(questions, card(4)), predictions


def test_numbers_counted_by_hand() -> None:
    benchmark, predictions = by_hand()
    found = compute_metrics(benchmark, predictions)
    assert found["accuracy"]["value"] == pytest.approx(2 / 6, abs=1e-6)
    assert (found["accuracy"]["n"], found["accuracy"]["clusters"]) == (6, 2)
    assert found["accuracy"]["low"] <= wilson(2, 6)[0] + 1e-6
    assert found["chance"] == pytest.approx((5 / 4 + 1 / 2) / 6, abs=1e-6)
    assert found["counts"] == {
        "questions": 6,
        "correct": 2,
        "answered": 4,
        "unparsed": 1,
        "failed": 1,
        "with_note": 0,
        "stand_ins": 0,
        "not_asked": 0,
    }
    assert found["accuracy_of_answered"]["value"] == 0.5 and found["accuracy_of_answered"]["n"] == 4
    assert found["decision_rules"] == ["generated text", "option letters"]
    json.dumps(found, allow_nan=False)


def test_position() -> None:
    rows = compute_metrics(*by_hand())["position"]
    assert [row["letter"] for row in rows] == ["A", "B", "C", "D"]
    assert [row["answers"] for row in rows] == [3, 1, 1, 1]
    assert [row["choices"] for row in rows] == [1, 1, 1, 1]
    assert [row["accuracy"] for row in rows] == [pytest.approx(1 / 3, abs=1e-6), 0, 0, 1]


def test_verb_and_noun_of_the_choice() -> None:
    parts = compute_metrics(*by_hand())["parts"]
    assert parts["verb"]["value"] == pytest.approx(3 / 6)  # questions 0, 2, 3
    assert parts["noun"]["value"] == pytest.approx(3 / 6)  # questions 0, 1, 3
    # verbs: take twice of four (questions 0, 1, 2, 4), open once of four, put once of two
    assert parts["verb"]["chance"] == pytest.approx((4 * 2 / 4 + 1 / 4 + 1 / 2) / 6, abs=1e-6)


def test_tables_and_names_read_off_the_options() -> None:
    found = compute_metrics(*by_hand())
    assert [(row["name"], row["n"], row["correct"]) for row in found["verbs"]] == [
        ("take", 4, 1),
        ("put", 1, 0),
        ("open", 1, 1),
    ]
    assert [(row["name"], row["n"], row["correct"]) for row in found["nouns"]] == [("plate", 4, 1), ("cup", 2, 1)]
    take_plate = found["actions"][0]
    assert (take_plate["name"], take_plate["class"], take_plate["n"]) == ("take plate", [0, 0], 3)
    assert (take_plate["low"], take_plate["high"]) == pytest.approx(wilson(1, 3), abs=1e-6)


def test_names_come_from_the_vocabulary_where_there_is_one() -> None:
    class Names:
        def verb_name(self, verb: int) -> str:
            return f"V{verb}"

        def noun_name(self, noun: int) -> str:
            return f"N{noun}"

        def action_name(self, action: tuple[int, int]) -> str:
            return f"V{action[0]}N{action[1]}"

    found = compute_metrics(*by_hand(), Names())
    assert found["verbs"][0]["name"] == "V0"
    assert found["actions"][0]["name"] == "V0N0"
    assert found["confusions"]["nouns"][0]["true"] == "N0"


def test_confusions_are_of_different_classes_only() -> None:
    found = compute_metrics(*by_hand())["confusions"]
    assert found["verbs"] == [{"true": "take", "chosen": "put", "classes": [0, 1], "n": 1, "of": 3}]
    assert found["nouns"] == [{"true": "plate", "chosen": "cup", "classes": [0, 1], "n": 1, "of": 3}]


def test_margin_and_calibration() -> None:
    found = compute_metrics(*by_hand())
    assert found["margin"]["all"] == pytest.approx(math.log(7), abs=1e-5)
    assert found["margin"]["right"] == found["margin"]["wrong"]
    calibration = found["calibration"]
    assert (calibration["n"], len(calibration["bins"])) == (4, 1)
    assert calibration["bins"][0]["confidence"] == pytest.approx(0.7, abs=1e-5)
    assert calibration["error"] == pytest.approx(abs(0.7 - 2 / 4), abs=1e-5)
    gap = calibration["gap"]
    assert gap["value"] == pytest.approx(0.2, abs=1e-5)
    assert gap["low"] is None or gap["low"] < 0.2 < gap["high"]


def test_calibration_needs_log_probabilities() -> None:
    benchmark, predictions = by_hand()
    predictions[0] = scored(benchmark.questions[0], choose(np.array([5.0, 1.0, 0.0, 0.0])), "similarity")
    assert compute_metrics(benchmark, predictions)["calibration"] is None


def test_groups() -> None:
    benchmark, predictions = by_hand()
    groups = {"first video": {"v1_0", "v1_1", "v1_2", "elsewhere"}, "empty": set[str]()}
    found = compute_metrics(benchmark, predictions, groups=groups)["groups"]
    assert (found["first video"]["value"], found["first video"]["n"]) == (pytest.approx(1 / 3, abs=1e-6), 3)
    assert found["empty"] is None


def test_a_run_with_a_limit_says_what_it_left_out() -> None:
    benchmark, predictions = by_hand()
    found = compute_metrics(benchmark, predictions[:4])
    assert (found["counts"]["questions"], found["counts"]["not_asked"]) == (4, 2)
    assert found["accuracy"]["value"] == 0.5


def test_options_without_classes() -> None:
    benchmark, predictions = by_hand()
    bare = [
        question.model_copy(
            update={"options": tuple(option.model_copy(update={"action": None}) for option in question.options)}
        )
        for question in benchmark.questions
    ]
    found = compute_metrics(Benchmark(bare, benchmark.card), predictions)
    assert found["parts"] == {"verb": None, "noun": None}
    assert found["verbs"] == found["actions"] == found["confusions"]["verbs"] == []


def test_predictions_of_another_benchmark_are_refused() -> None:
    benchmark, predictions = by_hand()
    with pytest.raises(InputError, match=r"1 predictions .*'kitchen-mqa' does not hold.*'v9_0'"):
        compute_metrics(benchmark, [*predictions, failed(make_question(0, "v9", OPTIONS, 0), "x", "y")])
    with pytest.raises(InputError, match=r"'v1_0' has other options"):
        compute_metrics(benchmark, [failed(make_question(0, "v1", OPTIONS, 2), "x", "y")])
    with pytest.raises(InputError, match="two predictions"):
        compute_metrics(benchmark, [predictions[0], predictions[0]])
    with pytest.raises(InputError, match="no predictions"):
        compute_metrics(benchmark, [])
