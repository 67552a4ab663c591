from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from helpers.evaluation_fakes import CONFIG, FakeBackend, make_benchmark
from llavaction.base.errors import InputError
from llavaction.evaluation.accounting import explain, explanation_text
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.runner import run
from llavaction.questions.schema import LETTERS, Benchmark, Question

WRITTEN = CONFIG.model_copy(update={"decision": "generation"})


def made(
    folder: Path, benchmark: Benchmark, texts: Mapping[str, str] | None = None, name: str = "m", **settings: object
) -> FinishedRun:
    config = type(WRITTEN).from_mapping(WRITTEN.model_dump() | settings)
    run(config, benchmark, FakeBackend(name=name, texts=dict(texts or {})), None, folder)
    return FinishedRun.load(folder)


def wrong(question: Question) -> str:
    return LETTERS[(question.answer + 1) % len(question.options)]


def sentence(question: Question) -> str:
    """Right for a reader, A for the regular expression of 2025."""
    return f"Answer: {question.answer_letter}"


def parts(pair: Mapping[str, object]) -> dict[str, float]:
    found: dict[str, float] = {}
    for step in pair["steps"]:  # type: ignore[attr-defined]
        found[step["cause"]] = found.get(step["cause"], 0.0) + step["points"]
    return found


def test_a_made_up_difference_is_accounted_for_to_the_last_point(tmp_path: Path) -> None:
    """Rows, denominator, parser and prompt each move what was made up for them, and nothing is left over."""
    benchmark = make_benchmark(questions=60, videos=12)
    questions = benchmark.questions
    texts = {question.question_id: wrong(question) for question in questions[:20]}  # only in the first: all wrong
    texts |= {question.question_id: "I see nothing here" for question in questions[20:25]}  # left out by videomme
    spoken = [question for question in questions[25:40] if question.answer != 0]
    texts |= {question.question_id: f"Best option: {question.answer_letter}" for question in spoken}
    first = made(tmp_path / "a", benchmark, texts, parsing="official", parser="videomme")
    part = Benchmark(questions[20:], benchmark.card)
    second_texts = {**texts, **{question.question_id: wrong(question) for question in questions[52:]}}
    second = made(tmp_path / "b", part, second_texts, prompt="published")
    found = explain([first, second], benchmark)
    pair = found["pairs"][0]
    lost = sum(question.answer != 1 for question in spoken)  # "Best option: C" is B there
    read_wrongly = lost / 40
    before = (60 - 20 - 5 - lost) / 55
    assert found["runs"][0]["published"] == pytest.approx(before)
    common = (35 - lost) / 35
    assert parts(pair) == pytest.approx({
        "rows": common - before,
        "denominator": (35 - lost) / 40 - common,
        "parser": read_wrongly,
        "prompt": -8 / 40,
    })  # fmt: skip
    assert sum(step["points"] for step in pair["steps"]) == pytest.approx(found["difference"], abs=1e-12)
    assert (pair["common"], pair["only_first"], pair["only_second"]) == (40, 20, 0)
    last = pair["steps"][-1]
    assert last["low"] <= -8 / 40 <= last["high"] and 0 < last["p"] <= 1
    text = explanation_text(found)
    assert "prompt was 'letters', now 'published'" in text and "5 questions that the first run's parser" in text


def test_several_settings_at_once_are_not_told_apart_and_a_chain_tells_them(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=40, videos=10)
    bad = {question.question_id: wrong(question) for question in benchmark.questions}
    ids = list(bad)
    first = made(tmp_path / "a", benchmark, {one: bad[one] for one in ids[:20]})
    between = made(tmp_path / "b", benchmark, {one: bad[one] for one in ids[:12]}, prompt="published")
    last = made(tmp_path / "c", benchmark, {one: bad[one] for one in ids[:10]}, name="better", prompt="published")
    both = explain([first, last])
    (step,) = both["pairs"][0]["steps"]
    assert step["cause"] == "not separable: model + prompt" and step["points"] == pytest.approx(0.25)
    assert "no run separates them" in both["pairs"][0]["notes"][0]
    chain = explain([first, between, last])
    assert chain["by_cause"] == pytest.approx({"prompt": 0.2, "model": 0.05})
    assert sum(chain["by_cause"].values()) == pytest.approx(chain["difference"])
    assert "the whole chain: +25.00 points" in explanation_text(chain)


def test_settings_without_effect_leave_chance(tmp_path: Path) -> None:
    benchmark = make_benchmark()
    runs = [made(tmp_path / name, benchmark, batch_size=size) for name, size in (("a", 2), ("b", 5))]
    (step,) = explain(runs)["pairs"][0]["steps"]
    assert (step["cause"], step["points"], step["p"]) == ("nothing on record", 0.0, 1.0)


def test_without_the_options_the_parser_stays_with_the_rest(tmp_path: Path) -> None:
    benchmark = make_benchmark()
    first = made(tmp_path / "a", benchmark, prompt="published")
    texts = {question.question_id: sentence(question) for question in benchmark.questions}
    second = made(tmp_path / "b", benchmark, texts, parsing="official", parser="videomme_2025")
    pair = explain([first, second])["pairs"][0]
    assert pair["steps"][-1]["cause"] == "not separable: parser + prompt"
    assert any("options of its questions are not at hand" in note for note in pair["notes"])
    told = explain([first, second], benchmark)["pairs"][0]
    misread = sum(question.answer != 0 for question in benchmark.questions) / 24
    assert parts(told) == pytest.approx({"parser": 0.0, "prompt": -misread})
    assert f"on the second run's texts it would be {-100 * misread:+.1f}" in told["steps"][0]["detail"]


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    benchmark = make_benchmark()
    halves = [Benchmark(benchmark.questions[:12], benchmark.card), Benchmark(benchmark.questions[12:], benchmark.card)]
    runs = [made(tmp_path / str(number), half) for number, half in enumerate(halves)]
    with pytest.raises(InputError, match="no question in common"):
        explain(runs)
    with pytest.raises(InputError, match="two runs"):
        explain(runs[:1])


def test_random_accountings_always_add_up(tmp_path: Path) -> None:
    """Whatever the texts, rows and parsers: the parts make the whole."""
    from llavaction.base.seeding import hashed_rng

    parsers = ("nextqa", "videomme", "mvbench", "mvbench_check_ans", "longvideobench", "tomato")
    pieces = ("A", "(B)", "", "Best option: C", "a cup", "I see", "D.", "(", "Answer: B", "take plate")
    benchmark = make_benchmark(questions=18, videos=6)
    for trial in range(8):
        rng = hashed_rng("accounting", trial)
        runs = []
        for side in range(2):
            texts = {q.question_id: str(rng.choice(pieces)) for q in benchmark.questions}
            kept = sorted(rng.choice(18, size=int(rng.integers(9, 18)), replace=False))
            part = Benchmark([benchmark.questions[i] for i in kept], benchmark.card)
            parser = str(rng.choice(parsers))
            runs.append(made(tmp_path / f"{trial}-{side}", part, texts, parsing="official", parser=parser))
        if not {p.question_id for p in runs[0].predictions} & {p.question_id for p in runs[1].predictions}:
            continue
        found = explain(runs, benchmark, n=50)
        total = sum(step["points"] for step in found["pairs"][0]["steps"])
        assert total == pytest.approx(found["difference"], abs=1e-12)
