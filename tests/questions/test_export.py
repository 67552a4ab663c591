"""Benchmarks as folders of Hugging Face datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from helpers.evaluation_fakes import make_benchmark
from llavaction import api
from llavaction.base.errors import InputError
from llavaction.cli.main import cli
from llavaction.evaluation.benchmarks import open_benchmark
from llavaction.questions.audit import audit_folder
from llavaction.questions.export import export_benchmark


def test_an_export_is_read_back_as_it_was(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=40).save(tmp_path / "bench")
    audit_folder(benchmark)
    export_benchmark(benchmark, tmp_path / "hf")
    back = open_benchmark(tmp_path / "hf" / "llavaction.yaml")
    assert [question.question_id for question in back.questions] == [q.question_id for q in benchmark.questions]
    for old, new in zip(benchmark.questions, back.questions, strict=True):
        assert (new.clip, new.question, new.answer, new.asked.options) == (
            old.clip, old.question, old.answer, old.asked.options
        )  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "hf/data/validation.jsonl").read_text().splitlines()]
    first = benchmark.questions[0]
    assert rows[0]["verb_classes"] == [option.action[0] for option in first.options if option.action]
    assert len({tuple(row) for row in rows}) == 1 and len(rows) == 40


def test_the_card_says_what_it_is_and_how_it_is_loaded(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=40).save(tmp_path / "bench")
    verdict = audit_folder(benchmark)["verdict"]
    result = CliRunner().invoke(
        cli, ["benchmark", "export", str(tmp_path / "bench"), "--name", "mine", "--output", str(tmp_path / "hf")]
    )
    assert result.exit_code == 0 and "hf upload OWNER/NAME" in result.output
    text = (tmp_path / "hf/README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["configs"] == [
        {"config_name": "default", "data_files": [{"split": "validation", "path": "data/validation.jsonl"}]}
    ]
    assert front["size_categories"] == ["n<1K"] and front["license_name"] == "CC0-1.0"
    assert "# mine" in text and verdict in text and "| questions | 40 |" in text
    assert api.evaluate(tmp_path / "hf/llavaction.yaml", "oracle", tmp_path / "run").metrics["accuracy"]["value"] == 1.0


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=4)
    export_benchmark(benchmark, tmp_path / "hf")
    export_benchmark(benchmark, tmp_path / "hf")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="holds something else"):
        export_benchmark(benchmark, tmp_path / "other")
