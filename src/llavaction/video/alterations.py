"""Clips shown otherwise than they are: frames out of order, or one of them alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Clip
from llavaction.base.seeding import hashed_rng
from llavaction.video.decoded import Library

Places = NDArray[np.intp]
"""[frames shown], which of the frames decoded stands in each place."""


def _shuffled(count: int, clip: Clip, seed: int) -> Places:
    """Drawn by the clip; never the order as it is, where there is another."""
    rng = hashed_rng("frames shuffled", seed, clip.video_id, repr(clip.start), repr(clip.stop))
    while True:
        places = rng.permutation(count)
        if count < 2 or (places != np.arange(count)).any():
            return places


ALTERATIONS: Mapping[str, Callable[[int, Clip, int], Places]] = {
    "shuffled": _shuffled,
    "reversed": lambda count, clip, seed: np.arange(count)[::-1],
    "first": lambda count, clip, seed: np.arange(count)[:1],
    "last": lambda count, clip, seed: np.arange(count)[count - 1 :],
}
"""Name to the places of the frames, given how many were decoded, the clip and a seed."""


@dataclass(frozen=True)
class AlteredFrames:
    """What an :class:`AlteredLibrary` returns for a clip, see :class:`llavaction.video.decoded.Frames`."""

    images: NDArray[np.uint8]
    times: NDArray[np.float64]
    error: Exception | None = None
    stand_ins: tuple[int, ...] = ()


class AlteredLibrary:
    """A library whose clips are shown otherwise.

    Frames that change places take over the times of the places they come to: a model is told the usual times. A frame
    that is shown alone keeps its own.

    Args:
        library: where the clips come from.
        alteration: one of :data:`ALTERATIONS`.
        seed: of what is drawn.

    Attributes:
        shown: how, for the record of a run.
    """

    def __init__(self, library: Library, alteration: str, seed: int = 0) -> None:
        self._library, self._places, self._seed = library, ALTERATIONS[alteration], seed
        self.shown = f"frames {alteration}, seed {seed}" if alteration == "shuffled" else f"frames {alteration}"

    def __getattr__(self, name: str) -> Any:
        """Whatever else the library has, such as the facts of its videos."""
        return getattr(self.__dict__["_library"], name)

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> AlteredFrames:
        """See :class:`llavaction.video.decoded.Library`: ``count`` frames are decoded, and shown as they are to be."""
        found = self._library.read(clip, count, segment_id=segment_id)
        lacking: tuple[int, ...] = tuple(getattr(found, "stand_ins", ()))
        if not len(found.images):
            return AlteredFrames(found.images, found.times, found.error, lacking)
        places = self._places(len(found.images), clip, self._seed)
        times = found.times if len(places) == len(found.times) else found.times[places]
        absent = tuple(place for place, taken in enumerate(places.tolist()) if taken in lacking)
        return AlteredFrames(np.ascontiguousarray(found.images[places]), times, found.error, absent)
