"""Batches: which questions go through a model together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from llavaction.backends.base import Query


def bounded_batches(lengths: Sequence[int], groups: Sequence[Hashable], most: int) -> list[list[int]]:
    """Put prompts of a group and of similar length together.

    Args:
        lengths: tokens of each prompt.
        groups: only prompts of equal groups can share a batch.
        most: tokens a batch may hold, padding counted; more only where a single prompt is longer.

    Returns:
        Indices of each batch, the longest prompts first (if memory does not suffice, it shows at once).
    """
    members: dict[Hashable, list[int]] = {}
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        members.setdefault(groups[index], []).append(index)
    batches = []
    for indices in members.values():
        start = 0
        while start < len(indices):
            stop = start + max(1, most // lengths[indices[start]])
            batches.append(indices[start:stop])
            start = stop
    return batches


def same_clips(queries: Sequence[Query], *, across_questions: bool) -> list[list[int]]:
    """Queries that ask about the same frames, as indices; those without frames are each alone.

    Args:
        queries: the queries of a call.
        across_questions: take queries on the same frames together whatever they ask; otherwise only those that carry
            the same question id, which are one question with its options in several orders.
    """
    groups: dict[Hashable, list[int]] = {}
    digests: dict[int, str] = {}  # by array: the orders of a question share theirs
    query_counts = Counter(query.query_id for query in queries)
    for index, query in enumerate(queries):
        clip, name = query.clip, query.query_id
        key: Hashable = index
        if clip is not None and (across_questions or query_counts[name] > 1):
            frames, when = clip.frames, (clip.duration, *clip.times)
            if id(frames) not in digests:
                digests[id(frames)] = hashlib.blake2b(np.ascontiguousarray(frames).tobytes()).hexdigest()
            key = (digests[id(frames)], frames.shape, when, None if across_questions else name)
        groups.setdefault(key, []).append(index)
    return list(groups.values())
