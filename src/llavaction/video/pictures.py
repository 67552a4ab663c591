"""From decoded pictures to arrays: turned the right way up, scaled, RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from llavaction.video.frames import Side, Size, target_size


def to_image(picture: VideoFrame, size: Size, side: Side, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """A decoded picture as uint8 [height, width, 3] RGB, the right way up, at the wanted size."""
    quarter_turn, flip_x, flip_y = orientation(picture)
    shape = (picture.width, picture.height) if quarter_turn else (picture.height, picture.width)
    height, width = target_size(*shape, size, side)
    if quarter_turn:
        height, width = width, height
    scaled = (height, width) != (picture.height, picture.width)
    rgb = reformatter.reformat(
        picture, width, height, "rgb24", interpolation=Interpolation.BICUBIC if scaled else None, threads=1
    )
    image = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
    if quarter_turn:
        image = image.swapaxes(0, 1)
    return image[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


def orientation(picture: VideoFrame) -> tuple[bool, bool, bool]:
    """Whether to swap rows and columns, then to mirror left-right, then top-bottom, by the display matrix.

    The matrix (a b u / c d v / x y w in 32-bit numbers) sends the stored point (x, y) to (a x + c y, b x + d y).
    """
    matrix: Any = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), dtype=np.int32)[:5])
    if abs(b) > abs(a):
        return True, c < 0, b < 0
    return False, a < 0, d < 0
