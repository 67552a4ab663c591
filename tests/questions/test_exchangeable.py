from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from llavaction.actions.segments import Segment
from llavaction.base.seeding import hashed_rng
from llavaction.questions.exchangeable import (
    CONFLICT,
    ExchangeableConfig,
    GroupSampler,
    balance_groups,
    draw_group,
    fit_group,
    group_classes,
)


def segments_of(classes: list[tuple[int, int]], video: str = "P01_01") -> list[Segment]:
    return [
        Segment(
            segment_id=f"{video}_{i}", video_id=video, participant_id=video[:3], start=float(i), stop=i + 0.5,
            narration="x", verb_class=verb, noun_class=noun,
        )
        for i, (verb, noun) in enumerate(classes)
    ]  # fmt: skip


def test_gibbs_draws_follow_the_law_of_the_sets():
    """Against enumeration: 5 classes, 2 distractors, one conflict, one class ruled out for one question."""
    similarity = np.array([[0.0, 1.0, 0.0, 0.5, 0.0]] * 5)
    similarity = similarity + similarity.T
    np.fill_diagonal(similarity, CONFLICT)
    similarity[1, 2] = similarity[2, 1] = CONFLICT
    log_weights = np.log([0.3, 0.25, 0.2, 0.15, 0.1])
    count = 20_000
    answers = np.zeros(count, dtype=np.int64)
    allowed = np.ones((count, 5), dtype=bool)
    allowed[:, 4] = False
    sampler = GroupSampler(similarity, answers, allowed, 2)
    rng = np.random.default_rng(0)
    for _ in range(12):
        sampler.sweep(log_weights, rng.random((count, 2)))
    seen = Counter(tuple(sorted(row)) for row in sampler.members.tolist())

    law = {}
    for pair in combinations(range(1, 4), 2):
        members = (0, *pair)
        total = sum(similarity[a, b] for a, b in combinations(members, 2))
        law[pair] = float(np.exp(total + log_weights[list(pair)].sum()))
    law = {pair: mass / sum(law.values()) for pair, mass in law.items()}
    assert law[1, 2] == 0
    for pair, mass in law.items():
        assert seen[pair] / count == pytest.approx(mass, abs=4 * np.sqrt(0.25 / count))


def test_every_class_is_as_often_distractor_as_wanted():
    rng = np.random.default_rng(1)
    counts = {(v, n): int(rng.integers(1, 9)) for v in range(5) for n in range(8)}
    segments = segments_of([action for action, count in counts.items() for _ in range(count)])
    classes = group_classes(segments)
    allowed = np.ones((len(segments), len(classes)), dtype=bool)
    config = ExchangeableConfig()
    fit = fit_group(segments, [frozenset()] * len(classes), allowed, 4, config, hashed_rng("fit"))
    assert fit.imbalance < 0.05
    drawn: Counter[tuple[int, int]] = Counter()
    for repeat in range(20):
        generators = [hashed_rng(repeat, segment.segment_id) for segment in segments]
        for segment, actions in zip(segments, draw_group(fit, segments, allowed, 4, config, generators), strict=True):
            assert len({segment.action, *actions}) == 5
            drawn.update(actions)
    ratios = [drawn[action] / (20 * 4 * count) for action, count in counts.items()]
    assert np.average(np.abs(np.log(ratios)), weights=list(counts.values())) < 0.1


def test_similar_classes_come_together():
    segments = segments_of([(v, n) for v in range(6) for n in range(10)] * 2)
    classes = group_classes(segments)
    allowed = np.ones((len(segments), len(classes)), dtype=bool)
    shares = []
    for strength in (0.0, 3.0):
        config = ExchangeableConfig(verb_similarity=0, noun_similarity=strength)
        fit = fit_group(segments, [frozenset()] * len(classes), allowed, 4, config, hashed_rng("fit"))
        generators = [hashed_rng(segment.segment_id) for segment in segments]
        drawn = draw_group(fit, segments, allowed, 4, config, generators)
        together = [any(a[1] == s.noun_class for a in actions) for s, actions in zip(segments, drawn, strict=True)]
        shares.append(float(np.mean(together)))
    assert shares[0] < 0.45
    assert shares[1] > 0.75


def test_a_question_draws_the_same_whatever_is_drawn_beside_it():
    segments = segments_of([(v, n) for v in range(4) for n in range(6)] * 3)
    classes = group_classes(segments)
    allowed = np.ones((len(segments), len(classes)), dtype=bool)
    config = ExchangeableConfig()
    fit = fit_group(segments, [frozenset()] * len(classes), allowed, 4, config, hashed_rng("fit"))

    def draw(some: list[Segment]) -> list[list[tuple[int, int]]]:
        return draw_group(fit, some, allowed[: len(some)], 4, config, [hashed_rng(s.segment_id) for s in some])

    together = draw(segments)
    assert draw(segments[5:9]) == together[5:9]
    assert draw(segments[::-1]) == together[::-1]


def test_groups_are_videos_where_balance_is_possible():
    wide = segments_of([(v, n) for v in range(5) for n in range(10)], "P01_01")
    lopsided = segments_of([(0, 0)] * 40 + [(v, n) for v in range(5) for n in range(10)], "P01_02")
    short = segments_of([(0, 0), (1, 1)], "P02_01")
    groups = balance_groups([*lopsided, *short, *wide], 5, 0.8)
    assert sorted(len(group) for group in groups) == [50, 92]
    assert sum(len(group) for group in groups) == len(wide) + len(lopsided) + len(short)
    assert all(s in wide for group in groups if len(group) == 50 for s in group)


@pytest.mark.parametrize("classes", [5, 32, 33, 70])
def test_a_sweep_draws_what_plain_inverse_sampling_draws(classes: int):
    """Slot after slot by exponentials of the summed log-similarities; rows without any possible class stay empty."""
    rng = np.random.default_rng(classes)
    count, slots = 300, 4
    similarity = np.where(rng.random((classes, classes)) < 0.3, 1.5, 0.0)
    similarity[rng.random((classes, classes)) < 0.1] = CONFLICT
    similarity = np.minimum(similarity, similarity.T)
    np.fill_diagonal(similarity, CONFLICT)
    answers, allowed = rng.integers(0, classes, count), rng.random((count, classes)) < 0.7
    allowed[:5] = False
    log_weights = rng.normal(size=classes)
    sampler = GroupSampler(similarity, answers, allowed, slots)
    members = np.full((count, slots), -1)
    for _ in range(3):
        uniforms, expected = rng.random((count, slots)), np.zeros(classes)
        found = sampler.sweep(log_weights, uniforms)
        for row, slot in np.ndindex(count, slots):
            others = [other for place, other in enumerate(members[row]) if place != slot and other >= 0]
            field = similarity[[answers[row], *others]].sum(axis=0) + np.where(allowed[row], 0.0, CONFLICT)
            heights = np.cumsum(np.exp(field + log_weights))
            drawn = int((heights <= uniforms[row, slot] * heights[-1]).sum())
            members[row, slot] = drawn if heights[-1] > 0 else -1
            if heights[-1] > 0:
                expected += np.diff(heights, prepend=0.0) / heights[-1]
        assert sampler.members.tolist() == members.tolist()
        assert found == pytest.approx(expected, abs=1e-9)
    assert (members[:5] == -1).all()
    assert not sampler.sweep(log_weights, uniforms, count=False).any()
