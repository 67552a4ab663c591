from __future__ import annotations

from dataclasses import replace

import numpy as np

from helpers.asking import make_frames, make_query
from llavaction.backends.scoring.batching import bounded_batches, same_clips
from llavaction.video.decoded import DecodedClip


def test_passes_hold_prompts_of_similar_length() -> None:
    lengths = [10, 90, 30, 31, 89, 11, 12]
    assert bounded_batches(lengths, [0] * 7, 200) == [[1, 4], [3, 2, 6, 5, 0]]
    assert bounded_batches(lengths, [0] * 7, 90) == [[1], [4], [3, 2], [6, 5, 0]]
    assert bounded_batches(lengths, [0] * 7, 1) == [[1], [4], [3], [2], [6], [5], [0]]
    assert bounded_batches([], [], 10) == []


def test_passes_hold_one_group_and_no_more_than_allowed() -> None:
    rng = np.random.default_rng(0)
    lengths, groups = rng.integers(1, 100, 200).tolist(), rng.integers(0, 3, 200).tolist()
    passes = bounded_batches(lengths, groups, 300)
    assert sorted(index for members in passes for index in members) == list(range(200))
    for members in passes:
        assert len({groups[index] for index in members}) == 1
        assert len(members) * max(lengths[index] for index in members) <= 300
    padding = sum(max(lengths[i] for i in members) - lengths[j] for members in passes for j in members)
    assert padding < 0.1 * sum(lengths)


def test_clips_are_told_by_their_frames() -> None:
    frames = make_frames(0, 4)
    queries = [
        make_query(0, frames=frames),
        make_query(1, frames=frames.copy()),
        make_query(2, frames=make_frames(1, 4)),
        make_query(3),
        make_query(4),
        make_query(5, frames=frames.reshape(4, 160, 90, 3)),
        replace(make_query(6), clip=DecodedClip(frames, np.arange(4.0), 2.0)),
        replace(make_query(7), clip=DecodedClip.evenly(frames, 4.0)),  # so at other times
    ]
    assert same_clips(queries, across_questions=True) == [[0, 1], [2], [3], [4], [5], [6], [7]]
    assert same_clips(queries, across_questions=False) == [[index] for index in range(8)]


def test_orders_of_a_question_are_told_by_its_id() -> None:
    frames = make_frames(0, 4)
    first, other = make_query(0, frames=frames), make_query(1, frames=frames)
    again, elsewhere = replace(first, prompt="Again?"), replace(first, clip=DecodedClip.evenly(make_frames(1, 4), 2.0))
    assert same_clips([first, other, again, elsewhere], across_questions=False) == [[0, 2], [1], [3]]
