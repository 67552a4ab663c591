"""Asking questions without options, and having the answers judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from llavaction import api
from llavaction.backends.base import Query, QuestionError
from llavaction.base.errors import InputError
from llavaction.cli.main import cli
from llavaction.evaluation.benchmarks import open_questions
from llavaction.evaluation.open_answers import judge as judging
from llavaction.evaluation.open_answers.config import OpenRunConfig
from llavaction.evaluation.open_answers.judge import judge_prompt, read_verdict
from llavaction.evaluation.open_answers.runner import run_open
from llavaction.evaluation.open_answers.schema import OpenBenchmark


class Writer:
    """Writes what a list says to prompts; of None it cannot be asked."""

    needs_frames = 0
    decision_rule = "written"
    name = "writer"
    capabilities = frozenset({"generate"})

    def __init__(self, replies: dict[str, str | None]) -> None:
        self.replies, self.prompts = replies, dict[str, str]()
        self.config = {"replies": "fixed"}

    def generate(self, queries: Sequence[Query]) -> list[str]:
        written = []
        for query in queries:
            self.prompts[query.query_id] = query.prompt
            reply = self.replies[query.query_id]
            if reply is None:
                raise QuestionError("no connection", question_id=query.query_id)
            written.append(reply)
        return written

    def score_options(self, queries: Sequence[Query]) -> list[object]:
        raise NotImplementedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "q.csv").write_text(
        "id,video,start,stop,question,answer\n1,v,0,1,what is held,cup\n2,v,1,2,what is cut,carrot\n"
        "3,w,0,1,where,left\n"
    )
    (tmp_path / "own.yaml").write_text(
        "reader: open_answers\nfile: q.csv\nsource:\n  prompt: {text: '{question}? One word.', capitalize: true}\n"
    )
    return tmp_path / "own.yaml"


def asked(path: Path, replies: dict[str, str | None], folder: Path, **more: object) -> tuple[Writer, object]:
    benchmark = open_questions(path)
    assert isinstance(benchmark, OpenBenchmark)
    backend = Writer(replies)
    config = OpenRunConfig(benchmark=str(path), backend="writer", **more)
    return backend, run_open(config, benchmark, backend, None, folder)


ALL = {"1": "cup", "2": "Carrot.", "3": "right"}


def test_the_official_prompt_is_asked_and_answers_are_scored(path: Path, tmp_path: Path) -> None:
    backend, result = asked(path, ALL, tmp_path / "run")
    assert backend.prompts["1"] == "What is held? One word."
    scores = result.metrics["scores"]
    assert scores["exact_match"]["all"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert scores["same_when_read"]["all"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert result.metrics["counts"]["answered"] == 3
    backend, _ = asked(path, ALL, tmp_path / "open", prompt="open")
    assert backend.prompts["1"] == "what is held\nAnswer in a few words."
    with pytest.raises(InputError, match="lists options"):
        asked(path, ALL, tmp_path / "letters", prompt="letters")


def test_a_run_goes_on_where_it_was_and_one_bad_question_fails_alone(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _, unbroken = asked(path, {**ALL, "2": None}, folder)
    assert [answer.error is None for answer in unbroken.answers] == [True, False, True]
    whole = (folder / "answers.jsonl").read_text()
    (folder / "answers.jsonl").write_text(whole.splitlines(keepends=True)[0] + '{"broken')
    _, again = asked(path, {**ALL, "2": None}, folder, batch_size=4)
    assert again.asked_now == 2 and (folder / "answers.jsonl").read_text() == whole


def test_baselines_that_choose_cannot_be_asked(path: Path, tmp_path: Path) -> None:
    result = api.evaluate(path, "chance", tmp_path / "chance")
    assert "chooses among options, and question '1' has none" in str(result.answers[0].error)


def test_the_command_asks_and_judges(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke(cli, ["eval", str(path), "--backend", "oracle:0.0", "--output", str(tmp_path / "run")])
    assert run.exit_code == 0 and "exact match 100.0%" in run.output
    said = {"1": "{'pred': 'yes', 'score': 5}", "2": "who knows", "3": '{"pred": "no", "score": 1}'}
    monkeypatch.setattr("llavaction.backends.registry.make_backend", lambda *_, **__: Writer(said))
    judged = CliRunner().invoke(cli, ["judge", str(tmp_path / "run"), "--backend", "chance"])
    assert judged.exit_code == 0, judged.output
    assert "right 33.3%" in judged.output and "of the 2 judged 50.0%; 1 could not be read" in judged.output
    assert "mean score 3.00 of 5" in judged.output


def test_a_judge_is_asked_once_and_only_of_what_was_written(path: Path, tmp_path: Path) -> None:
    asked(path, {"1": "a mug", "2": " ", "3": "left"}, tmp_path / "run")
    judge = Writer({"1": "{'pred': 'yes', 'score': 4}", "3": "{'pred': 'yes', 'score': 5}"})
    first = judging.judge(tmp_path / "run", judge, "video_chatgpt")
    assert first["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-6) and first["score"]["value"] == 3.0
    assert "Question: what is held\nCorrect Answer: cup\nPredicted Answer: a mug\n" in judge.prompts["1"]
    assert set(judge.prompts) == {"1", "3"}
    silent = Writer({})
    assert judging.judge(tmp_path / "run", silent, "video_chatgpt") == first and not silent.prompts


def test_a_prompt_of_ones_own(path: Path, tmp_path: Path) -> None:
    asked(path, ALL, tmp_path / "run")
    (tmp_path / "mine.yaml").write_text("text: 'Is {said} the same as {answer}?'\nright: same\nwrong: other\n")
    judge = Writer({"1": "same", "2": "Same.", "3": "other"})
    found = judging.judge(tmp_path / "run", judge, tmp_path / "mine.yaml")
    assert judge.prompts["2"] == "Is Carrot. the same as carrot?" and found["counts"]["judged"] == 3
    assert found["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-6) and found["score"] is None
    with pytest.raises(InputError, match="no judge's prompt is called 'mind'"):
        judge_prompt("mind")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("{'pred': 'yes', 'score': 4}", (True, 4.0)),
        ("```python\n{'pred': 'no', 'score': 0}\n```", (False, 0.0)),
        ('Sure! {"pred": "Yes", "score": 4.8}.', (True, 4.8)),
        ("{'pred': 'yes', 'score': 40}", (True, None)),
        ("{'pred': 'maybe', 'score': 3}", (None, 3.0)),
        ("{'pred': 'yes', 'score': 4} {'pred': 'no', 'score': 4}", (None, None)),
        ("yes", (True, None)),
        ("The answer is not no.", (None, None)),
        ("{'pred': __import__('os').getcwd()}", (None, None)),
        ("", (None, None)),
    ],
)
def test_verdicts_are_read_or_left_unread(text: str, verdict: tuple[bool | None, float | None]) -> None:
    assert read_verdict(text, judge_prompt("video_chatgpt")) == verdict
