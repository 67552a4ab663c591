"""Made pictures and videos: every frame differs from every other, so that a wrong one is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.video.decode import read_all
from llavaction.video.write import write_video

UNEVEN = (0.0, 0.04, 0.05, 0.20, 0.21, 0.30, 0.60, 0.61, 0.65, 0.90, 1.00, 1.40)
"""Seconds at which the frames of a video of variable rate begin, one period of them."""


def pictures(count: int, height: int = 64, width: int = 96) -> Iterator[NDArray[np.uint8]]:
    """A drifting texture whose brightness tells the number of the frame, with a red block crossing it."""
    texture = np.random.default_rng(1).integers(0, 60, (height + 16, width + 16, 3)).astype(np.uint8)
    for number in range(count):
        image = texture[number % 16 : number % 16 + height, number % 13 : number % 13 + width] + np.uint8(
            number * 5 % 180
        )
        image[8:24, number * 4 % (width - 16) : number * 4 % (width - 16) + 16] = (220, 20, 20)
        yield image


def film(path: Path, count: int = 60, fps: float = 30, *, height: int = 64, width: int = 96, **settings: Any) -> Path:
    """Write a made video."""
    return write_video(path, pictures(count, height, width), fps, **settings)


def uneven_times(count: int) -> list[float]:
    """Frame times of variable rate."""
    return [UNEVEN[i % len(UNEVEN)] + 1.5 * (i // len(UNEVEN)) for i in range(count)]


def everything(path: Path, **settings: Any) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Times and pictures of a full decode from the beginning."""
    times, images = zip(*read_all(path, **settings), strict=True)
    return np.array(times), np.stack(images)
