from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.evaluation_fakes import CONFIG, FakeBackend, make_benchmark
from llavaction.base.errors import InputError
from llavaction.cli.explain import explain
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.official import OFFICIAL_PARSERS
from llavaction.evaluation.parser_table import parser_table, parser_table_text
from llavaction.evaluation.runner import run


def test_the_same_texts_by_every_parser(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=40, videos=10)
    questions = benchmark.questions
    texts = {question.question_id: f"Best option: {question.answer_letter}" for question in questions[:10]}
    texts |= {question.question_id: "no idea" for question in questions[10:14]}
    run(CONFIG.model_copy(update={"decision": "generation"}), benchmark, FakeBackend(texts=texts), None, tmp_path)
    found = parser_table(FinishedRun.load(tmp_path), benchmark)
    rows = {row["parser"]: row for row in found["rows"]}
    assert set(rows) == {"robust", "published", *OFFICIAL_PARSERS}
    ours, videomme, nextqa = rows["robust"], rows["videomme"], rows["nextqa"]
    assert (ours["accuracy"]["value"], ours["unread"], ours["points"]) == (0.9, 4, 0.0)
    misread = sum(question.answer != 1 for question in questions[:10])  # "Best option: C" is B
    assert videomme["accuracy"]["value"] == pytest.approx((36 - misread) / 36)
    assert (videomme["questions"], videomme["left_out"], videomme["lost"], videomme["gained"]) == (36, 4, misread, 0)
    assert videomme["differ"] == misread + 4
    assert nextqa["accuracy"]["value"] == pytest.approx((26 + 10 + 4 / 4) / 40)  # draws at their expected value
    assert (nextqa["drawn"], nextqa["unread"], nextqa["differ"]) == (4, 0, 4)
    assert nextqa["points"] == pytest.approx(0.025)
    rules = {row["rule"]: row for row in found["rules"]}
    assert (rules["letter"]["decided"], rules["stated letter"]["decided"]) == (26, 10)
    assert rules["stated letter"]["points"] == pytest.approx(0.25)
    assert sum(row["decided"] for row in found["rules"]) == 40
    assert sum(row["points"] for row in found["rules"]) == pytest.approx(ours["accuracy"]["value"])
    text = parser_table_text(found)
    assert "videomme_2025" in text and "stated letter" in text


def test_choices_that_were_not_read_from_text_are_refused(tmp_path: Path) -> None:
    benchmark = make_benchmark()
    run(CONFIG, benchmark, FakeBackend(), None, tmp_path)
    with pytest.raises(InputError, match="not read from text"):
        parser_table(FinishedRun.load(tmp_path), benchmark)


def test_the_command(tmp_path: Path) -> None:
    benchmark = make_benchmark()
    benchmark.save(tmp_path / "bench")
    config = CONFIG.model_copy(update={"decision": "generation", "benchmark": str(tmp_path / "bench")})
    run(config, benchmark, FakeBackend(), None, tmp_path / "run")
    said = CliRunner().invoke(explain, [str(tmp_path / "run")], catch_exceptions=False)
    assert said.exit_code == 0 and "24 questions" in said.output and "100.0%" in said.output
    both = CliRunner().invoke(explain, [str(tmp_path / "run")] * 2, catch_exceptions=False)
    assert "+0.00 points" in both.output
