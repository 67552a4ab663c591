"""Runs behind a server: what was answered is kept at once, what was paid is counted, and a budget is not exceeded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from helpers import endpoint_run
from helpers.endpoint_run import evaluated
from helpers.evaluation_fakes import make_benchmark
from helpers.scripted_server import Fault, HashModel, ScriptedServer, serving
from llavaction.backends.endpoint.stops import BackendStoppedError, BudgetReachedError
from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.cli.main import cli, main

Serve = Callable[..., ScriptedServer]
RESULTS = ("predictions.jsonl", "metrics.json")


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda model, **options: stack.enter_context(serving(ScriptedServer(model, **options)))


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULTS]


def ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def failing(seed: int, share: float = 0.3) -> Callable[[int, dict[str, Any]], Fault | None]:
    kinds = [Fault(status=429, retry_after="0.01"), Fault(status=500), Fault("slow", seconds=3.0), Fault("cut"),
             Fault("truncated"), Fault("garbage")]  # fmt: skip

    def fault(number: int, body: dict[str, Any]) -> Fault | None:
        rng = hashed_rng("run", seed, number)
        return kinds[int(rng.integers(len(kinds)))] if rng.random() < share else None

    return fault


def test_a_run_has_a_line_for_each_request_and_its_result_is_that_of_any_concurrency(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(HashModel(delay=0.2))
    result = evaluated(server.url, tmp_path / "a", concurrency=16)
    assert result.metrics["counts"]["answered"] == 40 and result.metrics["letter_mass"]["n"] == 40
    assert {prediction.decision_rule for prediction in result.predictions} == {"option letters"}
    lines = ledger(tmp_path / "a")
    assert [line["outcome"] for line in lines] == ["answered"] * 40
    assert {line["query_id"] for line in lines} == {question.question_id for question in make_benchmark(40).questions}
    assert {(line["tokens_in"], line["tokens_out"], line["cost"]) for line in lines} == {(100, 1, None)}
    assert 4 < server.most_at_once <= 16  # more than the 4 of a batch
    evaluated(server.url, tmp_path / "b", concurrency=1)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    settings = yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())["resolved"]["backend_settings"]
    assert settings["letters"] == "vllm" and settings["model"] == "hash"
    assert not {"concurrency", "budget", "api_key_variable", "url"} & settings.keys()


def test_with_every_kind_of_failure_a_run_ends_as_without(serve: Serve, tmp_path: Path) -> None:
    evaluated(serve(HashModel()).url, tmp_path / "calm")
    server = serve(HashModel(), fault=failing(1))
    evaluated(server.url, tmp_path / "rough", timeout=2.0, attempts=30, max_failures=100)
    assert bytes_of(tmp_path / "calm") == bytes_of(tmp_path / "rough")
    assert len(server.questions) == 40 and set(server.questions.values()) == {1} and len(server.chats) > 45


@pytest.mark.parametrize("keep", [0.0, 0.21, 0.5, 0.77, 1.0])
def test_a_ledger_that_was_cut_off_anywhere_is_gone_on_with(keep: float, serve: Serve, tmp_path: Path) -> None:
    server = serve(HashModel())
    evaluated(server.url, tmp_path / "whole", 20)
    folder = tmp_path / "cut"
    folder.mkdir()
    whole = (tmp_path / "whole" / "ledger.jsonl").read_bytes()
    (folder / "ledger.jsonl").write_bytes(whole[: int(keep * len(whole))])
    there = whole[: int(keep * len(whole))].count(b"\n")
    before = len(server.chats)
    evaluated(server.url, folder, 20)
    assert len(server.chats) - before == 20 - there
    assert bytes_of(folder) == bytes_of(tmp_path / "whole") and len(ledger(folder)) == 20


def test_killed_at_any_moment_it_loses_at_most_what_was_under_way(serve: Serve, tmp_path: Path) -> None:
    calm = serve(HashModel())
    evaluated(calm.url, tmp_path / "calm", 60)
    server = serve(HashModel(delay=0.05))
    folder = tmp_path / "killed"
    path = os.pathsep.join([str(Path(endpoint_run.__file__).parents[1]), *sys.path])
    options = {"questions": 60, "price_in": 10, "price_out": 10, "budget": 100}
    command = [sys.executable, endpoint_run.__file__, server.url, str(folder), json.dumps(options)]
    for kill in range(2):
        answered = len(server.answered)
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while len(server.answered) < answered + 7 + 5 * kill:
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.003)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    done = len(ledger(folder))
    assert 0 < done < 60
    result = evaluated(server.url, folder, **options)  # type: ignore[arg-type]
    assert len(result.predictions) == 60 and bytes_of(folder) == bytes_of(tmp_path / "calm")
    twice = sum(count - 1 for count in server.answered.values())
    assert len(server.answered) == 60 and twice <= 2 * 4  # as many as may be under way, for each kill
    lost = [line for line in ledger(folder) if line["outcome"] == "unknown"]
    assert twice <= len(lost) <= 2 * 4 and {line["cost"] for line in lost} <= {0.01001}


PRICES: dict[str, Any] = {"price_in": 10.0, "price_out": 10.0}
"""A question costs 101 tokens, 0.00101; the most it can cost is the context of 1000 and one token more, 0.01001."""


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_budget_stops_the_run_before_it_is_exceeded(concurrency: int, serve: Serve, tmp_path: Path) -> None:
    server = serve(HashModel(delay=0.002))
    options = {**PRICES, "concurrency": concurrency}
    with pytest.raises(
        BudgetReachedError, match=r"budget of 0\.03 is used up: 0\.0202 spent.*may cost 0\.01001"
    ) as stop:
        evaluated(server.url, tmp_path / "run", budget=0.03, **options)
    assert stop.value.status == 4 and len(server.chats) == 20
    with pytest.raises(BudgetReachedError):
        evaluated(server.url, tmp_path / "run", budget=0.03, **options)
    assert len(server.chats) == 20
    result = evaluated(server.url, tmp_path / "run", budget=1.0, **options)
    assert result.metrics["counts"]["answered"] == 40 and set(server.answered.values()) == {1}
    assert sum(line["cost"] for line in ledger(tmp_path / "run")) == pytest.approx(40 * 0.00101)
    evaluated(serve(HashModel()).url, tmp_path / "free")
    assert bytes_of(tmp_path / "run") == bytes_of(tmp_path / "free")


def test_answers_that_got_lost_count_against_the_budget_in_all_starts(serve: Serve, tmp_path: Path) -> None:
    server = serve(HashModel(), fault=failing(2, 0.5))
    options = {**PRICES, "timeout": 0.25, "attempts": 30, "max_failures": 100}
    budgets = [0.05, 0.1, 0.15]
    for budget in budgets:
        with pytest.raises(BudgetReachedError):
            evaluated(server.url, tmp_path / "run", budget=budget, **options)
        lines = ledger(tmp_path / "run")
        assert budget - 0.01001 < sum(line["cost"] for line in lines) <= budget + 1e-9
        unknown = [line for line in lines if line["outcome"] == "unknown"]
        assert unknown and {line["cost"] for line in unknown} == {0.01001}
    assert {line["cost"] for line in lines if line["outcome"] == "refused"} == {0.0}
    assert set(server.answered.values()) == {1}


def test_a_budget_needs_to_know_the_longest_prompt_and_holds_to_it(serve: Serve, tmp_path: Path) -> None:
    server = serve(HashModel(context=None))
    with pytest.raises(InputError, match="reckon with the longest prompt"):
        evaluated(server.url, tmp_path / "run", budget=1.0, **PRICES)
    with pytest.raises(BackendStoppedError, match="took 100 tokens, more than the 99"):
        evaluated(server.url, tmp_path / "run", budget=1.0, most_input_tokens=99, concurrency=1, **PRICES)
    evaluated(server.url, tmp_path / "run", budget=1.0, most_input_tokens=100, concurrency=1, **PRICES)
    assert set(server.answered.values()) == {1}


def test_a_stopped_run_goes_on_at_another_address(serve: Serve, tmp_path: Path) -> None:
    broken = serve(HashModel(), fault=lambda number, body: Fault(status=401) if number >= 15 else None)
    with pytest.raises(BackendStoppedError, match="wants a key"):
        evaluated(broken.url, tmp_path / "run", concurrency=2)
    assert len(ledger(tmp_path / "run")) == 15
    server = serve(HashModel())
    assert evaluated(server.url, tmp_path / "run").metrics["counts"]["answered"] == 40
    assert len(server.chats) == 25 and len({line["server"] for line in ledger(tmp_path / "run")}) == 2
    with pytest.raises(InputError, match="started with other settings"):
        evaluated(serve(HashModel(name="another")).url, tmp_path / "run")


def test_written_answers_and_captions(serve: Serve, tmp_path: Path) -> None:
    server = serve(HashModel(dialect="none"))
    result = evaluated(server.url, tmp_path / "run", decision="generation", letters="auto")
    assert {prediction.parse_status for prediction in result.predictions} == {"parsed"}
    with pytest.raises(InputError, match="--decision generation"):
        evaluated(server.url, tmp_path / "other", letters="auto")
    both = serve(HashModel())
    result = evaluated(both.url, tmp_path / "both", decision="caption_then_answer")
    assert len(both.chats) == 80 and all(prediction.text for prediction in result.predictions)
    before = len(both.chats)
    (tmp_path / "both" / "predictions.jsonl").unlink()  # the ledger has it all
    evaluated(both.url, tmp_path / "both", decision="caption_then_answer")
    assert len(both.chats) == before


def test_the_key_is_in_no_file(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush-hush")
    server = serve(
        HashModel(), fault=lambda number, body: Fault(status=400, message="sk-hush-hush?") if number == 3 else None
    )
    model, chat = server.model, server.model.chat
    model.chat = lambda body: chat(body) | {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "sk-hush-hush": 1}}
    evaluated(server.url, tmp_path / "run", decision="generation", letters="none")
    assert server.keys == {"Bearer sk-hush-hush"}
    files = [path for path in (tmp_path / "run").iterdir() if path.is_file()]
    assert len(files) > 5 and not [path.name for path in files if b"sk-hush" in path.read_bytes()]
    assert b"***?" in (tmp_path / "run" / "predictions.jsonl").read_bytes()


def test_from_the_command_line(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_benchmark(30).save(tmp_path / "bench")
    server = serve(HashModel())
    place = str(tmp_path / "run")
    command = ["eval", str(tmp_path / "bench"), "--backend", f"endpoint:{server.url}", "--output", place]
    for setting in ("frames=0", "price_in=10", "price_out=10", "letters=vllm"):
        command += ["--set", setting]
    stopped = CliRunner().invoke(cli, [*command, "--set", "budget=0.02"])
    assert isinstance(stopped.exception, BudgetReachedError)
    monkeypatch.setattr(sys, "argv", ["llavaction", *command, "--set", "budget=0.02"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    done = CliRunner().invoke(cli, [*command, "--set", "budget=2"])
    assert done.exit_code == 0, done.output
    assert "30 questions: 30 answered" in done.output and "cost 0.0303" in done.stderr
    keys = CliRunner().invoke(cli, ["eval", "--keys"]).output
    assert "Of endpoint:URL:" in keys and "most_input_tokens (None)" in keys and "pass_tokens" in keys
