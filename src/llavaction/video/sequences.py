"""The images of a video that is kept as one image per frame: which of a folder's files they are, and in which order.

A folder may hold several sequences (``img_00001.jpg``, ``flow_x_00001.jpg``, ``frame_00001_mask.png``), told apart by
what stands around the number. The one of the film's own pictures is taken, by its name; where the names do not tell,
none is.

Numbers may begin anywhere and rise by any step: the lowest is the film's first image, and the step is the greatest
common divisor of their distances. Names that are times in seconds (``0.0.jpg``, ``0.5.jpg``) are taken for times.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llavaction.video.errors import VideoError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}

OWN_NAMES = {"img", "image", "images", "frame", "frames", "rgb", "color", "colour"}
"""Words by which the pictures of the film itself are called; a bare number is, too."""

NO_PICTURES = {
    "flow", "depth", "disparity", "mask", "masks", "seg", "segmentation", "label", "labels", "annotation", "normal",
    "normals", "heatmap", "alpha",
}  # fmt: skip
"""Words for what is computed from pictures or goes with them: never shown."""

SECOND_CHOICE = {"thermal", "ir", "gray", "grey", "event", "events", "pose", "attention", "saliency"}
"""Words for pictures that are taken only where there are no plainer ones."""

MOST_GAPS = 100
"""Missing images for each that is there, beyond which the numbers count something else (nanoseconds, say)."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
_SECONDS = re.compile(r"(\D*)(\d+)\.(\d+)", re.DOTALL)


@dataclass(frozen=True)
class ImageSequence:
    """The images of one video.

    Attributes:
        files: file name by place in the film, from 0; a place without one is a missing image.
        first: number of the image at place 0.
        step: by how much the number rises from one place to the next.
        times: where the names are times, float64 [images], seconds from the first image's.
    """

    files: Mapping[int, str]
    first: int
    step: int
    times: NDArray[np.float64] | None = None

    @property
    def places(self) -> int:
        """How many images there would be without gaps."""
        return max(self.files) + 1

    def number(self, place: int) -> int:
        """The number an image's name holds."""
        return self.first + place * self.step

    @property
    def counted(self) -> str:
        """How the images are counted, for messages."""
        if self.times is not None:
            return "its images are named by time; the first is taken to be shown at 0 s"
        last = self.number(self.places - 1)
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        return f"its images are numbered {self.first} to {last}{steps}; number {self.first} is shown at 0 s"


def is_image(name: str) -> bool:
    """Whether a file is an image with a number in its name."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 (folders may hold a million of them)
    return suffix.lower() in IMAGE_SUFFIXES and any(character.isdecimal() for character in stem)


@lru_cache(maxsize=16)
def image_sequence(folder: Path, changed: int, images: str | None = None, first: int | None = None) -> ImageSequence:
    """The film's own images in a folder.

    Args:
        folder: the folder.
        changed: its time stamp, which keeps an old listing from being used.
        images: what the names of the images begin with, where the folder holds several sequences; "" for bare numbers.
        first: number of the image at 0 s; None for the lowest there is.

    Raises:
        VideoError: there are several sequences and the names do not tell which is the film's, or none is.
    """
    del changed
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and is_image(entry.name))
    by_time = _by_time(names) if images is None else None
    if by_time is not None:
        return by_time
    sequences: dict[tuple[str, str, str], dict[int, str]] = {}
    for name in names:
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        matched = _NUMBERED.fullmatch(stem)
        if matched is not None:
            head, digits, tail = matched.groups()
            sequences.setdefault((head, tail, suffix.lower()), {})[int(digits)] = name
    sequence = _choose(_merged(sequences), images, folder)
    return _in_place(sequence, first, folder)


def _by_time(names: list[str]) -> ImageSequence | None:
    """The sequence of names that are seconds; a constant whole part is a name of its own (``shot2.0001.png``)."""
    seconds: dict[float, str] = {}
    parts = set()
    for name in names:
        matched = _SECONDS.fullmatch(os.path.splitext(name)[0])  # noqa: PTH122
        if matched is None:
            return None
        head, whole_seconds, fraction = matched.groups()
        parts.add((head, int(whole_seconds)))
        seconds[float(f"{whole_seconds}.{fraction}")] = name
    if len(seconds) < 2 or len({head for head, _ in parts}) > 1 or (len(parts) == 1 and parts != {("", 0)}):
        return None
    times = np.asarray(sorted(seconds))
    files = {place: seconds[time] for place, time in enumerate(times.tolist())}
    return ImageSequence(files, 0, 1, times - times[0])


def _merged(sequences: dict[tuple[str, str, str], dict[int, str]]) -> dict[tuple[str, str, str], dict[int, str]]:
    """Join sequences that differ in nothing but the suffix and share no number."""
    merged: dict[tuple[str, str, str], dict[int, str]] = {}
    for (head, tail, suffix), files in sequences.items():
        alike = next((key for key in merged if key[:2] == (head, tail) and not merged[key].keys() & files.keys()), None)
        if alike is None:
            merged[head, tail, suffix] = dict(files)
        else:
            merged[alike].update(files)
    return merged


def _choose(sequences: dict[tuple[str, str, str], dict[int, str]], images: str | None, folder: Path) -> dict[int, str]:
    """The film's own sequence: the only one called like one, else the only one not called otherwise."""
    listed = ", ".join(f"{head}*{tail}{suffix} ({len(files)})" for (head, tail, suffix), files in sequences.items())
    if images is not None:
        keys = [key for key in sequences if key[0] == images and not key[1]]
        hint = "give the beginning of the images' names, all that stands before the number"
    else:
        words = {key: _words(key[0]) | _words(key[1]) for key in sequences}
        shown_at_all = [key for key in sequences if not words[key] & NO_PICTURES]
        open_to = [key for key in shown_at_all if not words[key] & SECOND_CHOICE] or shown_at_all
        usual = [key for key in open_to if not words[key] or words[key] & OWN_NAMES]
        keys = usual or open_to
        hint = 'say which in fps.json: {"VIDEO": {"fps": 30, "images": "left_"}}, or keep the others elsewhere'
    if len(keys) != 1:
        which = "several sequences of images, of which any" if keys else "no sequence of images that"
        raise VideoError(f"holds {which} could be the film's: {listed or 'none'}", file=folder, hint=hint)
    return sequences[keys[0]]


def _words(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[^\W\d_]+", text)}


def _in_place(numbered: Mapping[int, str], first: int | None, folder: Path) -> ImageSequence:
    begin = min(numbered) if first is None else first
    rising = sorted(number for number in numbered if number >= begin)
    if not rising:
        raise VideoError(f"has no image numbered {begin} or later", file=folder)
    step = _step([begin, *rising])
    if (rising[-1] - begin) // step > MOST_GAPS * len(rising) + MOST_GAPS:
        problem = f"its {len(rising)} images are numbered {rising[0]} to {rising[-1]}, which counts something else"
        raise VideoError(problem, file=folder, hint="number them in the order they are shown, without large gaps")
    return ImageSequence({(number - begin) // step: numbered[number] for number in rising}, begin, step)


def _step(numbers: Iterable[int]) -> int:
    rising = np.asarray(sorted(numbers), dtype=object)
    return int(np.gcd.reduce(np.diff(rising))) or 1 if len(rising) > 1 else 1
