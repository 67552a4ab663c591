"""What a specialist offers: letters that do not tell its ranking, keys for those who know, digests that stay."""

from __future__ import annotations

import numpy as np

from helpers.candidates import CONFIG, PREDICTIONS, SEGMENTS, VOCABULARY
from llavaction.recognition.offers import NOTHING_ELSE, Offers

SINGLE = {
    name: found.model_copy(update={"actions": found.actions[:1], "scores": found.scores[:1]}) if number == 0 else found
    for number, (name, found) in enumerate(PREDICTIONS.items())
}
"""The first segment has a single candidate."""


def offers() -> Offers:
    return CONFIG.offers(SEGMENTS, SINGLE, VOCABULARY)


def test_options_and_candidates_are_the_same_in_two_orders() -> None:
    for offer in offers().of[1:]:
        assert offer.asked.options == tuple(offer.names[candidate] for candidate in offer.order)
        scores = np.array([offer.names.index(text) for text in offer.asked.options], np.float64)
        assert offer.ranked(scores).tolist() == [0.0, 1.0, 2.0]
    assert len({offer.order for offer in offers().of}) > 3


def test_a_single_candidate_gets_company_that_is_never_chosen() -> None:
    single = offers().of[0]
    assert single.asked.options == (*single.names, NOTHING_ELSE)
    assert single.ranked(np.array([-2.0, -0.1])).tolist() == [-2.0]


def test_those_who_know_are_told_by_name() -> None:
    made = offers()
    for number, offer in enumerate(made.of):
        offered = offer.segment.action in offer.candidates
        assert (offer.query_id in made.answers) is offered is (number % 4 < 3)
        if offered:
            assert made.answers[offer.query_id] == VOCABULARY.action_name(offer.segment.action)
        assert list(made.classes[offer.query_id].values()) == list(offer.candidates)


def test_runs_of_earlier_versions_know_the_same_offers() -> None:
    assert offers().digests == {
        "questions_sha256": "54a62eafde5a85587d42d3540ec90d560e2162c16af46afeb2c1892c5342b84f",
        "predictions_sha256": "13161521975712c2596e0adb9092f7ac39b6d7039f7faec1680f217b3439b354",
    }
