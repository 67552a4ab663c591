"""What goes wrong between us and a server: nothing is lost, nothing is asked twice, and the run stops where it must."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.asking import make_query
from helpers.scripted_server import Fault, HashModel, ScriptedServer, digest, serving
from llavaction.backends.base import Query, QuestionError
from llavaction.backends.endpoint.backend import EndpointBackend
from llavaction.backends.endpoint.server import _wait
from llavaction.backends.endpoint.stops import BackendStoppedError
from llavaction.backends.endpoint.throttle import Throttle
from llavaction.backends.registry import make_backend
from llavaction.base.seeding import hashed_rng

Serve = Callable[..., ScriptedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda model, **options: stack.enter_context(serving(ScriptedServer(model, **options)))


def asked(server: ScriptedServer, **options: Any) -> EndpointBackend:
    values = {"backoff": 0.004, "frames": 0, "letters": "none", **options}
    backend = make_backend(f"endpoint:{server.url}", **values)
    assert isinstance(backend, EndpointBackend)
    return backend


def questions(count: int, words: str = "What?") -> list[Query]:
    return [make_query(number, 3, words=f"{words} {number}") for number in range(count)]


def of_hash(seed: int, share: float = 0.5, seconds: float = 3.0) -> Callable[[int, dict[str, Any]], Fault | None]:
    """A share of the requests fails, each in one of seven ways, drawn by its number."""
    kinds = [
        Fault(status=429, retry_after="0.01"), Fault(status=503), Fault(status=500), Fault("slow", seconds=seconds),
        Fault("cut"), Fault("truncated"), Fault("garbage"),
    ]  # fmt: skip

    def fault(number: int, body: dict[str, Any]) -> Fault | None:
        rng = hashed_rng("fault", seed, number)
        return kinds[int(rng.integers(len(kinds)))] if rng.random() < share else None

    return fault


def test_whatever_fails_every_question_is_answered_once(serve: Serve) -> None:
    queries = questions(60)
    expected = asked(serve(HashModel())).generate(queries)
    assert len(set(expected)) > 1
    server = serve(HashModel(), fault=of_hash(1))
    assert asked(server, timeout=2.0, attempts=30, max_failures=100).generate(queries) == expected
    assert len(server.answered) == 60 and set(server.answered.values()) == {1}
    assert len(server.chats) > 80


@pytest.mark.parametrize(
    "fault",
    [Fault(status=500), Fault(status=503), Fault(status=429, retry_after="0.02"), Fault("slow", seconds=3.0),
     Fault("cut"), Fault("truncated"), Fault("garbage")],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)  # fmt: skip
def test_each_kind_of_failure_is_repeated(fault: Fault, serve: Serve) -> None:
    server = serve(HashModel(), fault=lambda number, body: fault if number < 2 else None)
    backend = asked(server, timeout=2.0)
    assert len(backend.generate(questions(3))) == 3
    assert set(server.answered.values()) == {1} and len(server.chats) == 5


def test_retry_after_is_waited_for(serve: Serve) -> None:
    at: list[float] = []

    def fault(number: int, body: dict[str, Any]) -> Fault | None:
        at.append(time.monotonic())
        return Fault(status=429, retry_after="0.3") if number == 0 else None

    server = serve(HashModel(), fault=fault)
    asked(server).generate(questions(1))
    assert len(at) == 2 and at[1] - at[0] >= 0.3  # the server's wish, not ours of 4 ms
    assert _wait("7") == 7 and _wait("soon") is None and _wait(None) is None
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 < (_wait(later) or 0) <= 30
    server = serve(HashModel(), fault=lambda number, body: Fault(status=429, retry_after="86400"))
    with pytest.raises(BackendStoppedError, match="asks to wait for 86400 s"):
        asked(server).generate(questions(1))


def test_more_at_once_while_answers_come_and_fewer_when_it_is_too_much(serve: Serve) -> None:
    server = serve(HashModel(delay=0.2))
    backend = asked(server, concurrency=12)
    backend.generate(questions(60))
    assert 4 < server.most_at_once <= 12 == backend.dispatcher.throttle.peak
    assert backend.dispatcher.throttle.limit == 12

    def fault(number: int, body: dict[str, Any]) -> Fault | None:
        return Fault(status=429) if crowded.now > 3 else None

    crowded = serve(HashModel(delay=0.01), fault=fault)
    backend = asked(crowded, concurrency=32, max_failures=1000)
    assert len(backend.generate(questions(100))) == 100
    assert set(crowded.answered.values()) == {1}
    assert backend.dispatcher.throttle.limit < 16 and len(crowded.chats) < 260


def test_the_throttle_counts_one_cut_for_those_sent_before_it() -> None:
    async def work() -> list[float]:
        throttle = Throttle(64)
        limits: list[float] = []
        for _ in range(40):
            throttle.answered()
        limits.append(throttle.limit)
        assert limits == [44.0]
        sent_at = time.monotonic()
        assert throttle.congested(sent_at) and not throttle.congested(sent_at)
        limits.append(throttle.limit)
        assert throttle.congested(time.monotonic())
        limits.append(throttle.limit)
        for _ in range(9):
            throttle.congested(time.monotonic())
        limits.append(throttle.limit)
        for _ in range(4):
            throttle.answered()
        return [*limits, throttle.limit]

    assert asyncio.run(work()) == pytest.approx([44, 22, 11, 1, 1 + 1 + 1 / 2 + 1 / 2.5 + 1 / 2.9])


def test_a_question_that_always_fails_fails_alone(serve: Serve) -> None:
    def fault(number: int, body: dict[str, Any]) -> Fault | None:
        return Fault(message="out of memory") if "Poison" in str(body["messages"]) else None

    server = serve(HashModel(), fault=fault)
    backend = asked(server, attempts=3)
    queries = [*questions(6), *questions(1, "Poison")]
    with pytest.raises(QuestionError, match=r"failed 3 times.*\(500\): out of memory") as error:
        backend.generate(queries)
    assert error.value.question_id == "q0" and len(backend.generate(queries[:6])) == 6
    alone = asked(server, attempts=3)  # nothing else is asked, so that a small request tells who is at fault
    before = len(server.chats)
    with pytest.raises(QuestionError, match="failed 3 times"):
        alone.generate(queries[6:])
    assert len(server.chats) == before + 4


def test_a_server_that_fails_all_stops_the_run_and_what_was_answered_stays(serve: Serve) -> None:
    dead: list[bool] = []
    server = serve(HashModel(), fault=lambda number, body: Fault(status=502) if dead or number >= 10 else None)
    backend = asked(server, attempts=3, max_failures=5)
    queries = questions(40)
    with pytest.raises(BackendStoppedError, match=r"failed \d+ times in a row; the last: the server says \(502\)"):
        backend.generate(queries)
    assert sum(server.answered.values()) == 10 and len(server.chats) < 100  # not 9,668 questions one by one
    server.fault = lambda number, body: None
    assert len(backend.generate(queries)) == 40
    assert set(server.answered.values()) == {1}


def test_a_server_that_goes_away_stops_the_run(serve: Serve) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving(ScriptedServer(HashModel())))
        backend = asked(server, max_failures=4)
        assert len(backend.generate(questions(3))) == 3
    with pytest.raises(BackendStoppedError, match="failed 4 times in a row"):
        backend.generate(questions(50, "Where?"))


def test_who_interrupts_can_go_on(serve: Serve, tmp_path: Path) -> None:
    server = serve(HashModel(delay=0.3))
    backend = asked(server, concurrency=4)
    queries = questions(8)
    timer = threading.Timer(0.45, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt), backend.in_folder(tmp_path):
        backend.generate(queries)
    done = (tmp_path / "ledger.jsonl").read_text().count("\n")
    assert done == 4
    server.model.delay = 0.0
    again = asked(server)
    with again.in_folder(tmp_path):
        assert len(again.generate(queries)) == 8
    assert len(server.answered) == 8 and (tmp_path / "ledger.jsonl").read_text().count("\n") == 8


def test_equal_requests_are_sent_once(serve: Serve) -> None:
    server = serve(HashModel())
    backend = asked(server)
    one = questions(1)[0]
    texts = backend.generate([one, one, one])
    assert len(set(texts)) == 1 and len(server.chats) == 1
    backend.generate([one])  # without a folder nothing is remembered
    assert len(server.chats) == 2 and server.answered[digest(server.chats[0])] == 2


def test_scores_do_not_depend_on_how_many_are_under_way(serve: Serve) -> None:
    server = serve(HashModel())
    queries = [make_query(number, 5, words=f"What {number}?") for number in range(30)]
    rows = [
        [one.log_probabilities for one in asked(server, letters="vllm", concurrency=count).score_options(queries)]
        for count in (1, 16)
    ]
    assert np.array_equal(*rows)
