"""The probability mass on the option letters, from the model to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from helpers.evaluation_fakes import CONFIG, FakeBackend
from llavaction.backends.asking import option_scores
from llavaction.backends.base import OptionScores, Query
from llavaction.backends.letter_mass import letter_mass_summary, letter_mass_warning
from llavaction.base.records import read_json, write_json
from llavaction.evaluation.predictions import read_predictions
from llavaction.evaluation.report import write_report
from llavaction.evaluation.runner import run
from llavaction.questions.schema import Benchmark

MASSES = (0.9, 0.2, 0.4, 0.1)


@dataclass
class Telling(FakeBackend):
    """Knows how much of its probability is on the letters."""

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        scores = super().score_options(queries)
        numbers = [int(query.query_id.rpartition("_")[2]) for query in queries]
        return [replace(found, letter_mass=MASSES[number % 4]) for found, number in zip(scores, numbers, strict=True)]


def test_masses_are_kept_and_summed_up(benchmark: Benchmark, tmp_path: Path) -> None:
    metrics = run(CONFIG, benchmark, Telling(), None, tmp_path / "told").metrics
    assert [found.letter_mass for found in read_predictions(tmp_path / "told")[:5]] == [*MASSES, 0.9]
    assert metrics["letter_mass"] == {"mean": 0.4, "median": 0.3, "below_half": 0.75, "n": 24}
    text = write_report(tmp_path / "report.html", [tmp_path / "told"], benchmark).read_text(encoding="utf-8")
    assert "mean 40.0\u00a0%, median 30.0\u00a0%; below one half in 75.0\u00a0% of 24 questions" in text
    assert "may not begin with a letter" in text


def test_plain_scores_and_old_folders_have_none(benchmark: Benchmark, tmp_path: Path) -> None:
    metrics = run(CONFIG, benchmark, FakeBackend(), None, tmp_path / "plain").metrics
    assert metrics["letter_mass"] is None
    file = tmp_path / "plain" / "predictions.jsonl"
    file.write_text(file.read_text().replace('"letter_mass": null, ', ""))  # as they were before
    assert "letter_mass" not in file.read_text()
    stored = read_json(tmp_path / "plain" / "metrics.json")
    del stored["letter_mass"]
    write_json(tmp_path / "plain" / "metrics.json", stored)
    assert {found.letter_mass for found in read_predictions(tmp_path / "plain")} == {None}
    text = write_report(tmp_path / "report.html", [tmp_path / "plain"], benchmark).read_text(encoding="utf-8")
    assert "Probability on the option letters" not in text


def test_the_mean_over_orders(benchmark: Benchmark) -> None:
    @dataclass
    class Two(FakeBackend):
        def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
            masses = (0.25, 0.75)
            return [replace(v, letter_mass=masses[i % 2]) for i, v in enumerate(super().score_options(queries))]

    batch = [question.asked for question in benchmark.questions[:2]]
    found = option_scores(Two(), batch, [None, None], "letters", orders=2)
    assert [found.by_place[i].letter_mass for i in (0, 1)] == [0.5, 0.5]


@pytest.mark.parametrize(("masses", "warns"), [((0.6, 0.5), False), ((0.6, 0.3), True), ((None, None), False)])
def test_a_warning_below_one_half(masses: tuple[float | None, ...], warns: bool) -> None:
    warning = letter_mass_warning(letter_mass_summary(masses))
    assert (warning is not None) is warns
    if warning:
        assert "45.0% of the model's probability (mean of 2 questions; below 50% in 50.0%" in warning
    assert letter_mass_summary([]) is None
    assert np.isclose((letter_mass_summary([0.1, None]) or {})["mean"], 0.1)
