"""Prior actions: what a prompt tells of the two actions before, and the order in which that can be known."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal

from llavaction.actions.segments import Segment, SegmentTable
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.curation.neighbours import preceding_pairs, prior_actions
from llavaction.questions.asked import PriorAction
from llavaction.recognition.recogniser import SegmentItem
from llavaction.recognition.records import Recognition


class PriorActions:
    """Says what came before a segment, as far as it is known; nothing unless both actions are.

    Args:
        source: "own", as they were recognised; "true", as annotated; None tells nothing.
        segments: all of the split.
        vocabulary: names the classes.
        done: recognitions so far, by segment id.
    """

    def __init__(
        self,
        source: Literal["own", "true"] | None,
        segments: Sequence[Segment],
        vocabulary: ActionVocabulary,
        done: Mapping[str, Recognition],
    ) -> None:
        self._source, self._vocabulary, self._done = source, vocabulary, done
        self._pairs = {} if source is None else preceding_pairs(SegmentTable(segments))

    def __call__(self, segment: Segment) -> tuple[PriorAction, ...]:
        """The two actions that end last before it, the earlier one first."""
        pair = self._pairs.get(segment.segment_id)
        if pair is None or not all(map(self._words, pair)):
            return ()
        return prior_actions(segment, pair, self._words)

    def _words(self, earlier: Segment) -> str:
        if self._source == "true":
            return self._vocabulary.action_name(earlier.action) if earlier.labelled else ""
        known = self._done.get(earlier.segment_id)
        return "" if known is None or known.name is None else known.name


def turns_of_videos(items: Sequence[SegmentItem], batch_size: int) -> list[list[SegmentItem]]:
    """Batches in which each segment is of another video, every video in the order of its time.

    What comes before a segment has then been dealt with in earlier batches, and as many videos go on side by side as a
    batch holds.
    """
    by_video: dict[str, list[SegmentItem]] = {}
    for item in sorted(items, key=lambda item: (item.clip.start, item.clip.stop, item.query_id)):
        by_video.setdefault(item.clip.video_id, []).append(item)
    waiting = [deque(of_video) for _, of_video in sorted(by_video.items())]
    lanes, waiting = waiting[:batch_size], waiting[batch_size:]
    batches: list[list[SegmentItem]] = []
    while lanes:
        batches.append([lane.popleft() for lane in lanes])
        going = [lane for lane in lanes if lane]
        free = len(lanes) - len(going)  # the next videos take the places of those that have ended
        lanes, waiting = going + waiting[:free], waiting[free:]
    return batches
