"""Pixels against the library's own PIL processors and against plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from helpers.asking import make_frames
from llavaction.base.errors import InputError
from llavaction.models.families.pixels import CLIP_STD, PixelSettings, fitting_size, flatten_patches, normalise, resize

SCALED = {
    2: [
        [41, 131, 52, 69, 167, 184, 105, 195],
        [55, 145, 66, 83, 181, 198, 119, 209],
        [69, 159, 80, 97, 131, 112, 133, 223],
    ],
    3: [
        [37, 143, 41, 55, 179, 193, 91, 197],
        [52, 158, 56, 69, 199, 216, 105, 212],
        [67, 173, 71, 95, 138, 103, 130, 227],
    ],
}
"""Green of a small picture, by torchvision."""


def test_square_frames_equal_the_library_processor() -> None:
    frames = make_frames(0, 3, 120, 200)
    processor = LlavaOnevisionImageProcessorPil(size={"height": 70, "width": 70}, image_grid_pinpoints=[[70, 70]])
    theirs = [processor(frame, return_tensors="pt")["pixel_values"][0][0] for frame in frames]
    settings = PixelSettings.from_stored({}, {"height": 70, "width": 70})
    ours = normalise(resize(frames, 70, 70), settings)
    assert (ours - torch.stack(theirs)).abs().max() < 2.5 * 2 / 255  # Pillow rounds in between: two levels of grey
    assert (ours - torch.stack(theirs)).abs().mean() < 0.002


def test_patches_of_a_still_clip_equal_the_library_image_patches() -> None:
    frame = make_frames(1, 1, 100, 150)
    limits = {"shortest_edge": 4 * 28**2, "longest_edge": 16 * 28**2}
    theirs = Qwen2VLImageProcessorPil(size=limits)(frame[0], return_tensors="pt")
    settings = PixelSettings.from_stored({"size": limits}, {})
    height, width = fitting_size(100, 150, 28, limits["shortest_edge"], limits["longest_edge"])
    ours, grid = flatten_patches(normalise(resize(frame, height, width), settings), patch=14, merge=2, temporal=2)
    assert list(grid) == theirs["image_grid_thw"][0].tolist()
    assert (ours - theirs["pixel_values"]).abs().max() < 2.5 / 255 / min(CLIP_STD)  # two levels of grey, by Pillow
    assert (ours - theirs["pixel_values"]).abs().mean() < 0.005


def test_patch_order_by_plain_loops() -> None:
    pixels = torch.arange(3 * 3 * 8 * 12, dtype=torch.float32).reshape(3, 3, 8, 12)  # 3 frames: the last is repeated
    rows, grid = flatten_patches(pixels, patch=2, merge=2, temporal=2)
    assert grid == (2, 4, 6)
    filled = torch.cat([pixels, pixels[-1:]])
    number = 0
    for t, block_y, block_x in itertools.product(range(2), range(2), range(3)):
        for y, x in itertools.product(range(2), range(2)):
            top, left = (block_y * 2 + y) * 2, (block_x * 2 + x) * 2
            patch = [
                filled[t * 2 + k, c, top + i, left + j]
                for c, k, i, j in itertools.product(range(3), range(2), range(2), range(2))
            ]
            assert rows[number].tolist() == [value.item() for value in patch]
            number += 1
    assert number == len(rows)


@pytest.mark.parametrize("limits", [(4, 16), (128, 768), (1, 2)])
def test_sizes_follow_the_library_rule(limits: tuple[int, int]) -> None:
    smallest, largest = (tokens * 28**2 for tokens in limits)
    for height, width in itertools.product((20, 64, 270, 480, 1080), (30, 96, 341, 1920)):
        expected = smart_resize(height, width, 28, smallest, largest)
        assert fitting_size(height, width, 28, smallest, largest) == expected


def test_a_thread_of_pixels_is_refused() -> None:
    with pytest.raises(InputError, match="2010 x 10 pixels is too long"):
        fitting_size(10, 2010, 28, 1, 10**6)


@pytest.mark.parametrize("resample", [2, 3])
def test_scaling_is_that_of_torchvision(resample: int) -> None:
    # what torchvision 0.28's resize makes of this picture, antialiased; Pillow differs by up to 2 levels of grey
    frames = (np.arange(5 * 7 * 3).reshape(1, 5, 7, 3) * 37 % 256).astype(np.uint8)
    frames.flags.writeable = False
    assert resize(frames, 3, 8, resample)[0, :, :, 1].tolist() == SCALED[resample]


def test_interpolations_that_torch_lacks_are_refused() -> None:
    with pytest.raises(InputError, match="interpolation number 1, which torch does not have"):
        resize(make_frames(0, 1), 70, 70, 1)


def test_frames_of_the_right_size_are_not_touched() -> None:
    frames = make_frames(2, 2, 70, 70)
    assert resize(frames, 70, 70) is frames


def test_settings_as_they_are_stored() -> None:
    stored = {"min_pixels": 10, "max_pixels": 20, "image_mean": [0.1, 0.2, 0.3], "image_std": 0.5, "do_rescale": False}
    settings = PixelSettings.from_stored(stored, {"shortest_edge": 1, "longest_edge": 2})
    assert settings.size == {"shortest_edge": 10, "longest_edge": 20}
    assert (settings.mean, settings.std, settings.scale) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5), 1.0)
    assert PixelSettings.from_stored({"size": 384}, {}).size == {"height": 384, "width": 384}
    plain = PixelSettings.from_stored({"do_normalize": False, "image_mean": [9, 9, 9]}, {})
    black = np.zeros((1, 2, 2, 3), np.uint8)
    assert normalise(black, plain).abs().max() == 0
    assert normalise(black + 255, plain).max() == pytest.approx(1)
