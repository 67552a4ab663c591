from __future__ import annotations

import pytest

from llavaction.actions.segments import Clip, Segment, SegmentTable
from llavaction.base.errors import InputError


def segment(name: str, start: float, stop: float, video: str = "v") -> Segment:
    return Segment(
        segment_id=name, video_id=video, start=start, stop=stop, narration="take plate", verb_class=0, noun_class=1
    )


def test_overlaps_are_those_of_a_full_scan():
    spans = [(0, 2), (1, 3), (2, 4), (0, 50), (10, 11), (10.5, 10.6), (60, 61), (59, 60)]
    segments = [segment(str(i), a, b) for i, (a, b) in enumerate(spans)] + [segment("other", 0, 100, "w")]
    table = SegmentTable(segments)
    for one in segments:
        expected = {
            two.segment_id
            for two in segments
            if two is not one and two.video_id == one.video_id and two.start < one.stop and one.start < two.stop
        }
        assert {found.segment_id for found in table.overlapping(one)} == expected


def test_touching_spans_do_not_overlap():
    table = SegmentTable([segment("a", 0, 1), segment("b", 1, 2)])
    assert table.overlapping(table["a"]) == []


def test_ids_are_unique():
    with pytest.raises(InputError, match="'a' occurs twice"):
        SegmentTable([segment("a", 0, 1), segment("a", 2, 3)])


@pytest.mark.parametrize(("start", "stop"), [(2.0, 2.0), (3.0, 2.0), (-1.0, 2.0), (0.0, float("inf"))])
def test_empty_negative_or_endless_clips_are_refused(start: float, stop: float):
    with pytest.raises(InputError):
        Clip.from_mapping({"video_id": "v", "start": start, "stop": stop})
