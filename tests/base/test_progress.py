from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from llavaction.base import progress as module
from llavaction.base.progress import duration, progress


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, int], list[str]]:
    """Works through items of so many seconds each, by a clock of its own; the lines that were printed."""
    clock = [1e6]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "_pace", module._Pace())

    def work(seconds: float, items: int, again: int = 1) -> list[str]:
        said = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", said)
            for _ in range(again):
                for _ in progress(range(items), "counting"):
                    clock[0] += seconds
        return said.getvalue().splitlines()

    return work


def test_lines_in_a_log(log: Callable[..., list[str]]) -> None:
    lines = log(1.0, 20)
    assert lines[0] == "counting: 5 of 20 (25%) in 5 s, 15 s left"
    assert [line.split()[1] for line in lines] == ["5", "7", "10", "13", "17"]
    assert lines[-1] == "counting: 17 of 20 (85%) in 17 s, 3 s left"


def test_short_work_says_nothing(log: Callable[..., list[str]]) -> None:
    assert log(0.1, 49) == []


@pytest.mark.parametrize(("seconds", "items", "again"), [(1.0, 86400, 1), (1.0, 36, 100), (900.0, 96, 1)])
def test_few_lines_however_long(log: Callable[..., list[str]], seconds: float, items: int, again: int) -> None:
    """A day of items, a hundred epochs of half a minute, a day of long items."""
    assert 12 <= len(log(seconds, items, again)) <= 40


def test_after_a_pause_it_begins_anew(log: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    log(1.0, 3000)
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 61)
    module._pace.start()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 67)
    assert module._pace.is_due()


def test_a_log_that_takes_no_more_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pace", module._Pace())
    monkeypatch.setattr(module, "FIRST", 0.0)
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", full)
        assert sum(progress([1, 2, 3], "x")) == 6
        monkeypatch.undo()
        with pytest.raises(OSError):
            full.close()


def test_how_long_is_said() -> None:
    assert [duration(seconds) for seconds in (0, 99, 100, 5940, 12000)] == [
        "0 s",
        "99 s",
        "2 min",
        "99 min",
        "3 h 20 min",
    ]
