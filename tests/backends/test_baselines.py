"""Baselines: what they choose, how often, and what they refuse."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from helpers.asking import as_query, make_query, make_question, scores_of
from llavaction.backends.base import Backend, Query
from llavaction.backends.baselines import Baseline, ChanceBackend, OracleBackend, PriorBackend, SpecialistBackend
from llavaction.base.errors import InputError
from llavaction.questions.asked import lettered
from llavaction.questions.keys import OptionClasses, option_classes, right_answers
from llavaction.specialists.predictions import SpecialistPrediction

QUESTIONS = [make_question(i, answer=i % 5) for i in range(2000)]
QUERIES = [as_query(question.asked) for question in QUESTIONS]
ANSWERS, CLASSES = right_answers(QUESTIONS), option_classes(QUESTIONS)


def _choices(backend: Baseline, queries: list[Query]) -> list[int]:
    return [int(scores.argmax()) for scores in scores_of(backend, queries)]


def _prior(counts: dict[tuple[int, int], int]) -> PriorBackend:
    return PriorBackend(counts, CLASSES)


@pytest.mark.parametrize(
    "backend", [ChanceBackend(), _prior({(0, 0): 3}), OracleBackend(ANSWERS, 0.3), SpecialistBackend({}, CLASSES)]
)
def test_all_keep_the_protocol(backend: Baseline) -> None:
    assert isinstance(backend, Backend)
    assert backend.needs_frames == 0
    assert isinstance(backend.settings, dict)
    assert backend.capabilities == {"score", "generate"}
    with pytest.raises(InputError, match="'q' has no options"):
        scores_of(backend, [Query("q", "What happens?")])


@pytest.mark.parametrize("backend", [ChanceBackend(), _prior({(0, 0): 3}), OracleBackend(ANSWERS, 0.3)])
def test_scores_are_log_probabilities_that_do_not_depend_on_company(backend: Baseline) -> None:
    queries = [make_query(i, options) for i, options in enumerate((2, 5, 26))]
    together = scores_of(backend, queries)
    for query, scores in zip(queries, together, strict=True):
        assert scores.dtype == np.float64
        assert scores.shape == (len(query.options),)
        assert np.exp(scores).sum() == pytest.approx(1, abs=1e-9)
        assert scores_of(backend, [query])[0].tolist() == scores.tolist()
        assert backend.generate([query]) == [lettered(query.options)[scores.argmax()]]


def test_chance_is_uniform_and_repeats() -> None:
    choices = _choices(ChanceBackend(), QUERIES)
    assert choices == _choices(ChanceBackend(), QUERIES)
    assert choices != _choices(ChanceBackend(seed=1), QUERIES)
    counts = Counter(choices)
    assert chisquare([counts[i] for i in range(5)]).pvalue > 0.01


def test_prior_takes_the_most_frequent_class() -> None:
    query = make_query(0)  # classes (0, 0) to (4, 0)
    backend = _prior({(2, 0): 30, (1, 0): 10, (7, 7): 999})
    scores = scores_of(backend, [query])[0]
    assert scores.argmax() == 2
    assert np.exp(scores[1] - scores[2]) == pytest.approx(10.5 / 30.5, abs=1e-6)
    assert np.exp(scores[4] - scores[2]) == pytest.approx(0.5 / 30.5, abs=1e-6)


def test_prior_breaks_ties_evenly() -> None:
    counts = Counter(_choices(_prior({(9, 9): 1}), QUERIES))
    assert chisquare([counts[i] for i in range(5)]).pvalue > 0.01


def test_prior_refuses_what_it_cannot_use() -> None:
    with pytest.raises(InputError, match="none negative"):
        _prior({})
    with pytest.raises(InputError, match="none negative"):
        _prior({(0, 0): -1})
    with pytest.raises(InputError, match="smoothing must be positive"):
        PriorBackend({(0, 0): 1}, {}, smoothing=0)
    with pytest.raises(InputError, match="question 'q0' have no action classes"):
        scores_of(PriorBackend({(0, 0): 1}, {}), [make_query(0)])


def _specialist(scores: tuple[float, ...], classes: OptionClasses = CLASSES) -> SpecialistBackend:
    actions = ((8, 8), (3, 0), (1, 0))
    return SpecialistBackend({"q0": SpecialistPrediction(segment_id="q0", actions=actions, scores=scores)}, classes)


def test_specialist_with_probabilities() -> None:
    scores = scores_of(_specialist((0.6, 0.2, 0.1)), [make_query(0)])[0]
    assert np.exp(scores[1] - scores[3]) == pytest.approx(0.5, abs=1e-6)
    assert scores.argmax() == 3
    assert max(scores[0], scores[2], scores[4]) < scores[1] - 0.9  # not listed: below the last one listed


def test_specialist_with_log_weights() -> None:
    scores = scores_of(_specialist((5.0, 2.0, -1.0)), [make_query(0)])[0]
    assert scores[3] - scores[1] == pytest.approx(3.0, abs=1e-6)
    assert scores[1] - scores[0] == pytest.approx(1.0, abs=1e-6)


def test_specialist_refuses_what_it_does_not_know() -> None:
    with pytest.raises(InputError, match=r"no specialist prediction for question 'q1' \(there are 1"):
        scores_of(_specialist((3, 2, 1)), [make_query(1)])
    with pytest.raises(InputError, match="no action classes"):
        scores_of(_specialist((3, 2, 1), {"q0": {}}), [make_query(0)])


def test_an_option_without_class_is_worst_where_others_have_one() -> None:
    mixed = replace(make_query(0), options=("something else", *make_query(0).options[1:]))
    assert scores_of(_prior({(1, 0): 5}), [mixed])[0].argmax() == 1
    assert scores_of(_specialist((3, 2, 1)), [mixed])[0].argmax() == 3


def test_oracle_without_and_with_errors() -> None:
    assert _choices(OracleBackend(ANSWERS), QUERIES) == [i % 5 for i in range(2000)]
    assert OracleBackend(ANSWERS).generate(QUERIES[3:4]) == [QUESTIONS[3].lettered_options[3]]
    assert _choices(OracleBackend({}), QUERIES[:5]) == [0] * 5
    wrong = [(c - i) % 5 for i, c in enumerate(_choices(OracleBackend(ANSWERS, 0.3), QUERIES))]
    assert sum(w != 0 for w in wrong) / 2000 == pytest.approx(0.3, abs=0.03)
    errors = Counter(w for w in wrong if w)
    assert chisquare([errors[i] for i in range(1, 5)]).pvalue > 0.01
    assert all(c != i % 5 for i, c in enumerate(_choices(OracleBackend(ANSWERS, 1.0), QUERIES)))
    with pytest.raises(InputError, match=r"between 0 and 1, got 1\.5"):
        OracleBackend(ANSWERS, 1.5)


def test_a_file_of_predictions_is_known_by_what_it_means(tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    path.write_text(json.dumps({"0": {"predictions": [0, 1], "target": 0}}))

    def known(actions: list[tuple[int, int]]) -> object:
        backend = SpecialistBackend.from_spec(str(path), segment_ids=["a"], actions=actions, classes={})
        return backend.settings["fingerprint"]

    assert known([(0, 0), (1, 1)]) == known([(0, 0), (1, 1)]) != known([(1, 1), (0, 0)])
