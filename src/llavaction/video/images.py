"""Reading a picture from an image file, of a few kinds and of bounded size."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llavaction.video.errors import CorruptVideoError
from llavaction.video.frames import Side, Size, target_size
from llavaction.video.opening import MOST_PIXELS

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")
"""What a file may be, whatever its name. Pillow knows others: for an EPS file it starts Ghostscript."""

FAULTS = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    EOFError,
    TypeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises on files that are not what they should be."""


TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture is turned to be seen the right way up, by what its EXIF data call its orientation."""

ORIENTATION = 0x0112


def read_image(path: Path, size: Size = None, side: Side = "short") -> NDArray[np.uint8]:
    """A picture as uint8 [height, width, 3] RGB at the wanted size, turned the way it is meant to be seen.

    Of 16 bits of grey the upper eight are kept.

    Raises:
        CorruptVideoError: it is no picture of one of the kinds that are read, or a damaged or too large one.
        InputError: ``size`` is less than 1.
    """
    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                problem = f"is too large a picture: {opened.width} x {opened.height}, expected at most 2^26 pixels"
                raise CorruptVideoError(problem, file=path)
            opened.load()
            turn = _turn(opened)
            picture = _in_eight_bits(opened).convert("RGB")
            picture = picture if turn is None else picture.transpose(turn)
    except FAULTS as error:
        if isinstance(error, CorruptVideoError):
            raise
        kinds = ", ".join(FORMATS)
        problem = f"cannot be read as an image: {error}"
        raise CorruptVideoError(problem, file=path, hint=f"expected one of {kinds}") from None
    height, width = target_size(picture.height, picture.width, size, side)
    if (height, width) != (picture.height, picture.width):
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    is_wide = picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in {"PNG", "PPM"})
    if not is_wide:
        return picture
    return Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return TURNED.get(picture.getexif().get(ORIENTATION, 1))
    except FAULTS:
        return None  # damaged EXIF data spoil no picture
