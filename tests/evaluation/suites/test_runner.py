"""Suites run on small benchmarks: with an oracle, with a fake that is killed, and with files missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from helpers.evaluation_fakes import FakeBackend, make_benchmark
from llavaction import api
from llavaction.backends.base import OptionScores, Query
from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.cli.main import cli
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.runner import run
from llavaction.evaluation.suites.config import load_suite
from llavaction.evaluation.suites.runner import SuiteSettings, run_suite
from llavaction.questions.schema import Benchmark

SUITE = """name: small
models: [Theirs]
benchmarks:
  - name: kitchen
    published:
      - {model: Theirs, value: 100, source: a paper}
  - name: quiz
    like: nextqa
    describe: {expected: {rows: 2, questions: 2}, columns: {stop: stop}}
    files: {file: val.csv}
    get: https://example.org
    published:
      - {model: Theirs, value: 40, source: a paper}
"""
NEXTQA = (
    "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4,stop\n"
    "v1,9,9,9,why,1,0,CW,a,b,c,d,e,3\nv2,9,9,9,how,4,0,CH,a,b,c,d,e,3\n"
)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of a benchmark folder of 24 questions and a described table of two, and its data."""
    (tmp_path / "small.yaml").write_text(SUITE)
    make_benchmark().save(tmp_path / "data" / "kitchen")
    (tmp_path / "data" / "quiz").mkdir()
    (tmp_path / "data" / "quiz" / "val.csv").write_text(NEXTQA)
    return tmp_path / "small.yaml"


def test_both_are_run_and_one_table_is_written(suite: Path) -> None:
    home = suite.parent
    arguments = [
        "suite", str(suite), "--backend", "oracle", "--data", str(home / "data"), "--output", str(home / "out"),
    ]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    kitchen = "| kitchen | 24 | 100.0 [86.2, 100.0] | 100.0 (inside) |  |"
    assert kitchen in done.output and "| quiz | 2 | 100.0 [" in done.output
    assert kitchen in (home / "out" / "table.md").read_text()
    rows = {row["name"]: row for row in read_json(home / "out" / "suite.json")["rows"]}
    assert {name: (row["status"], row["value"]) for name, row in rows.items()} == {
        "kitchen": ("done", 1.0),
        "quiz": ("done", 1.0),
    }
    assert all((home / "out" / f"table.{suffix}").is_file() for suffix in ("csv", "html", "tex"))
    assert read_json(home / "out" / "kitchen" / "metrics.json")["accuracy"]["n"] == 24
    again = CliRunner().invoke(cli, [*arguments, "--json"])
    assert json.loads(again.stdout)["rows"] == list(rows.values())


def test_missing_files_are_listed_and_the_others_are_run(suite: Path) -> None:
    home = suite.parent
    (home / "data" / "quiz" / "val.csv").unlink()
    arguments = ["suite", str(suite), "--backend", "oracle", "--data", str(home / "data"), "--output", str(home / "o")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0 and "| kitchen | 24 | 100.0" in done.output
    assert f"quiz: missing: no {home}/data/quiz/val.csv; get it: https://example.org" in done.output
    alone = CliRunner().invoke(cli, [*arguments, "--only", "quiz"])
    assert alone.exit_code == 1  # nothing could be run
    unknown = CliRunner().invoke(cli, [*arguments, "--only", "quizz"])
    assert isinstance(unknown.exception, InputError) and "did you mean 'quiz'" in str(unknown.exception.hint)


def test_one_that_fails_does_not_stop_the_others(suite: Path) -> None:
    home = suite.parent
    questions = home / "data" / "kitchen" / "questions.jsonl"
    whole = questions.read_text()
    questions.write_text(whole.replace('"options"', '"choices"', 1))
    arguments = ["suite", str(suite), "--backend", "oracle", "--data", str(home / "data"), "--output", str(home / "o")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1 and "| quiz | 2 | 100.0" in done.output
    assert "kitchen failed: questions.jsonl:" in done.output or "kitchen failed: questions.jsonl" in done.output
    questions.write_text(whole)
    mended = CliRunner().invoke(cli, arguments)
    assert mended.exit_code == 0 and "| kitchen | 24 | 100.0" in mended.output


class _Dying(FakeBackend):
    """Is killed at its third batch, once."""

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        if len(self.asked) == 2:
            self.asked.append([])
            raise KeyboardInterrupt
        return super().score_options(queries)


def test_a_suite_that_was_killed_goes_on(suite: Path, tmp_path: Path) -> None:
    asked_now: list[int] = []

    def runner(backend: FakeBackend) -> Any:
        def ask(source: Path, name: str, folder: Path, **_: Any) -> Any:
            benchmark = Benchmark.load(source)
            result = run(RunConfig(benchmark=str(source), backend=name), benchmark, backend, None, folder)
            asked_now.append(result.asked_now)
            return result

        return {"questions": ask}

    make_benchmark(16).save(tmp_path / "data" / "second")
    (tmp_path / "two.yaml").write_text("benchmarks: [{name: second}, {name: kitchen}]\n")
    two, settings = load_suite(tmp_path / "two.yaml"), SuiteSettings("fake", {}, {})
    whole = run_suite(two, tmp_path / "data", settings, tmp_path / "whole", runner(FakeBackend()), lambda _: None)
    assert asked_now == [16, 24] and not whole.failed
    asked_now.clear()
    dying = runner(_Dying())
    with pytest.raises(KeyboardInterrupt):
        run_suite(two, tmp_path / "data", settings, tmp_path / "killed", dying, lambda _: None)
    assert not (tmp_path / "killed" / "suite.json").exists()
    again = run_suite(two, tmp_path / "data", settings, tmp_path / "killed", dying, lambda _: None)
    assert asked_now == [8, 24]  # two batches of four were on disk
    last = run_suite(two, tmp_path / "data", settings, tmp_path / "killed", dying, lambda _: None)
    assert asked_now == [8, 24, 0, 0]
    values = [[row["value"] for row in result.table["rows"]] for result in (whole, again, last)]
    assert values[0] == values[1] == values[2]
    for name in ("second", "kitchen"):
        one, other = (tmp_path / home / name / "predictions.jsonl" for home in ("whole", "killed"))
        assert one.read_bytes() == other.read_bytes()


def test_a_fault_that_nobody_foresaw_is_kept(suite: Path, tmp_path: Path) -> None:
    def ask(source: Path, *_: Any, **__: Any) -> Any:
        if source.name == "kitchen":
            raise RuntimeError("out of memory")
        return SimpleNamespace(metrics={"accuracy": 0.5, "counts": {"questions": 2}})

    result = run_suite(
        load_suite(suite),
        tmp_path / "data",
        SuiteSettings("b", {}, {}),
        tmp_path / "o",
        {"questions": ask},
        lambda _: None,
    )
    assert [outcome.status for outcome in result.outcomes] == ["failed", "done"]
    assert "RuntimeError: out of memory" in result.failed[0].why
    assert "Traceback" in (tmp_path / "o" / "kitchen" / "error.txt").read_text()


def test_tasks_are_run_by_what_runs_them(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "benchmarks:\n"
        "  - {name: k, like: epic_kitchens_100, files: {file: annotations}, settings: {frames: 4}}\n"
        "  - {name: p, like: epic_kitchens_100, files: {file: annotations, predictions: p.jsonl}}\n"
        "  - {name: a, like: animal_kingdom, files: {file: AR_metadata.xlsx}}\n"
    )
    for name in ("k", "p"):
        (tmp_path / "data" / name / "annotations").mkdir(parents=True)
        (tmp_path / "data" / name / "videos").mkdir()
    (tmp_path / "data" / "p" / "p.jsonl").write_text("")
    (tmp_path / "data" / "a").mkdir()
    (tmp_path / "data" / "a" / "AR_metadata.xlsx").write_text("")
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def called(metrics: dict[str, Any]) -> Any:
        def runner(*arguments: Any, **more: Any) -> Any:
            calls.append((arguments, more))
            return SimpleNamespace(metrics=metrics)

        return runner

    accuracy = {"action": {"value": 0.5, "low": 0.4, "high": 0.6}}
    runners = {
        "recognition": called({"overall": {"two_stage": accuracy}, "counts": {"segments": 10}}),
        "multi_label": called({"map": {"value": 0.2, "low": None, "high": None}, "counts": {"clips": 6096}}),
    }
    settings = SuiteSettings("model", {"batch_size": 2}, {"retry_failed": True})
    own, data, out = load_suite(tmp_path / "own.yaml"), tmp_path / "data", tmp_path / "o"
    result = run_suite(own, data, settings, out, runners, lambda _: None)
    (first, first_more), (second, second_more), (third, third_more) = calls
    assert first == (data / "k" / "annotations", "validation", None, "model", out / "k")
    assert first_more == {
        "videos": data / "k" / "videos",
        "retry_failed": True,
        "frames": 4,
        "batch_size": 2,
        "stages": ("label_set_prior",),
    }
    assert second[2] == data / "p" / "p.jsonl" and "stages" not in second_more
    assert third == (data / "a" / "AR_metadata.xlsx", "test", out / "a")
    assert third_more == {"videos": None, "retry_failed": True, "model": "model", "batch_size": 2}
    rows = result.table["rows"]
    assert [row["value"] for row in rows] == [0.5, 0.5, 0.2]
    assert rows[0]["notes"] == ["10 segments, the release has 9668"] and rows[2]["notes"] == []


def test_recognition_in_a_suite(annotations: Path, tmp_path: Path) -> None:
    home = tmp_path / "data" / "k"
    home.mkdir(parents=True)
    (home / "annotations").symlink_to(annotations)
    simulated = CliRunner().invoke(
        cli,
        ["data", "simulate-specialist", "--annotations", str(annotations), "--split", "validation",
         "--output", str(home / "p.jsonl")],
    )  # fmt: skip
    assert simulated.exit_code == 0, simulated.output
    (tmp_path / "own.yaml").write_text(
        "benchmarks:\n  - {name: k, describe: {task: recognition, split: validation},\n"
        "     files: {file: annotations, predictions: p.jsonl}, figures: {action: overall.two_stage.action,\n"
        "     ceiling: overall.specialist_top_k}}\n"
    )
    result = api.suite(tmp_path / "own.yaml", "oracle", tmp_path / "data", tmp_path / "o", limit=40, say=lambda _: None)
    action, ceiling = result.table["rows"]
    assert action["status"] == "done" and action["asked"] == 40, action["why"]
    assert 0 < action["value"] == ceiling["value"] <= 1


def test_answers_in_free_words_come_before_others(suite: Path, tmp_path: Path) -> None:
    """Reading one kind of benchmark must not break the next."""
    (tmp_path / "data" / "free").mkdir()
    rows = '[{"video": "v", "question": "what", "answer": "a cup", "start": 0, "stop": 2}]'
    (tmp_path / "data" / "free" / "free.json").write_text(rows)
    (tmp_path / "own.yaml").write_text(
        "benchmarks:\n  - {name: free, describe: {reader: open_answers}, files: {file: free.json}}\n"
        "  - {name: kitchen}\n"
    )
    result = api.suite(tmp_path / "own.yaml", "oracle", tmp_path / "data", tmp_path / "o", say=lambda _: None)
    assert [(row["name"], row["status"], row["value"]) for row in result.table["rows"]] == [
        ("free", "done", 1.0),
        ("kitchen", "done", 1.0),
    ]
