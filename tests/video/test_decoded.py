"""A decoded clip: what is kept of it, and what became of one that cannot be read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.video.decoded import DecodedClip, Frames, decode, decoded

CLIP = Clip(video_id="v", start=2.0, stop=4.0)
IMAGES = np.zeros((2, 4, 4, 3), np.uint8)


def test_times_count_from_the_clips_start() -> None:
    whole = decoded(SimpleNamespace(images=IMAGES, times=np.array([1.99, 3.5]), error=None), CLIP)
    assert (whole.times.tolist(), whole.duration, whole.nbytes, whole.record_fields) == ([0.0, 1.5], 2.0, 96, {})
    assert DecodedClip.evenly(IMAGES, 2.0).times.tolist() == [0.5, 1.5]


def test_what_is_missing_is_kept() -> None:
    error = InputError("ends early", file="/videos/of/somebody/v.mp4", hint="copy it again")
    part = decoded(SimpleNamespace(images=IMAGES, times=np.array([2.5, 3.5]), error=error, stand_ins=(1,)), CLIP)
    assert part.error is None
    assert part.record_fields == {"note": "v.mp4: ends early (copy it again)", "stand_ins": (1,)}


@pytest.mark.parametrize("raised", [InputError("is damaged"), ValueError("is damaged")])
def test_whatever_goes_wrong_becomes_a_reason(raised: Exception) -> None:
    class Damaged:
        def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> Frames:
            raise raised

    found = decode(Damaged(), CLIP, 2)
    assert found.error in ("is damaged", "ValueError: is damaged") and not len(found.frames)
    empty = SimpleNamespace(images=IMAGES[:0], times=np.zeros(0), error=None)
    assert decoded(empty, CLIP).error == "no frame could be decoded"
