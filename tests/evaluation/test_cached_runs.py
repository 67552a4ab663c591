from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from helpers.evaluation_fakes import CONFIG, LIBRARY, FakeBackend, make_benchmark
from llavaction import api
from llavaction.backends.answer_cache import AnswerCache
from llavaction.backends.base import Query
from llavaction.backends.cached import CachedBackend
from llavaction.cli.main import cli
from llavaction.evaluation.runner import run
from llavaction.testing.tiny import write_tiny

RESULTS = ("predictions.jsonl", "metrics.json", "config.yaml")


class Known(FakeBackend):
    """Its scores hang on the whole call, and it says so."""

    fingerprint = "fake 1"
    joint = True

    def generate(self, queries: Sequence[Query]) -> list[str]:
        if queries[0].options:
            return super().generate(queries)
        self.asked.append([query.query_id for query in queries])
        return [f"something at {query.clip.times[0]:.3f} s" for query in queries if query.clip is not None]


def environment(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "environment.json").read_text())
    return found


@pytest.mark.parametrize("decision", ["likelihood", "generation", "caption_then_answer"])
@pytest.mark.parametrize("option_orders", [1, 3])
def test_a_run_from_the_cache_leaves_the_bytes_of_a_fresh_one(
    tmp_path: Path, decision: str, option_orders: int
) -> None:
    orders = 1 if decision == "generation" else option_orders
    config = CONFIG.model_copy(update={"decision": decision, "option_orders": orders})
    asked = Known(needs_frames=2)
    folders = [tmp_path / name for name in ("fresh", "first", "second")]
    fresh = run(config, make_benchmark(), Known(needs_frames=2), LIBRARY, folders[0])
    first, second = (
        run(config, make_benchmark(), CachedBackend(asked, AnswerCache(tmp_path / "a.sqlite")), LIBRARY, folder)
        for folder in folders[1:]
    )
    turns = 2 if decision == "caption_then_answer" else 1
    assert len(asked.asked) == 8 * turns  # 24 questions in batches of 3, by the first run alone
    assert (fresh.from_cache, first.from_cache, second.from_cache) == (0, 0, 23 * turns)  # one clip cannot be read
    for name in RESULTS:
        assert len({(folder / name).read_bytes() for folder in folders}) == 1
    assert "answers_from_the_cache" not in environment(folders[1])
    assert environment(folders[2])["answers_from_the_cache"] == 23 * turns
    run(config, make_benchmark(), CachedBackend(asked, AnswerCache(tmp_path / "a.sqlite")), LIBRARY, folders[2])
    assert environment(folders[2])["answers_from_the_cache"] == 23 * turns  # nothing was to be asked


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "model", "llava_onevision")


def test_the_command_tells_how_many_answers_came_from_the_cache(tmp_path: Path, checkpoint: Path) -> None:
    benchmark = tmp_path / "benchmark"
    make_benchmark(8).save(benchmark)

    def evaluate(name: str, *more: str) -> str:
        where = ["--backend", str(checkpoint), "--output", str(tmp_path / name), "--set", "frames=0"]
        result = CliRunner().invoke(cli, ["eval", str(benchmark), *where, *more], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    file = tmp_path / "answers.sqlite"
    assert "from the cache" not in evaluate("first", "--cache", str(file))
    assert "answers from the cache: 8\n" in evaluate("second", "--cache", str(file))
    assert "from the cache" not in evaluate("third", "--no-cache")
    runs = [tmp_path / name for name in ("first", "second", "third")]
    for name in RESULTS:
        assert len({(folder / name).read_bytes() for folder in runs}) == 1
    file.write_bytes(b"damaged" * 1000)
    output = evaluate("fourth", "--cache", str(file))
    assert "answers are neither taken from the cache nor kept" in output and "from the cache: " not in output
    assert (tmp_path / "fourth" / "predictions.jsonl").read_bytes() == (runs[0] / "predictions.jsonl").read_bytes()
    refused = CliRunner().invoke(
        cli, ["eval", str(benchmark), "--backend", "chance", "--output", "x", "--cache", "y", "--no-cache"]
    )
    assert "contradict each other" in str(refused.exception)


def test_by_default_answers_are_kept_in_the_users_folder_of_caches(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    benchmark = make_benchmark(4)
    first, second = (
        api.evaluate(benchmark, checkpoint, tmp_path / name, model_options={"frames": 0}) for name in ("one", "two")
    )
    assert (first.from_cache, second.from_cache) == (0, 4)
    assert len(AnswerCache(tmp_path / "caches" / "llavaction" / "answers.sqlite")) == 4
    api.evaluate(benchmark, "oracle", tmp_path / "oracle")
    assert len(AnswerCache(tmp_path / "caches" / "llavaction" / "answers.sqlite")) == 4  # baselines are not kept
