from __future__ import annotations

import json
from pathlib import Path

import pytest

from llavaction.evaluation.parsing import (
    parse_answer,
    parse_as_published,
    process_raw_pred,
    remove_option_letter,
)

OPTIONS = ["wash plate", "take spoon", "take wooden spoon", "cut onion", "turn-on tap"]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("A", 0),
        ("b", 1),
        (" (C)\n", 2),
        ("**D**", 3),
        ("A. wash plate", 0),
        ("A.wash plate", 0),
        ("A) Wash plate.", 0),
        ("wash plate", 0),
        ("turn on tap", 4),
        ("Option A: wash plate", 0),
        ("The answer is B. take spoon. Because I see it.", 1),
        ("Final answer: (D)", 3),
        ("answer: b", 1),
        ("The correct option is C", 2),
        ("The answer is B, not A.", 1),
        ("The answer is A because the plate is wet", 0),
        ("It's E.", 4),
        ("B\n\nExplanation: the hand reaches for it", 1),
        ("<answer>B</answer>", 1),
        ("they take wooden spoon from the drawer", 2),
    ],
)
def test_clear_answers_are_read(text: str, choice: int) -> None:
    parsed = parse_answer(text, OPTIONS)
    assert (parsed.choice, parsed.status) == (choice, "parsed"), parsed.rule


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" ...\n", "empty"),
        ("A person does something", "no option named"),
        ("The answer is a plate", "no option named"),
        ("I see vitamin C.", "no option named"),
        ("G", "no option named"),
        ("F. fly", "no option named"),
        ("A. wash plate\nB. take spoon", "several options named"),
        ("Between (A) and (B)", "several options named"),
        ("The answer is A. The answer is B.", "several options named"),
        ("cut onion or wash plate", "several options named"),
        ("A. take spoon", "letter and text disagree"),
        ("The answer is D: take spoon", "letter and text disagree"),
        ("Option A is wrong", "says what it is not"),
        ("they do not wash plate", "says what it is not"),
    ],
)
def test_unclear_answers_are_never_guessed(text: str, reason: str) -> None:
    parsed = parse_answer(text, OPTIONS)
    assert (parsed.choice, parsed.status, parsed.rule) == (None, "unparsed", reason)


def test_letters_end_with_the_options() -> None:
    assert parse_answer("C", ["yes", "no"]).status == "unparsed"
    assert parse_answer("(C) and (B)", ["yes", "no"]).choice == 1


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("C. open fridge.", "open fridge"),
        ("C.open fridge", "C.open fridge"),
        ("C. open fridge\nD. cut onion. Yes", "cut onion"),
        ("None. None. cut onion", "cut onion"),
        ("C. Nonexistent. cup", "C. Nonexistent. cup"),
        ("C. ", "C. "),
        ("C.\nopen fridge", "open fridge"),
        ("C. pour 0.5 l", "pour 0"),
    ],
)
def test_the_published_clean_up_with_its_oddities(raw: str, cleaned: str) -> None:
    assert process_raw_pred(raw) == cleaned


def test_the_published_rule_takes_only_equal_texts() -> None:
    assert parse_as_published("B. take spoon,", OPTIONS).choice == 1
    assert parse_as_published("B", OPTIONS).status == "unparsed"
    assert parse_as_published("B. Take spoon", OPTIONS).status == "unparsed"


def test_golden_answers(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "text" / "answers.json").read_text())
    assert len(golden["cases"]) > 20
    for case in golden["cases"]:
        assert process_raw_pred(case["raw"]) == case["process_raw_pred"]
        assert process_raw_pred(case["raw"].rstrip(",")) == case["after_eval_rstrip"]
    for text, bare in golden["remove_option_letter"]:
        assert remove_option_letter(text) == bare
