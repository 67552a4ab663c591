"""Benchmarks as tasks of lmms-eval."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from helpers.evaluation_fakes import make_benchmark
from llavaction.base.errors import InputError
from llavaction.cli.main import cli
from llavaction.questions.lmms_functions import chosen
from llavaction.questions.lmms_tasks import export_tasks
from llavaction.questions.prompts import multiple_choice_prompt


class _Loader(yaml.SafeLoader):
    """Reads the names of functions as texts."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def functions(folder: Path) -> Any:
    """utils.py of an export, loaded as lmms-eval does it."""
    spec = importlib.util.spec_from_file_location("utils", folder / "utils.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tasks_and_their_questions(tmp_path: Path) -> None:
    make_benchmark(questions=8).save(tmp_path / "bench")
    result = CliRunner().invoke(
        cli,
        [*("benchmark", "export", str(tmp_path / "bench"), "--format", "lmms-eval", "--name", "My kitchen"),
         *("--output", str(tmp_path / "out"))],
    )  # fmt: skip
    assert result.exit_code == 0 and "--tasks my_kitchen,my_kitchen_likelihood" in result.output
    written, scored = (
        yaml.load((tmp_path / "out" / f"{name}.yaml").read_text(), _Loader)
        for name in ("my_kitchen", "my_kitchen_likelihood")
    )
    assert (written["output_type"], scored["output_type"]) == ("generate_until", "multiple_choice")
    assert scored["doc_to_choice"] == "letters" and scored["target_delimiter"] == ""
    for task in (written, scored):
        assert task["dataset_path"] == "json" and task["dataset_kwargs"] == {"data_files": {"test": "questions.jsonl"}}
        assert task["doc_to_visual"] == "utils.doc_to_visual" and task["cluster_key"] == "video_id"
    rows = [json.loads(line) for line in (tmp_path / "out" / "questions.jsonl").read_text().splitlines()]
    for row, question in zip(rows, make_benchmark(questions=8).questions, strict=True):
        assert row["prompt"] == multiple_choice_prompt(question) and row["letters"] == list("ABCD")
        assert row["letters"][row["answer"]] == row["answer_letter"]


def test_functions_of_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_tasks(make_benchmark(questions=4), tmp_path / "out")
    made = functions(tmp_path / "out")
    doc = json.loads((tmp_path / "out" / "questions.jsonl").read_text().splitlines()[1])
    monkeypatch.delenv(made.VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match="LLAVACTION_VIDEOS"):
        made.doc_to_visual(doc)
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    monkeypatch.setenv(made.VARIABLE, str(tmp_path / "videos"))
    with pytest.raises(FileNotFoundError, match=doc["video_id"]):
        made.doc_to_visual(doc)
    file = tmp_path / "videos" / "deep" / f"{doc['video_id']}.MP4"
    file.touch()
    made._videos.cache_clear()
    (visual,) = made.doc_to_visual(doc)
    assert visual["url"] == str(file) and (visual["video_start"], visual["video_end"]) == (doc["start"], doc["stop"])
    (message,) = made.doc_to_messages(doc)
    video, text = message["content"]
    assert (video["url"], video["start_time"], video["end_time"]) == (str(file), doc["start"], doc["stop"])
    assert (message["role"], text) == ("user", {"type": "text", "text": doc["prompt"]})
    right = made.process_results(doc, [f"({doc['answer_letter']}) something"])["mqa_score"]
    assert right["score"] == 1.0 and right["question_id"] == doc["question_id"]
    wrong = made.process_results(doc, [""])["mqa_score"]
    assert (wrong["score"], wrong["pred"]) == (0.0, None) and made.mean_score([right, wrong]) == 0.5


@pytest.mark.parametrize(
    ("results", "letter"),
    [
        (["B"], "B"), (["(B) wash"], "B"), ([" B."], "B"), (["A plate"], None), (["E"], None), (["I see"], None),
        ([(2.0, False), (0.5, True), (1.0, False)], "B"), ([(math.nan, False)] * 3, None),
        (["(2.0, False)", "(0.5, False)", "(inf, False)"], "B"), (["(nan, False)"] * 3, None), (["A", "B", "C"], None),
    ],
)  # fmt: skip
def test_the_letter_of_an_answer(results: list[Any], letter: str | None) -> None:
    assert chosen(["A", "B", "C"], results) == letter


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=4)
    first = benchmark.questions[0].model_copy(update={"answer": None})
    with pytest.raises(InputError, match=f"'{first.question_id}' is hidden"):
        export_tasks(replace(benchmark, questions=[first, *benchmark.questions[1:]]), tmp_path / "hidden")
    with pytest.raises(InputError, match="how many frames"):
        export_tasks(benchmark, tmp_path / "timed", prompt="published_timed")
    export_tasks(benchmark, tmp_path / "twice")
    export_tasks(benchmark, tmp_path / "twice")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds something else"):
        export_tasks(benchmark, tmp_path / "other")
