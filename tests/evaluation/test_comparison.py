from __future__ import annotations

from pathlib import Path

import pytest

from helpers.evaluation_fakes import CONFIG, FakeBackend, make_benchmark
from llavaction.base.errors import InputError
from llavaction.evaluation.comparison import compare, comparison_text, p_value
from llavaction.evaluation.runner import run
from llavaction.questions.schema import Benchmark

GENERATION = CONFIG.model_copy(update={"decision": "generation"})


def a_run(folder: Path, benchmark: Benchmark, wrong: int, name: str) -> Path:
    """A run that has the first ``wrong`` questions unparsed and all others right."""
    texts = {question.question_id: "?" for question in benchmark.questions[:wrong]}
    run(GENERATION, benchmark, FakeBackend(name=name, texts=texts), None, folder)
    return folder


def test_counts_by_hand(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=40, videos=20)
    first = a_run(tmp_path / "a", benchmark, 30, "weak")
    second = a_run(tmp_path / "b", benchmark, 10, "strong")
    found = compare(first, second)
    assert (found["only_first"], found["only_second"], found["both"], found["neither"]) == (0, 20, 10, 10)
    assert found["difference"]["value"] == 0.5
    assert 0.2 < found["difference"]["low"] < 0.5 < found["difference"]["high"] < 0.8
    assert found["p_permutation"] == pytest.approx(2 / 2**10)  # ten videos differ, all for the second
    assert (found["questions"], found["videos"]) == (40, 20)
    text = comparison_text(found)
    assert "strong is better than weak by 50.0 points" in text
    assert "+50.0%" in text
    mirrored = compare(second, first)
    assert mirrored["difference"]["value"] == -0.5
    assert mirrored["p_permutation"] == found["p_permutation"]


def test_equal_runs_are_not_told_apart(tmp_path: Path, benchmark: Benchmark) -> None:
    first, second = a_run(tmp_path / "a", benchmark, 5, "x"), a_run(tmp_path / "b", benchmark, 5, "x")
    found = compare(first, second)
    assert (found["p_permutation"], found["p_mcnemar"], found["difference"]["value"]) == (1.0, 1.0, 0.0)
    assert "No difference" in comparison_text(found)


def test_notes_tell_what_was_not_asked_from_what_was_not_read(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=12, videos=3)
    first, second = a_run(tmp_path / "a", benchmark, 4, "x"), a_run(tmp_path / "b", benchmark, 0, "y")
    lines = (first / "predictions.jsonl").read_text().splitlines()
    lines[0] = lines[0].replace('"unparsed"', '"failed"')
    (first / "predictions.jsonl").write_text("\n".join(lines) + "\n")
    assert compare(first, second)["notes"] == [
        "x could not be asked 1 of 12; they count as wrong",
        "x left 3 of 12 without a readable answer; they count as wrong",
        "from 3 videos the sign-flip test gives no p below 0.25, however large the difference",
    ]


def test_small_p_values_are_not_zero() -> None:
    assert (p_value(0.00001), p_value(0.0312)) == ("p < 0.001", "p = 0.031")


def test_other_questions_are_refused(tmp_path: Path, benchmark: Benchmark) -> None:
    first = a_run(tmp_path / "a", benchmark, 2, "x")
    shorter = Benchmark(benchmark.questions[:20], benchmark.card)
    second = a_run(tmp_path / "b", shorter, 2, "x")
    with pytest.raises(InputError, match=r"20 in common\): 4 only in .*a, e.g. 'P04_01_20'"):
        compare(first, second)


def test_other_options_are_refused_unless_meant(tmp_path: Path, benchmark: Benchmark) -> None:
    first = a_run(tmp_path / "a", benchmark, 2, "x")
    second = a_run(tmp_path / "b", make_benchmark(options=3), 2, "x")
    with pytest.raises(InputError, match="same ids but not the same options"):
        compare(first, second)
    assert compare(first, second, across_benchmarks=True)["notes"][0].startswith("the questions have the same ids")


def test_unfinished_and_foreign_folders(tmp_path: Path, benchmark: Benchmark) -> None:
    first = a_run(tmp_path / "a", benchmark, 2, "x")
    with pytest.raises(InputError, match=r"nowhere: not a run folder"):
        compare(first, tmp_path / "nowhere")
    (first / "metrics.json").unlink()
    with pytest.raises(InputError, match="not finished"):
        compare(first, first)
