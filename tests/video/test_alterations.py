from __future__ import annotations

import numpy as np
import pytest

from helpers.evaluation_fakes import FakeFrames, FakeLibrary
from llavaction.actions.segments import Clip
from llavaction.video.alterations import ALTERATIONS, AlteredLibrary

CLIP = Clip(video_id="P01_01", start=3.0, stop=5.0)


class Numbered:
    """Frame number k is of brightness k; the last one stands in for a missing one."""

    def facts(self, names: object) -> str:
        return f"facts of {names}"

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> FakeFrames:
        images = np.zeros((count, 4, 4, 3), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]
        return FakeFrames(images, clip.start + np.arange(count) / 4, ValueError("ends early"), (count - 1,))


def seen(alteration: str, count: int = 6, seed: int = 0, clip: Clip = CLIP) -> tuple[list[int], FakeFrames]:
    found = AlteredLibrary(Numbered(), alteration, seed).read(clip, count)
    return found.images[:, 0, 0, 0].tolist(), found  # type: ignore[return-value]


def test_frames_change_places_and_times_do_not() -> None:
    order, found = seen("reversed")
    assert (order, found.stand_ins) == ([5, 4, 3, 2, 1, 0], (0,))
    np.testing.assert_array_equal(found.times, 3.0 + np.arange(6) / 4)
    assert found.images.flags.c_contiguous and str(found.error) == "ends early"


@pytest.mark.parametrize(("alteration", "place", "stand_ins"), [("first", 0, ()), ("last", 5, (0,))])
def test_one_frame_alone_keeps_its_time(alteration: str, place: int, stand_ins: tuple[int, ...]) -> None:
    order, found = seen(alteration)
    assert (order, found.times.tolist(), found.stand_ins) == ([place], [3.0 + place / 4], stand_ins)


def test_a_shuffle_hangs_on_clip_and_seed_alone_and_always_moves_something() -> None:
    orders = {tuple(seen("shuffled", seed=seed)[0]) for seed in range(20)}
    assert len(orders) > 15 and (0, 1, 2, 3, 4, 5) not in orders
    assert seen("shuffled")[0] == seen("shuffled")[0]
    assert seen("shuffled")[0] != seen("shuffled", clip=Clip(video_id="P01_01", start=3.5, stop=5.0))[0]
    assert sorted(seen("shuffled")[0]) == [0, 1, 2, 3, 4, 5]
    assert seen("shuffled", count=2)[0] == [1, 0] and seen("shuffled", count=1)[0] == [0]


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_a_clip_that_cannot_be_read_stays_one_and_the_rest_of_the_library_is_there(alteration: str) -> None:
    class Empty:
        def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> FakeFrames:
            return FakeFrames(np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0), ValueError("damaged"))

    found = AlteredLibrary(Empty(), alteration).read(CLIP, 4)
    assert (len(found.images), str(found.error)) == (0, "damaged")
    assert AlteredLibrary(Numbered(), alteration).facts("x") == "facts of x"
    assert not hasattr(AlteredLibrary(FakeLibrary(), alteration), "facts")
