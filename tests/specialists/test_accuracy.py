from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path

import numpy as np

from helpers.challenge_rows import NOUNS, VERBS, official_accuracies, random_split
from llavaction.actions.segments import Segment
from llavaction.specialists.accuracy import measure, measure_submission, official_table
from llavaction.specialists.challenge import SegmentScores
from llavaction.specialists.labels import SpecialistLabels
from llavaction.specialists.predictions import load_predictions
from llavaction.specialists.scores import SpecialistScores

ROWS = 1500


def order(scores: list[float]) -> list[int]:
    """All classes, best first; of equal scores the lower id."""
    return sorted(range(len(scores)), key=lambda label: (-scores[label], label))


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score - scores[0]) for score in scores]
    return [power / sum(powers) for power in powers]


def best_actions(verbs: list[float], nouns: list[float]) -> list[tuple[int, int]]:
    """Softmax of the best 100 verbs times that of the best 100 nouns, the best five products."""
    best_verbs, best_nouns = order(verbs)[:100], order(nouns)[:100]
    of_verbs, of_nouns = softmax([verbs[v] for v in best_verbs]), softmax([nouns[n] for n in best_nouns])
    found: list[tuple[int, int]] = []
    products = [[of_verb * of_noun for of_noun in of_nouns] for of_verb in of_verbs]
    for _ in range(5):
        largest = max(map(max, products))
        i = next(i for i, row in enumerate(products) if max(row) == largest)
        j = products[i].index(largest)
        products[i][j] = -1.0
        found.append((best_verbs[i], best_nouns[j]))
    return found


def test_the_challenge_s_accuracies_equal_an_independent_computation(tmp_path: Path):
    """1,500 random rows: many equal scores, unseen participants, tail classes, the right class near the top or not."""
    draw = random.Random(5)
    split = random_split(ROWS, seed=4)
    # steps of 0.5 and 0.37: sums, and so products of softmaxes, are equal only where both parts are
    verbs = [[float(np.float32(0.5 * draw.randrange(12))) for _ in range(VERBS)] for _ in range(ROWS)]
    nouns = [[float(np.float32(0.37 * draw.randrange(14))) for _ in range(NOUNS)] for _ in range(ROWS)]
    ranked = {
        row.name: (order(verbs[i]), order(nouns[i]), best_actions(verbs[i], nouns[i]))
        for i, row in enumerate(split.rows)
    }
    rows = list(split.rows)
    for i in range(0, ROWS, 2):  # of every second row the right classes are among the first
        verb, noun = draw.choice(ranked[rows[i].name][2]) if i % 4 else (order(verbs[i])[i // 4 % 8], rows[i].noun)
        rows[i] = dataclasses.replace(rows[i], verb=verb, noun=noun)
    split = dataclasses.replace(split, rows=rows)
    tied = sum(
        verbs[i][row.verb] == verbs[i][other]
        for i, row in enumerate(rows)
        for other in ranked[row.name][0][:6]
        if other != row.verb
    )
    assert tied > 300

    dataset = split.write(tmp_path / "annotations")
    segments = list(dataset.segments("validation"))
    labels = SpecialistLabels.of_training(dataset.vocabulary, dataset.segments("train"))
    labels = labels.model_copy(update={"nouns": labels.nouns[:NOUNS]})
    scores = SpecialistScores(
        labels,
        tuple(row.name for row in rows),
        np.array(verbs, np.float32),
        np.array(nouns, np.float32),
        None,
        0.0,
    )
    scores.save(tmp_path / "scores.npz")
    predictions = load_predictions(tmp_path / "scores.npz", scores.segment_ids, [], say=lambda _: None)
    expected = official_accuracies(split, ranked)
    assert {name: found["action"]["segments"] for name, found in expected.items()} == {
        "overall": ROWS,
        "unseen participants": sum(row.participant in {"P02", "P05"} for row in rows),
        "tail": sum(row.verb in split.tail_verbs or row.noun in split.tail_nouns for row in rows),
    }
    assert 0.05 < expected["overall"]["action"]["top-1"] < expected["overall"]["action"]["top-5"] < 0.6
    groups = dataset.groups("validation")
    assert measure(scores, list(predictions.values()), segments, groups) == expected
    submitted = (
        SegmentScores(
            row.name,
            dict(enumerate(verbs[i])),
            dict(enumerate(nouns[i])),
            dict(zip(predictions[row.name].actions, predictions[row.name].scores, strict=True)),
        )
        for i, row in enumerate(rows)
    )
    assert measure_submission(submitted, segments, groups) == expected


def test_what_a_submission_lacks_counts_as_wrong():
    segments = [
        Segment(segment_id=name, video_id="v", start=0, stop=1, narration="", verb_class=0, noun_class=1)
        for name in ("a", "b", "c", "d")
    ]
    unknown = segments[0].model_copy(update={"segment_id": "e", "verb_class": -1, "noun_class": -1})
    right = SegmentScores("a", {0: 0.9, 1: 0.1}, {0: 0.2, 1: 0.8}, {(0, 1): 0.7, (0, 0): 0.1})
    other = SegmentScores("b", {0: 0.1, 1: 0.9}, {0: 0.2}, {(0, 0): 0.1})
    found = measure_submission([right, other, dataclasses.replace(right, segment_id="z")], [*segments, unknown], {})
    assert found == {
        "overall": {
            "verb": {"top-1": 0.25, "top-5": 0.5, "segments": 4},
            "noun": {"top-1": 0.25, "top-5": 0.25, "segments": 4},
            "action": {"top-1": 0.25, "top-5": 0.25, "segments": 4},
        }
    }
    assert measure_submission([right], [unknown], {}) == {}
    one = official_table(np.zeros((4, 3)), segments, {}, ["action"])
    assert one == {"overall": {"action": {"top-1": 1.0, "top-5": 1.0, "segments": 4}}}
