from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from helpers.annotation_files import segment_row, write_annotations
from llavaction.base.errors import InputError
from llavaction.base.records import write_records
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.questions.audit import audit, audit_folder, smallest_leak, verdict
from llavaction.questions.builder import build_benchmark
from llavaction.questions.config import BuildConfig
from llavaction.questions.filters import TruthFilter
from llavaction.questions.schema import Benchmark
from llavaction.specialists.simulated import NoiseModel, simulate_predictions


def built(folder: Path, **values: object) -> Benchmark:
    return build_benchmark(EpicKitchens(folder), BuildConfig.from_mapping({"split": "validation", **values}))


def accuracy(result: dict, name: str) -> float:
    return next(entry["accuracy"] for entry in result["attacks"] if entry["name"] == name)


def assert_sound(benchmark: Benchmark, dataset: EpicKitchens, options: int) -> None:
    table = dataset.segments("validation")
    truth = TruthFilter(table, dataset.vocabulary)
    for question in benchmark.questions:
        segment = table[question.question_id]
        assert len(question.options) == options
        assert question.options[question.answer].action == segment.action
        assert len({option.text for option in question.options}) == options
        for i, option in enumerate(question.options):
            if i != question.answer:
                assert option.action is not None
                assert truth.reason(segment, option.action) is None


@pytest.mark.parametrize("miner", ["random", "exchangeable", "specialist"])
@pytest.mark.parametrize("text", ["clean", "clean-narrations", "paper"])
def test_every_question_is_sound(annotations: Path, tmp_path: Path, miner: str, text: str):
    dataset = EpicKitchens(annotations)
    predictions = None
    if miner == "specialist":
        predictions = tmp_path / "predictions.jsonl"
        actions = dataset.vocabulary.actions
        simulated = simulate_predictions(dataset.segments("validation"), actions, {}, NoiseModel())
        write_records(predictions, simulated.values())
    benchmark = built(annotations, miner=miner, text=text, predictions=predictions)
    assert len(benchmark.questions) == 720
    assert_sound(benchmark, dataset, 5)
    answers = Counter(question.answer for question in benchmark.questions)
    assert stats.chisquare([answers[i] for i in range(5)]).pvalue > 0.01
    if text == "paper":
        table = dataset.segments("validation")
        own = [q.options[q.answer].text == table[q.question_id].narration for q in benchmark.questions]
        assert np.mean(own) > 0.95
    if text == "clean":
        for question in benchmark.questions[:50]:
            assert all(o.text == dataset.vocabulary.action_name(o.action) for o in question.options if o.action)


def test_same_bytes_for_any_number_of_workers_and_hash_seed(annotations: Path, tmp_path: Path):
    outputs = []
    for name, workers, hash_seed in (("a", "1", "0"), ("b", "3", "1"), ("c", "1", "random")):
        command = [
            sys.executable, "-m", "llavaction.cli.main", "benchmark", "build", "--annotations", str(annotations),
            "--split", "validation", "--workers", workers, "--output", str(tmp_path / name), "--json",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["counts"]["questions"] == 720
        files = ("questions.jsonl", "facts.json", "card.json")
        outputs.append([(tmp_path / name / file).read_bytes() for file in files])
    assert outputs[0] == outputs[1] == outputs[2]


def test_the_order_of_rows_changes_no_question(annotations: Path, tmp_path: Path):
    validation = (annotations / "EPIC_100_validation.csv").read_text().splitlines()[1:]
    train = (annotations / "EPIC_100_train.csv").read_text().splitlines()[1:]
    other = write_annotations(tmp_path / "reversed", {"validation": validation[::-1], "train": train})
    first = {question.question_id: question for question in built(annotations).questions}
    second = {question.question_id: question for question in built(other).questions}
    assert first == second


def test_another_seed_gives_other_questions(annotations: Path):
    assert built(annotations, seed=1).questions != built(annotations, seed=2).questions


def test_filter_reasons(tmp_path: Path):
    rows = [
        segment_row(0, "P01_01", 0.0, 2.0, 2, 3, nouns=(5,)),
        segment_row(1, "P01_01", 1.0, 3.0, 6, 8),
        segment_row(2, "P01_01", 5.0, 6.0, 0, 0),
    ]
    dataset = EpicKitchens(write_annotations(tmp_path, {"validation": rows}))
    table = dataset.segments("validation")
    truth = TruthFilter(table, dataset.vocabulary)
    first = table["P01_01_0"]
    reasons = {
        (2, 3): "same class", (1, 3): "synonym", (2, 4): "synonym", (0, 5): "other noun", (6, 8): "overlap",
        (0, 0): None, (0, 3): None, (6, 0): None,
    }  # fmt: skip
    assert {action: truth.reason(first, action) for action in reasons} == reasons


def test_exchangeable_sets_withstand_the_attacks_that_break_the_others(annotations: Path, tmp_path: Path):
    dataset = EpicKitchens(annotations)
    predictions = tmp_path / "predictions.jsonl"
    simulated = simulate_predictions(
        dataset.segments("validation"), dataset.vocabulary.actions, {}, NoiseModel.from_mapping({"prior": 0.0})
    )
    write_records(predictions, simulated.values())
    good = audit(built(annotations))
    leaky = audit(built(annotations, miner="specialist", predictions=predictions))
    assert accuracy(good, "learnt") < 0.28
    assert accuracy(good, "centrality") < 0.25
    assert accuracy(leaky, "centrality") > 0.4
    assert accuracy(leaky, "learnt") > 0.4
    assert good["similarity"]["either"] > 0.65
    assert leaky["verdict"].startswith("Leaks")


def test_audit_is_written_and_dropped_when_the_questions_are_written_again(annotations: Path, tmp_path: Path):
    saved = built(annotations, miner="random").save(tmp_path)
    result = audit_folder(saved)
    assert json.loads((tmp_path / "audit.json").read_text()) == result
    assert result["filter"]["overlap"] == 0
    built(annotations, miner="random").save(tmp_path)
    assert not (tmp_path / "audit.json").exists()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"miner": "exchangeable"}, "miner was 'random', now 'exchangeable'"),
        ({"options": 4}, "options was 5, now 4"),
        ({"seed": 7}, "seed was 0, now 7"),
        ({"text": "paper"}, "text was 'clean', now 'paper'"),
    ],
)
def test_a_benchmark_is_not_replaced_by_another(
    annotations: Path, tmp_path: Path, changed: dict[str, object], named: str
):
    built(annotations, miner="random").save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=named):
        built(annotations, **{"miner": "random", **changed}).save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_loading_names_the_bad_line(annotations: Path, tmp_path: Path):
    built(annotations, miner="random").save(tmp_path)
    path = tmp_path / "questions.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], lines[3].replace('"answer": ', '"answer": 9'), *lines[4:]]))
    with pytest.raises(InputError, match=r"questions.jsonl:4: not a valid Question"):
        Benchmark.load(tmp_path)
    path.write_text("".join([*lines[:3], lines[0]]))
    with pytest.raises(InputError, match=r"questions.jsonl:4: question id 'P01_00_0' is also on line 1"):
        Benchmark.load(tmp_path)


def test_the_verdict_names_a_leak_even_if_a_wider_interval_lies_higher():
    wide = {"name": "wide", "note": "", "accuracy": 0.27, "low": 0.19, "high": 0.35}
    sure = {"name": "sure", "note": "", "accuracy": 0.265, "low": 0.23, "high": 0.30}
    assert verdict([wide, sure], 0.2).startswith("Leaks: without the video 'sure'")
    assert verdict([wide], 0.2).startswith("Undecided: ") and "less than 11 points" in verdict([wide], 0.2)


def test_the_verdict_states_what_the_audit_could_have_seen():
    narrow = {"name": "narrow", "note": "", "accuracy": 0.21, "low": 0.175, "high": 0.245}
    assert smallest_leak([narrow]) == pytest.approx(0.035 * (1.95996 + 0.84162) / 1.95996, abs=1e-4)
    assert verdict([narrow], 0.2).startswith("Blind-proof") and "Leaks of 5.0 points" in verdict([narrow], 0.2)


def test_a_few_questions_are_never_blind_proof(annotations: Path):
    whole = built(annotations, miner="random")
    result = audit(Benchmark(whole.questions[:32], whole.card, whole.facts))
    assert result["verdict"].startswith(("Undecided", "Leaks"))
    assert all("one video" in entry["method"] for entry in result["attacks"])


def test_clear_errors(annotations: Path, tmp_path: Path):
    with pytest.raises(InputError, match="did you mean 'exchangeable'"):
        built(annotations, miner="exchangable")
    with pytest.raises(InputError, match="did you mean 'noun_similarity'"):
        built(annotations, settings={"noun_similarty": 1})
    with pytest.raises(InputError, match="give --predictions FILE"):
        built(annotations, miner="specialist")
    rows = [segment_row(i, "P01_01", 2.0 * i, 2.0 * i + 1, 0, i) for i in range(3)]
    few = write_annotations(tmp_path / "few", {"validation": rows})
    with pytest.raises(InputError, match="ask for fewer --options"):
        built(few)
    with pytest.raises(InputError, match="3 questions are too few"):
        audit(built(few, options=2))
    with pytest.raises(InputError, match="use --text clean"):
        built(few, options=2, text="clean-narrations")


def test_real_annotations_at_k_5(shared: Path):
    folder = shared / "data" / "ek100"
    dataset = EpicKitchens(folder)
    benchmark = build_benchmark(dataset, BuildConfig.from_mapping({"split": "validation"}))
    assert len(benchmark.questions) == 9668
    assert_sound(benchmark, dataset, 5)
    result = audit(benchmark)
    assert result["position"]["p"] > 0.01
    assert max(entry["accuracy"] for entry in result["attacks"]) <= 0.25
    assert result["similarity"]["either"] >= 0.65
