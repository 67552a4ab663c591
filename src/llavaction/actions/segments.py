"""Annotated spans of videos, and the table that holds them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field, model_validator

from llavaction.base.errors import InputError
from llavaction.base.records import Record, Strict

UNLABELLED = -1
"""Stands for a class that is not known."""

END_OF_VIDEO = 1e9
"""Seconds that stand for the end of a video whose length is not known."""


class Clip(Strict):
    """A span of a video to look at: half-open ``[start, stop)`` in seconds from the video's beginning."""

    video_id: str
    start: float = Field(ge=0, allow_inf_nan=False)
    stop: float = Field(allow_inf_nan=False)

    @model_validator(mode="after")
    def _span_is_not_empty(self) -> Clip:
        if self.stop <= self.start:
            raise ValueError(f"stop ({self.stop}) must be greater than start ({self.start})")
        return self

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.stop - self.start

    @property
    def ends_with_video(self) -> bool:
        """Whether it goes to the end of a video whose length is not known."""
        return self.stop >= END_OF_VIDEO


class Segment(Record):
    """One annotated action: where it is, what was said of it, and its classes."""

    segment_id: str
    video_id: str
    start: float = Field(ge=0, allow_inf_nan=False)
    stop: float = Field(allow_inf_nan=False)
    narration: str = Field(description="free text; empty where the source has none")
    verb_class: int = Field(ge=UNLABELLED, description="-1 where the source does not tell it")
    noun_class: int = Field(ge=UNLABELLED, description="-1 where the source does not tell it")
    participant_id: str = ""
    all_noun_classes: tuple[int, ...] = Field(
        default=(), description="every noun of the narration, the main one included"
    )
    extra: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _span_is_not_empty(self) -> Segment:
        if self.stop <= self.start:
            raise ValueError(f"stop ({self.stop}) must be greater than start ({self.start})")
        return self

    @property
    def labelled(self) -> bool:
        """Whether verb and noun are known."""
        return UNLABELLED not in self.action

    @property
    def action(self) -> tuple[int, int]:
        """The action class as a (verb class, noun class) pair."""
        return (self.verb_class, self.noun_class)

    @property
    def clip(self) -> Clip:
        """The span itself."""
        return Clip(video_id=self.video_id, start=self.start, stop=self.stop)


class SegmentTable:
    """Segments with unique ids, in their source's order, that knows which of them overlap.

    Raises:
        InputError: two segments have the same id.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._by_id: dict[str, Segment] = {}
        for segment in segments:
            if segment.segment_id in self._by_id:
                raise InputError(f"segment id '{segment.segment_id}' occurs twice; ids must be unique")
            self._by_id[segment.segment_id] = segment
        self._by_video: dict[str, list[Segment]] = {}
        for segment in sorted(self._by_id.values(), key=lambda s: (s.start, s.stop, s.segment_id)):
            self._by_video.setdefault(segment.video_id, []).append(segment)
        self._longest = {video: max(s.stop - s.start for s in segments) for video, segments in self._by_video.items()}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._by_id.values())

    def __getitem__(self, segment_id: str) -> Segment:
        return self._by_id[segment_id]

    def __contains__(self, segment_id: object) -> bool:
        return segment_id in self._by_id

    @property
    def videos(self) -> tuple[str, ...]:
        """Ids of the videos, sorted."""
        return tuple(sorted(self._by_video))

    def of_video(self, video_id: str) -> list[Segment]:
        """The segments of one video by start time."""
        return list(self._by_video.get(video_id, ()))

    def overlapping(self, segment: Segment) -> list[Segment]:
        """Other segments of the same video that share some time with ``segment``, by start time."""
        neighbours = self._by_video.get(segment.video_id, [])
        if not neighbours:
            return []
        first = bisect_left(neighbours, segment.start - self._longest[segment.video_id], key=lambda s: s.start)
        overlaps = []
        for other in neighbours[first:]:
            if other.start >= segment.stop:
                break
            if other.stop > segment.start and other.segment_id != segment.segment_id:
                overlaps.append(other)
        return overlaps
