"""Scores of answers in free words, and spans of time that answers name."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from llavaction.evaluation.open_answers.schema import WrittenAnswer
from llavaction.evaluation.open_answers.scores import SCORES, alike, edit_distance, exact, likeness, measure
from llavaction.evaluation.open_answers.spans import overlap, read_span


def written(text: str | None, *answers: str, span: tuple[float, float] | None = None, **more: str) -> WrittenAnswer:
    facts = {"question_id": "q", "video_id": "v", **more}
    return WrittenAnswer(question="what?", answers=answers, span=span, text=text, **facts)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("The event happens in the 24.3 - 30.4 seconds.", (24.3, 30.4)),
        ("24.3-30.4", (24.3, 30.4)),
        ("from 3 to 7.5 seconds", (3.0, 7.5)),
        ("It starts at 00:00:18 and ends at 00:00:23.", (18.0, 23.0)),
        ("between 1:02 and 1:10", (62.0, 70.0)),
        ("The start time for this event is 0 seconds, and the end time is 12 seconds.", (0.0, 12.0)),
        ("[3.0, 7.5]", (3.0, 7.5)),
        ("30 - 20 s", (20.0, 30.0)),
        ("5 – 9 seconds", (5.0, 9.0)),
        ("", None),
        ("I cannot tell when it happens.", None),
        ("1 - 2 seconds, or 5 - 6 seconds", None),
        ("It begins at 4 seconds.", None),
        ("To the tower in 12 steps", None),
    ],
)
def test_spans_are_read_and_doubtful_ones_are_not(text: str, span: tuple[float, float] | None) -> None:
    assert read_span(text) == span


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 4), (2, 6)) == pytest.approx(2 / 6)
    assert overlap((0, 1), (2, 3)) == 0.0
    assert overlap((1, 3), (1, 3)) == 1.0
    rng = np.random.default_rng(0)
    grid = np.arange(0, 20, 0.001)
    for _ in range(20):
        one, other = (tuple(sorted(rng.uniform(0, 20, 2))) for _ in range(2))
        inside = [(grid >= span[0]) & (grid < span[1]) for span in (one, other)]
        expected = (inside[0] & inside[1]).sum() / max(1, (inside[0] | inside[1]).sum())
        assert overlap(one, other) == pytest.approx(expected, abs=0.01)


def test_edit_distance_equals_the_plain_recursion() -> None:
    def plain(one: str, other: str) -> int:
        if not one or not other:
            return len(one) + len(other)
        return min(
            plain(one[1:], other) + 1, plain(one, other[1:]) + 1, plain(one[1:], other[1:]) + (one[0] != other[0])
        )

    draw = random.Random(0)
    for _ in range(60):
        one, other = ("".join(draw.choices("abc", k=draw.randint(0, 5))) for _ in range(2))
        assert edit_distance(one, other) == plain(one, other)


def test_exact_match_is_letter_for_letter_and_the_other_reads() -> None:
    assert exact(written("yes", "yes")) == 1.0
    assert exact(written("Yes", "yes")) == 0.0 and alike(written(" Yes. ", "yes")) == 1.0
    assert alike(written("pan", "pot", "pan")) == 1.0
    assert alike(written(None, "yes")) == exact(written(None, "yes")) == 0.0


def test_anls_has_the_fault_that_it_is_known_for() -> None:
    assert likeness(written("The person picks up a spoon", "A spoon.")) == 0.0
    assert likeness(written("The answer is: a spoon.", "A spoon")) == 1.0
    assert likeness(written("a spoons", "a spoon")) == pytest.approx(1 - 1 / 8)


def test_scores_by_kind_and_groups() -> None:
    answers = [
        written("yes", "yes", question_id="1", video_id="a", kind="yes/no"),
        written("no", "yes", question_id="2", video_id="b", kind="yes/no"),
        written("red", "red", question_id="3", video_id="c", kind="colour"),
        written(None, "left", question_id="4", video_id="c", kind="location"),
    ]
    found = measure(answers, "exact_match", {"free": ("yes/no", "colour"), "absent": ("motion",)})
    assert found["exact_match"]["all"]["value"] == 0.5
    kinds = found["exact_match"]["kinds"]
    assert {name: entry["value"] for name, entry in kinds.items()} == {
        "colour": 1.0, "location": 0.0, "yes/no": 0.5, "free": pytest.approx(2 / 3, abs=1e-6)
    }  # fmt: skip
    assert found["exact_match"]["macro"] == 0.5
    assert set(SCORES) == {"exact_match", "likeness", "time_overlap"}


def test_time_is_scored_by_overlap() -> None:
    answers = [
        written("0 - 10 seconds", span=(0, 10), question_id="1"),
        written("0 - 10 seconds", span=(5, 10), question_id="2"),
        written("no idea", span=(5, 10), question_id="3"),
    ]
    found = measure(answers, "time_overlap")
    assert found["mean_overlap"]["all"]["value"] == 0.5
    shares = [found[f"overlap_{least}"]["all"]["value"] for least in (0.3, 0.5, 0.7)]
    assert shares == pytest.approx([2 / 3, 2 / 3, 1 / 3], abs=1e-6)


def test_activitynet_qa_scores_as_its_makers_count(shared: Path) -> None:
    rows = json.loads((shared / "data/activitynetqa/test_a.json").read_text())
    rng = np.random.default_rng(0)
    right = rng.random(len(rows)) < 0.4
    answers = [
        written(row["answer"] if hit else row["answer"] + "!", row["answer"], question_id=row["question_id"],
                video_id=row["question_id"].rsplit("_", 1)[0], kind=str(row["type"]))
        for row, hit in zip(rows, right, strict=True)
    ]  # fmt: skip
    found = measure(answers, "exact_match", {"free": [str(kind) for kind in range(3, 9)]})["exact_match"]
    kinds = np.array([row["type"] for row in rows])
    assert found["all"]["value"] == pytest.approx(right.mean(), abs=1e-6)
    assert found["kinds"]["free"]["value"] == pytest.approx(right[kinds >= 3].mean(), abs=1e-6)
    for kind in range(9):
        assert found["kinds"][str(kind)]["value"] == pytest.approx(right[kinds == kind].mean(), abs=1e-6)
