"""What is decoded ahead is bounded in bytes."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.asking import make_question
from llavaction.actions.segments import Clip
from llavaction.questions.asked import Asked
from llavaction.video.decoded import clips_ahead

FRAME = 30 * 40 * 3


class Counting:
    """A library that counts the bytes of the clips that somebody still holds."""

    def __init__(self, frames: Callable[[int], int] = lambda number: 10) -> None:
        self.frames, self.held, self.peak, self.lock = frames, 0, 0, threading.Lock()

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> SimpleNamespace:
        frames = self.frames(int((segment_id or "q0")[1:]))
        images = np.zeros((frames, 30, 40, 3), np.uint8)
        self._count(images.nbytes)
        weakref.finalize(images, self._count, -images.nbytes)
        time.sleep(0.001)
        return SimpleNamespace(images=images, times=np.arange(frames, dtype=float), error=None)

    def _count(self, change: int) -> None:
        with self.lock:
            self.held += change
            self.peak = max(self.peak, self.held)


def batches(questions: int, size: int) -> list[list[Asked]]:
    made = [make_question(number, 3).asked for number in range(questions)]
    return [made[i : i + size] for i in range(0, questions, size)]


def dealt(library: Counting, size: int, most: int, workers: int = 4, pause: float = 0.0) -> list[list[str]]:
    found = []
    for batch, clips in clips_ahead(batches(24, size), library, 10, workers, most):
        time.sleep(pause)
        assert [clip.nbytes for clip in clips if clip is not None] == [
            library.frames(int(item.query_id[1:])) * FRAME for item in batch
        ]
        found.append([item.query_id for item in batch])
    return found


@pytest.mark.parametrize("pause", [0.0, 0.01])
@pytest.mark.parametrize("size", [1, 4, 24])
def test_no_more_bytes_than_allowed_are_held(size: int, pause: float) -> None:
    library = Counting()
    found = dealt(library, size, most=50 * FRAME, pause=pause)
    assert library.peak <= 50 * FRAME
    assert [name for part in found for name in part] == [f"q{number}" for number in range(24)]
    assert library.held == 0
    assert max(map(len, found)) == min(size, 5)


def test_at_least_one_clip_at_a_time() -> None:
    library = Counting()
    assert dealt(library, 4, most=3 * FRAME) == [[f"q{number}"] for number in range(24)]
    assert library.peak == 10 * FRAME


def test_room_is_used() -> None:
    library = Counting()
    assert dealt(library, 4, most=1 << 30, pause=0.01) == [
        [item.query_id for item in batch] for batch in batches(24, 4)
    ]
    assert library.peak > 40 * FRAME  # the next clips are there while a batch is asked


@pytest.mark.parametrize("workers", [1, 4])
def test_parts_depend_on_the_clips_alone(workers: int) -> None:
    library = Counting(lambda number: (10, 5, 30, 8)[number % 4])
    found = dealt(library, 4, most=40 * FRAME, workers=workers)
    assert found == [[f"q{i}" for i in part] for n in range(0, 24, 4) for part in ((n, n + 1, n + 2), (n + 3,))]
    assert library.peak <= (40 + 30) * FRAME


def test_ending_early_leaves_no_thread_waiting() -> None:
    library = Counting()
    running = clips_ahead(batches(24, 4), library, 10, 4, 3 * FRAME)
    next(running)
    running.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
