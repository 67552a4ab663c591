from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.evaluation_fakes import CONFIG, FakeBackend, FakeLibrary, make_benchmark
from llavaction.backends.base import OptionScores, Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.base.errors import InputError
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.predictions import read_predictions
from llavaction.evaluation.runner import run
from llavaction.questions.asked import LETTERS
from llavaction.questions.option_orders import mean_over_orders, order_turns
from llavaction.questions.schema import Benchmark, Question
from llavaction.testing.tiny import write_tiny


class BiasedBackend(FakeBackend):
    """Knows each option's worth, a hash of its text, but prefers early places; notes what it is asked."""

    bias = 4.0

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        super().score_options(queries)
        self.queries = [*getattr(self, "queries", []), *queries]
        return [
            OptionScores(np.array([worth(text) - self.bias * place for place, text in enumerate(query.options)]))
            for query in queries
        ]


def worth(text: str) -> float:
    return sum(map(ord, text)) % 17 / 10


def test_turns() -> None:
    assert order_turns(5, 1) == [0]
    assert order_turns(5, 5) == [0, 1, 2, 3, 4]
    assert order_turns(3, 5) == [0, 1, 2]
    assert order_turns(20, 5) == [0, 4, 8, 12, 16]
    assert order_turns(5, 2) == [0, 2]


def turned(question: Question, turn: int) -> Question:
    options = question.options[turn:] + question.options[:turn]
    return question.model_copy(update={"options": options, "answer": (question.answer - turn) % len(options)})


def test_turned_options(benchmark: Benchmark) -> None:
    asked = benchmark.questions[0].asked
    assert asked.turned(0) is asked
    for turn in range(4):
        other = asked.turned(turn)
        assert other.options == asked.options[turn:] + asked.options[:turn]
        assert (other.query_id, other.clip, other.question) == (asked.query_id, asked.clip, asked.question)
        assert turned(benchmark.questions[0], turn).asked == other


def test_the_mean_is_over_options_not_places() -> None:
    scores = [np.array([1.0, 2.0, 4.0]), np.array([20.0, 40.0, 10.0])]
    assert mean_over_orders(scores, [0, 1]).tolist() == [5.5, 11.0, 22.0]
    assert mean_over_orders(scores[:1], [0]).tolist() == [1.0, 2.0, 4.0]
    assert mean_over_orders([np.array([-np.inf, 0.0])], [0]).tolist() == [-np.inf, 0.0]


@pytest.mark.parametrize("batch_size", [1, 3, 24])
def test_a_preference_for_places_cancels(tmp_path: Path, benchmark: Benchmark, batch_size: int) -> None:
    config = CONFIG.model_copy(update={"option_orders": 4, "batch_size": batch_size})
    result = run(config, benchmark, BiasedBackend(), None, tmp_path / "four")
    for question, prediction in zip(benchmark.questions, result.predictions, strict=True):
        worths = np.array([worth(option.text) for option in question.options])
        assert prediction.scores == pytest.approx(worths - 4.0 * 1.5, abs=1e-6)
        assert prediction.choice == worths.argmax()
        assert prediction.decision_rule == "option letters, mean of 4 option orders"
    once = run(CONFIG, benchmark, BiasedBackend(), None, tmp_path / "one")
    assert {prediction.choice for prediction in once.predictions} == {0}
    assert {prediction.decision_rule for prediction in once.predictions} == {"option letters"}


def test_the_orders_are_asked_together_on_the_same_frames(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=3, videos=1)
    backend = BiasedBackend(needs_frames=2)
    config = CONFIG.model_copy(update={"option_orders": 2, "batch_size": 2})
    library = FakeLibrary(bad=frozenset({"P01_01_1"}))
    result = run(config, benchmark, backend, library, tmp_path)
    assert backend.asked == [["P01_01_0"] * 2, ["P01_01_2"] * 2]
    first, second = backend.queries[:2]
    assert first.clip is second.clip
    assert first.options == benchmark.questions[0].asked.options
    assert second.options == first.options[2:] + first.options[:2]
    for letter, text in zip(LETTERS, second.options, strict=False):
        assert f"{letter}. {text}" in second.prompt
    assert [prediction.parse_status for prediction in result.predictions] == ["scored", "failed", "scored"]


def test_the_run_records_its_orders(tmp_path: Path, benchmark: Benchmark) -> None:
    config = CONFIG.model_copy(update={"option_orders": 3})
    run(config, benchmark, BiasedBackend(), None, tmp_path)
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored["option_orders"] == 3
    assert stored["resolved"]["decision_rule"] == "option letters, mean of 3 option orders"
    with pytest.raises(InputError, match="option_orders was 3, now 1"):
        run(CONFIG, benchmark, BiasedBackend(), None, tmp_path)


def test_generated_text_has_no_scores_to_average() -> None:
    with pytest.raises(InputError, match="averages scores"):
        RunConfig.from_mapping({"benchmark": "b", "backend": "x", "option_orders": 2, "decision": "generation"})


def test_orders_with_a_real_model_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    backend = HuggingFaceBackend(HuggingFaceConfig(path=write_tiny(tmp_path / "model"), frames=2, device="cpu"))
    benchmark = make_benchmark(questions=5, videos=1)
    lines = []
    for batch_size in (1, 3):
        config = CONFIG.model_copy(update={"option_orders": 4, "batch_size": batch_size})
        run(config, benchmark, backend, FakeLibrary(), tmp_path / str(batch_size))
        lines.append((tmp_path / str(batch_size) / "predictions.jsonl").read_bytes())
    assert lines[0] == lines[1]
    question = benchmark.questions[0]
    again = run(config, Benchmark([turned(question, 1)], benchmark.card), backend, FakeLibrary(), tmp_path / "turned")
    scores = read_predictions(tmp_path / "1")[0].scores
    assert np.roll(again.predictions[0].scores, 1) == pytest.approx(scores, abs=1e-4)  # places no longer matter
    alone = run(CONFIG, Benchmark([turned(question, 1)], benchmark.card), backend, FakeLibrary(), tmp_path / "one")
    assert np.abs(np.roll(alone.predictions[0].scores, 1) - np.array(scores)).max() > 1e-3
