"""Image files are read as they are meant to be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from llavaction.actions.segments import Clip
from llavaction.video.images import ORIENTATION, read_image
from llavaction.video.library import VideoLibrary


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bits_of_grey_are_scaled(tmp_path: Path, suffix: str) -> None:
    values: NDArray[np.uint16] = np.array([[0, 255, 256, 4096], [20000, 32768, 65280, 65535]], dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5\n4 2\n65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(path)
    image = read_image(path)
    assert image.shape == (2, 4, 3)
    np.testing.assert_array_equal(image, np.repeat((values >> 8)[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
def test_pictures_are_turned_as_their_camera_was(tmp_path: Path, suffix: str, orientation: int) -> None:
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, :16] = (250, 10, 10)
    stored[16:, 32:] = (10, 10, 250)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "v" / f"0001.{suffix}"
    path.parent.mkdir()
    Image.fromarray(stored).save(path, exif=exif)
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    assert expected.shape[:2] == ((48, 32) if 5 <= orientation <= 8 else (32, 48))
    np.testing.assert_array_equal(read_image(path), expected)
    found = VideoLibrary(tmp_path, fps=1).read(Clip(video_id="v", start=0, stop=1), 1, size=32)
    assert found.images.shape[1:3] == expected.shape[:2]


def test_damaged_orientation_spoils_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.full((16, 24, 3), 90, np.uint8)).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)
    assert read_image(path).shape == (16, 24, 3)
