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


def read_image(path: Path, size: Size = None, side: Side = "short") -> NDArray[np.uint8]:
    """A picture as uint8 [height, width, 3] RGB at the wanted size.

    Raises:
        CorruptVideoError: it is no picture of one of the kinds that are read, or a damaged or too large one.
        InputError: ``size`` is less than 1.
    """
    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                problem = f"is too large a picture: {opened.width} x {opened.height}, expected at most 2^26 pixels"
                raise CorruptVideoError(problem, file=path)
            picture = opened.convert("RGB")
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
