from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.workbooks import write_workbook
from llavaction.base.errors import InputError
from llavaction.evaluation.accounting import explain, published
from llavaction.evaluation.foreign_results import load_run


def sample(number: int, text: str, answer: int = 1, **more: Any) -> dict[str, Any]:
    doc = {"video": f"v{number // 2}", "qid": number % 2, "question": "what?", "a0": "run", "a1": "sit", "a2": "jump"}
    return {"doc_id": number, "doc": doc, "target": answer, "resps": [[text]], "filtered_resps": [text], **more}


def lines(path: Path, samples: list[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in samples))
    return path


def test_samples_of_lmms_eval(tmp_path: Path) -> None:
    texts = ["B", "(B)", "Best option: C", "no idea"]
    samples = [sample(i, text, exact_match=float(i != 2)) for i, text in enumerate(texts)]
    run = load_run(lines(tmp_path / "x_samples_nextqa.jsonl", samples))
    assert (run.foreign, run.name) == ("lmms-eval", "lmms-eval:x_samples_nextqa")
    assert [item.choice for item in run.predictions] == [1, 1, 2, None]
    assert [item.credit for item in run.predictions] == [1.0, 1.0, 0.0, 1.0]
    assert published(run.predictions) == 0.75  # theirs: what they drew was right
    assert [item.question_id for item in run.predictions] == ["v0_0", "v0_1", "v1_0", "v1_1"]
    assert {item.video_id for item in run.predictions} == {"v0", "v1"}
    assert run.options["v0_0"] == ["run", "sit", "jump"]


@pytest.mark.parametrize(
    ("metric", "credit"),
    [
        ({"videomme_perception_score": {"pred_answer": "B", "answer": "B"}}, 1.0),
        ({"mvbench_accuracy": {"pred_answer": "C", "gt_answer": "B", "score": 0}}, 0.0),
        ({"lvb_acc": {"answer": "B", "parsed_pred": "B"}}, 1.0),
        ({"accuracy": 0.0}, 0.0),
        ({}, None),
    ],
)
def test_scores_of_samples(tmp_path: Path, metric: dict[str, Any], credit: float | None) -> None:
    run = load_run(lines(tmp_path / "s.jsonl", [sample(0, "B", **metric)]))
    assert run.predictions[0].credit == credit and run.predictions[0].counted == (1.0 if credit is None else credit)


@pytest.mark.parametrize("target", ["B", "(B)", "B. sit", "sit", 1, "1"])
def test_forms_of_the_answer(tmp_path: Path, target: Any) -> None:
    run = load_run(lines(tmp_path / "s.jsonl", [sample(0, "A", target)]))
    assert run.predictions[0].answer == 1 and run.predictions[0].choice == 0


def test_options_that_are_numbers(tmp_path: Path) -> None:
    """A text is an option's text before it is an index; lmms-eval's TVBench takes "3" for the fourth of these."""
    doc = {"id": "q", "candidates": ["3", "4", "2", "1"]}
    for target, answer in (("3", 0), (3, 3), ("0", 0)):
        run = load_run(lines(tmp_path / "a.jsonl", [sample(0, "3") | {"doc": doc, "target": target}]))
        assert (run.predictions[0].answer, run.predictions[0].choice) == (answer, 0)


def test_options_in_the_prompt_or_nowhere(tmp_path: Path) -> None:
    doc = {"id": "q", "question": "what?\nA. run\nB. sit"}
    run = load_run(lines(tmp_path / "a.jsonl", [sample(0, "B") | {"doc": doc, "target": "B"}]))
    assert run.options == {"q": ["run", "sit"]} and run.predictions[0].choice == 1
    bare = load_run(lines(tmp_path / "b.jsonl", [sample(0, "B", acc=1.0) | {"doc": {}, "target": "B"}]))
    assert (bare.predictions[0].choice, bare.predictions[0].parse_rule) == (None, "options not on record")
    assert bare.predictions[0].counted == 1.0 and bare.predictions[0].video_id == "question 0"


def test_scored_samples_without_their_documents(tmp_path: Path) -> None:
    """The form of lmms-eval 0.7.3: texts throughout, no document, and what names the question in the metric."""

    def scored(number: int, losses: list[float], score: float) -> dict[str, Any]:
        told = {"question_id": f"q{number}", "video_id": "v", "options": ["run", "sit"], "score": score}
        pairs = [[str(loss), "False"] for loss in losses]
        return {"doc_id": number, "target": "B", "filtered_resps": pairs, "input": "what?", "mqa_score": told}

    def as_text(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"filtered_resps": [f"({loss}, {greedy})" for loss, greedy in row["filtered_resps"]]}

    rows = [scored(0, [2.0, 0.5], 1.0), scored(1, [0.25, 3.0], 0.0), scored(2, [float("nan")] * 2, 0.0)]
    texts = load_run(lines(tmp_path / "y_samples_mine.jsonl", [as_text(row) for row in rows]))
    run = load_run(lines(tmp_path / "x_samples_mine.jsonl", rows))
    assert texts.predictions == run.predictions
    assert [item.question_id for item in run.predictions] == ["q0", "q1", "q2"]
    assert [(item.choice, item.parse_status) for item in run.predictions] == [
        (1, "scored"), (0, "scored"), (None, "failed")
    ]  # fmt: skip
    assert run.predictions[0].scores == (-2.0, -0.5) and run.predictions[0].margin == 1.5
    assert {item.video_id for item in run.predictions} == {"v"} and run.options["q0"] == ["run", "sit"]
    assert published(run.predictions) == pytest.approx(1 / 3)


HEAD = ["index", "video", "question", "candidates", "answer", "prediction", "score"]
ROWS = [
    [7, "a.mp4", "what?", "['run', 'sit']", "B", "B. sit", 1],
    [9, "b.mp4", "what?", "['run', 'sit']", "A", "?", -1],
]


def test_tables_of_vlmevalkit(tmp_path: Path) -> None:
    book = load_run(write_workbook(tmp_path / "m.xlsx", {"Sheet1": [HEAD, *ROWS]}))
    text = "\n".join("\t".join(map(str, row)) for row in [HEAD, *ROWS]) + "\n"
    (tmp_path / "m.tsv").write_text(text)
    for run in (book, load_run(tmp_path / "m.tsv")):
        assert run.foreign == "VLMEvalKit"
        assert [(item.question_id, item.choice, item.credit) for item in run.predictions] == [
            ("7", 1, 1.0),
            ("9", None, "left out"),
        ]
        assert published(run.predictions) == 1.0


def test_a_foreign_number_is_explained_against_itself(tmp_path: Path) -> None:
    """Two files with the same texts but other scores: all of the difference is in what is not on record."""
    texts = ["B", "Best option: B", "no idea", "A"]
    first = load_run(lines(tmp_path / "a.jsonl", [sample(i, t, acc=float(i < 2)) for i, t in enumerate(texts)]))
    second = load_run(lines(tmp_path / "b.jsonl", [sample(i, t, acc=float(i < 3)) for i, t in enumerate(texts)]))
    found = explain([first, second], n=50)
    (step,) = found["pairs"][0]["steps"]
    assert (step["cause"], step["points"]) == ("settings not on record", pytest.approx(0.25))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", '{"x": 1}\n', r"a\.jsonl:1: is no sample of lmms-eval; found x"),
        ("a.jsonl", "not json\n", r"a\.jsonl:1: .*expected one sample a line"),
        ("a.jsonl", "", "holds no result"),
        ("a.csv", "index,answer\n1,A\n", "lacks prediction"),
        ("a.csv", "index,answer,prediction,hit\n1,A,B,often\n", r"a\.csv:2: the score 'often' is no number"),
        ("a.csv", "index,answer,prediction\n1,a dog runs,A\n", r"a\.csv:2: the right answer 'a dog runs' is none"),
        ("a.txt", "x", "is no result that can be read"),
    ],
)
def test_what_is_no_result_is_named(tmp_path: Path, name: str, content: str, problem: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=problem):
        load_run(tmp_path / name)
