"""Pixels: from decoded frames to what a vision tower reads: the official processors' pixels without torchvision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from llavaction.base.errors import InputError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Channel means and deviations of CLIP, the default of the processors that do not store their own (RGB, 0 to 1)."""
_INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of the interpolations in the words of torch."""


@dataclass(frozen=True)
class PixelSettings:
    """How a checkpoint wants its pixels.

    Attributes:
        size: as stored: "height" and "width", or "shortest_edge" and "longest_edge" (pixel counts in Qwen families).
        mean, std: per channel, of values from 0 to 1.
        resample: PIL's number of the interpolation (3 is bicubic, the default of every family here).
        stored: whether the checkpoint stores the size; otherwise it is the default of its processor.
        scale: what a byte is multiplied by before ``mean`` and ``std`` apply.
    """

    size: Mapping[str, int]
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    resample: int = 3
    scale: float = 1 / 255
    stored: bool = True

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any], size: Mapping[str, int], **defaults: Any) -> PixelSettings:
        """Read a processor's stored settings.

        Args:
            stored: ``preprocessor_config.json`` or its kind; may be empty.
            size: the size where none is stored.
            defaults: ``mean`` and ``std`` where none are stored.
        """
        stored_size = stored.get("size")
        if isinstance(stored_size, int):
            stored_size = {"height": stored_size, "width": stored_size}
        merged = dict(stored_size or size)
        old_names = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}  # of the first Qwen checkpoints
        former = {new: stored[old] for old, new in old_names.items() if stored.get(old) is not None}
        merged |= former
        mean, std = (stored.get("image_mean"), stored.get("image_std")) if stored.get("do_normalize", True) else (0, 1)
        return cls(
            size=merged,
            mean=_channels(mean if mean is not None else defaults.get("mean", CLIP_MEAN)),
            std=_channels(std if std is not None else defaults.get("std", CLIP_STD)),
            resample=3 if stored.get("resample") is None else int(stored["resample"]),
            scale=(stored.get("rescale_factor") or 1 / 255) if stored.get("do_rescale", True) else 1.0,
            stored=bool(stored_size or former),
        )


def _channels(value: float | tuple[float, ...] | list[float]) -> tuple[float, ...]:
    return (float(value),) * 3 if isinstance(value, int | float) else tuple(float(item) for item in value)


def _tensor(frames: NDArray[np.uint8]) -> torch.Tensor:
    """Frames as bytes [frames, 3, height, width]; copied only where torch could not take them as they are."""
    return torch.from_numpy(np.require(frames, requirements=("C", "W"))).permute(0, 3, 1, 2)


def resize(frames: NDArray[np.uint8], height: int, width: int, resample: int = 3) -> NDArray[np.uint8]:
    """Scale frames to exactly ``height`` x ``width``, antialiased; the aspect ratio is not kept.

    By the function that torchvision's ``resize`` calls, so that every pixel is what an official video processor makes
    of it. (Pillow differs by up to 12 levels of grey where one side grows while the other shrinks.)

    Args:
        frames: uint8 [frames, height, width, 3].
        height, width: the new size.
        resample: Pillow's number of the interpolation.

    Raises:
        InputError: torch has no such interpolation.
    """
    if frames.shape[1:3] == (height, width):
        return frames
    if resample not in _INTERPOLATIONS:
        raise InputError(
            f"its video processor scales by Pillow's interpolation number {resample}, which torch does not have",
            hint="set resample in video_preprocessor_config.json to 3 (bicubic) or 2 (bilinear)",
        )
    pictures = _tensor(frames)
    scaled = functional.interpolate(pictures, (height, width), mode=_INTERPOLATIONS[resample], antialias=True)
    return np.asarray(scaled.permute(0, 2, 3, 1).numpy())


def normalise(frames: NDArray[np.uint8], settings: PixelSettings) -> torch.Tensor:
    """Bytes to float32 [frames, 3, height, width], scaled and normalised per channel."""
    values = _tensor(frames).to(torch.float32) * settings.scale
    mean = torch.tensor(settings.mean, dtype=torch.float32).view(1, 3, 1, 1)
    std = torch.tensor(settings.std, dtype=torch.float32).view(1, 3, 1, 1)
    return ((values - mean) / std).contiguous()


def fitting_size(
    height: int,
    width: int,
    factor: int,
    smallest: float,
    largest: float,
    *,
    frames: int = 1,
    counted: int | None = None,
) -> tuple[int, int]:
    """The size nearest to ``height`` x ``width`` whose sides are multiples of ``factor`` and whose area is allowed.

    The rule of the Qwen families (``smart_resize`` of their image and video processors): round each side; if the area
    leaves [``smallest``, ``largest``], shrink rounding down, or grow rounding up, by one common factor.

    Args:
        height, width: of the frame in pixels.
        factor: pixels per side of a merged patch.
        smallest, largest: allowed area in pixels, of all frames together.
        frames: how many frames there are.
        counted: how many of them count when their area is compared with the limits; all by default.

    Raises:
        InputError: one side is more than 200 times the other.
    """
    if max(height, width) > 200 * min(height, width):
        raise InputError(f"a frame of {width} x {height} pixels is too long and thin for this model (at most 200 : 1)")
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    area = rows * columns * (frames if counted is None else counted)
    if area > largest:
        shrink = math.sqrt(frames * height * width / largest)
        rows = max(factor, math.floor(height / shrink / factor) * factor)
        columns = max(factor, math.floor(width / shrink / factor) * factor)
    elif area < smallest:
        grow = math.sqrt(smallest / (frames * height * width))
        rows = math.ceil(height * grow / factor) * factor
        columns = math.ceil(width * grow / factor) * factor
    return rows, columns


def flatten_patches(
    pixels: torch.Tensor, *, patch: int, merge: int, temporal: int
) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """Cut a clip into the rows the Qwen vision towers read.

    A row is one patch over ``temporal`` frames, laid out [channel, time, y, x]. Rows run over time, then over blocks of
    ``merge`` x ``merge`` patches (row by row), then over the patches of a block. An incomplete last group of frames is
    filled up with its last frame.

    Args:
        pixels: [frames, channels, height, width]; height and width are multiples of ``patch * merge``.
        patch: pixels per side of a patch.
        merge: patches per side of a merged token.
        temporal: frames per patch.

    Returns:
        Rows [time * rows * columns, channels * temporal * patch * patch]; the grid (time, rows, columns) in patches.
    """
    lacking = -len(pixels) % temporal
    if lacking:
        pixels = torch.cat([pixels, pixels[-1:].expand(lacking, -1, -1, -1)])
    frames, channels, height, width = pixels.shape
    time, rows, columns = frames // temporal, height // patch, width // patch
    blocks = pixels.reshape(
        time, temporal, channels, rows // merge, merge, patch, columns // merge, merge, patch
    ).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return blocks.reshape(time * rows * columns, channels * temporal * patch * patch), (time, rows, columns)
