"""What was done before and after a segment."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from llavaction.actions.segments import Segment, SegmentTable
from llavaction.questions.asked import PriorAction

MAX_GAP = 3.0
"""Seconds that may lie between an action and the next for both to belong together, as published."""

Pair = tuple[Segment, Segment]


def preceding_pairs(table: SegmentTable, max_gap: float = MAX_GAP) -> dict[str, Pair]:
    """The two segments that end last before each segment ends, by the segment's id; the earlier one first.

    As published: a segment has a pair where from each of the three to the next there are at most ``max_gap`` seconds.
    Segments may overlap, so one that ends before another may have begun after it; see :func:`prior_actions`.
    """
    pairs: dict[str, Pair] = {}
    for video in table.videos:
        by_end = sorted(table.of_video(video), key=lambda segment: segment.stop)
        for first, second, current in zip(by_end, by_end[1:], by_end[2:], strict=False):
            if second.start - first.stop <= max_gap and current.start - second.stop <= max_gap:
                pairs[current.segment_id] = (first, second)
    return pairs


def prior_actions(segment: Segment, pair: Pair, text_of: Callable[[Segment], str]) -> tuple[PriorAction, ...]:
    """What a prompt about ``segment`` says of its pair; nothing where one of them began no earlier than the segment.

    (The published code then prints offsets of zero and below: "-1.2 seconds ago, you started".)

    Args:
        segment: what is asked about.
        pair: see :func:`preceding_pairs`.
        text_of: says what was done in a segment.
    """
    offsets = [offset(segment, earlier) for earlier in pair]
    if min(offsets) <= 0:
        return ()
    return tuple(PriorAction(text_of(earlier), seconds) for earlier, seconds in zip(pair, offsets, strict=True))


def offset(segment: Segment, earlier: Segment) -> float:
    """Seconds from the start of ``earlier`` to the start of ``segment``, to two decimals."""
    return round(segment.start - earlier.start, 2)


def successors(table: SegmentTable, max_gap: float = MAX_GAP) -> dict[str, Segment]:
    """The segment that follows each segment within ``max_gap`` seconds, by the segment's id.

    Only where neither of the two overlaps any segment: then "first this, then that" is the whole story.
    """
    next_of: dict[str, Segment] = {}
    for video in table.videos:
        for segment, following in pairwise(table.of_video(video)):
            near = 0 <= following.start - segment.stop <= max_gap
            if near and not table.overlapping(segment) and not table.overlapping(following):
                next_of[segment.segment_id] = following
    return next_of
