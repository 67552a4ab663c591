"""How far the pictures of a damaged stream can be relied on."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

OWNS_UP = {"h264", "hevc", "vp8", "vp9", "av1"}
"""Codecs whose decoders raise or mark what they cannot decode; the older ones may pass over it in silence."""


class Run:
    """What a decoder was given from one packet on, and which of the pictures it gives back no damage has reached.

    Args:
        recovering: the run begins where decoding could not: nothing counts as damage before the first whole picture.
    """

    def __init__(self, *, recovering: bool) -> None:
        self._order: dict[int, int] = {}
        self._came_out: set[int] = set()
        self._broken_at: int | None = None
        self._recovering = recovering

    @property
    def is_new(self) -> bool:
        """Whether nothing has been decoded yet."""
        return not self._order

    def feed(self, pts: int) -> None:
        """Note a packet; of two with one timestamp the first counts."""
        self._order.setdefault(pts, len(self._order))

    def breaks(self, pts: int) -> bool:
        """Note that a packet cannot be decoded; whether that ends the run."""
        if not self._recovering:
            place = self._order.get(pts, 0)
            self._broken_at = place if self._broken_at is None else min(place, self._broken_at)
        return not self._recovering

    def is_whole(self, picture: VideoFrame) -> bool:
        """Note a picture that came out; whether it is whole by itself."""
        self._came_out.add(picture.pts or 0)
        if picture.is_corrupt:
            self.breaks(picture.pts or 0)
            return False
        self._recovering = False
        return True

    def find_silent_losses(self, shown: NDArray[np.int64]) -> None:
        """Note pictures that should have come out, being ``shown`` and no earlier than the first, and did not.

        Args:
            shown: timestamps of the stream's frames, rising.
        """
        begin = next(iter(self._order), 0)
        lost = np.asarray([pts for pts in self._order if pts not in self._came_out and pts >= begin], dtype=np.int64)
        for pts in lost[np.isin(lost, shown)].tolist():
            self.breaks(pts)

    def is_sound(self, pts: int) -> bool:
        """Whether a picture was decoded before any damage."""
        return self._broken_at is None or self._order.get(pts, 0) < self._broken_at
