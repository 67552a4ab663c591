"""At how many frames per second folders of images were extracted: one number, or one per video from a file.

``fps.json`` maps video ids to numbers, or to objects that say more::

    {"P01_01": 30, "P01_02": {"film_fps": 59.94, "images": "left_", "first": 1}}

A CSV file has the columns ``video_id`` and ``fps`` or ``film_fps``, as EPIC-KITCHENS' ``EPIC_100_video_info.csv`` has.

``fps`` counts the images there are. Where only every 10th frame of a film was kept and images are numbered by the
film's frames (000000, 000010, 000020, ...), ``film_fps`` may be given instead; it counts the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.base.tables import Table
from llavaction.video.errors import VideoError

FILE_NAME = "fps.json"
"""Looked for in the folder of videos where no rate is given."""

FASTEST = 1000.0
"""Frames per second a rate may be; high-speed cameras are slowed down in the file."""

FASTEST_FILM = 240.0
"""Frames per second a film may have been shot at for its numbering to be believed."""


@dataclass(frozen=True)
class Rate:
    """How a folder of images is shown.

    Attributes:
        fps: images per second; None where ``film_fps`` is given.
        film_fps: steps of the images' numbers per second.
        images: what the names of the images begin with, where the folder holds several sequences.
        first: number of the image shown at 0 s; None for the lowest.
    """

    fps: float | None = None
    film_fps: float | None = None
    images: str | None = None
    first: int | None = None

    def per_second(self, step: int, folder: Path) -> float:
        """Images per second, where their numbers rise by ``step``.

        Raises:
            VideoError: by the numbers, the rate cannot be that of the images.
        """
        if self.film_fps is not None:
            return self.film_fps / step
        assert self.fps is not None
        if step > 1 and self.fps * step > FASTEST_FILM:
            raise VideoError(
                f"its images are numbered in steps of {step}: at {self.fps:g} images per second the film would have "
                f"{self.fps * step:g} frames per second",
                file=folder,
                hint=f'is {self.fps:g} the rate of the film? Then give {{"film_fps": {self.fps:g}}} in {FILE_NAME}, '
                f"or --fps {self.fps / step:g}, the images per second",
            )
        return self.fps


Rates = float | Mapping[str, float | Rate]
"""One rate for all videos, or one per video id."""


def rate_of(rates: Rates | None, names: tuple[str, ...]) -> Rate | None:
    """The rate of the video that goes by these names, in upper or lower case; None where it is not known."""
    if rates is None:
        return None
    if not isinstance(rates, Mapping):
        return Rate(fps=check_rate(rates, "the frame rate"))
    folded = {_key(name): rate for name, rate in rates.items()}
    entry = next((folded[_key(name)] for name in names if _key(name) in folded), None)
    if entry is None or isinstance(entry, Rate):
        return entry
    return Rate(fps=check_rate(entry, f"the frame rate of '{names[0]}'"))


def _key(name: str) -> str:
    return str(PurePosixPath(name)).casefold()


def exact_rate(fps: float) -> Fraction:
    """A rate as a fraction whose denominator, or that of its period below 1 per second, is at most 1001."""
    if fps < 1:
        return 1 / Fraction(1 / fps).limit_denominator(1001)
    return Fraction(fps).limit_denominator(1001)


def check_rate(value: Any, what: str, *, file: Path | None = None, line: int | None = None) -> float:
    """A rate as a number.

    Raises:
        InputError: it is none, or not between 0 and :data:`FASTEST`.
    """
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 < number <= FASTEST:
        expected = f"expected frames per second, more than 0 and at most {FASTEST:g}"
        raise InputError(f"{what} is {value!r}; {expected}", file=file, line=line)
    return number


def read_rates(path: str | Path) -> dict[str, Rate]:
    """Rates by video id, from JSON or CSV.

    Raises:
        InputError: there is no such file, or it is not as described at the top of this module.
    """
    path = Path(path)
    rates = _from_json(path) if path.suffix.lower() == ".json" else _from_table(path)
    if not rates:
        raise InputError("names no video", file=path)
    return rates


def _from_json(path: Path) -> dict[str, Rate]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError('expected {"video id": frames per second, ...}', file=path)
    return {video: _entry(video, value, path) for video, value in content.items()}


def _entry(video: str, value: Any, path: Path) -> Rate:
    if not isinstance(value, dict):
        return Rate(fps=check_rate(value, f"the frame rate of '{video}'", file=path))
    unknown = sorted(set(value) - {"fps", "film_fps", "images", "first"})
    if unknown or ("fps" in value) == ("film_fps" in value):
        remark = f"; '{unknown[0]}' is unknown" if unknown else ""
        raise InputError(f"'{video}' needs fps or film_fps, and may have images and first{remark}", file=path)
    images, first = value.get("images"), value.get("first")
    if not isinstance(images, str | None) or not isinstance(first, int | None) or isinstance(first, bool):
        raise InputError(f"'{video}': images is the beginning of a name, first a whole number", file=path)
    kind = "fps" if "fps" in value else "film_fps"
    rate = check_rate(value[kind], f"{kind} of '{video}'", file=path)
    fps, film_fps = (rate, None) if kind == "fps" else (None, rate)
    return Rate(fps, film_fps, images, first)


def _from_table(path: Path) -> dict[str, Rate]:
    table = Table(path, ("video_id",))
    kind = next((name for name in ("fps", "film_fps") if name in table.columns), None)
    if kind is None:
        raise InputError(f"lacks the column fps (or film_fps); found {table.columns[:40]}", file=path, line=1)
    rates: dict[str, Rate] = {}
    for row in table:
        if row.fault:
            raise InputError(row.fault, file=path, line=row.line)
        video, text = row.cells["video_id"], row.cells[kind]
        if table.separator != ",":  # elsewhere a comma may stand between thousands
            text = text.replace(",", ".")
        rate = check_rate(text, f"the frame rate of '{video}'", file=path, line=row.line)
        entry = Rate(fps=rate) if kind == "fps" else Rate(film_fps=rate)
        if rates.setdefault(video, entry) != entry:
            raise InputError(f"'{video}' has two frame rates", file=path, line=row.line)
    return rates
