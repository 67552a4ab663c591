"""At how many frames per second folders of images were extracted: one number, or one per video from a file.

``fps.json`` maps video ids to numbers, or to objects that say more::

    {"P01_01": 30, "P01_02": {"film_fps": 59.94, "images": "left_", "first": 1}}

A CSV file has the columns ``video_id`` and ``fps`` or ``film_fps``, as EPIC-KITCHENS' ``EPIC_100_video_info.csv`` has.

``fps`` counts the images there are. Where only every 10th frame of a film was kept and images are numbered by the
film's frames (000000, 000010, 000020, ...), ``film_fps`` may be given instead; it counts the numbers.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from llavaction.base.errors import InputError
from llavaction.video.errors import VideoError

FILE_NAME = "fps.json"
"""Looked for in the folder of videos where no rate is given."""

FASTEST = 1000.0
"""Frames per second a rate may be; high-speed cameras are slowed down in the file."""

FASTEST_FILM = 240.0
"""Frames per second a film may have been shot at for its numbering to be believed."""

LARGEST_FILE = 1 << 26
"""Bytes of a file of rates; a hundred thousand videos take 5 MB."""


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
    found = next((folded[_key(name)] for name in names if _key(name) in folded), None)
    if found is None or isinstance(found, Rate):
        return found
    return Rate(fps=check_rate(found, f"the frame rate of '{names[0]}'"))


def _key(name: str) -> str:
    return str(PurePosixPath(name)).casefold()


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
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError("is too large for a file of frame rates", file=path)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", file=path) from None
    found = _from_json(text, path) if path.suffix.lower() == ".json" else _from_csv(text, path)
    if not found:
        raise InputError("names no video", file=path)
    return found


def _from_json(text: str, path: Path) -> dict[str, Rate]:
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"is no JSON: {error}", file=path, line=getattr(error, "lineno", None)) from None
    if not isinstance(content, dict):
        raise InputError('expected {"video id": frames per second, ...}', file=path)
    return {video: _entry(video, value, path) for video, value in content.items()}


def _entry(video: str, value: Any, path: Path) -> Rate:
    if not isinstance(value, dict):
        return Rate(fps=check_rate(value, f"the frame rate of '{video}'", file=path))
    unknown = sorted(set(value) - {"fps", "film_fps", "images", "first"})
    if unknown or ("fps" in value) == ("film_fps" in value):
        found = f"; '{unknown[0]}' is unknown" if unknown else ""
        raise InputError(f"'{video}' needs fps or film_fps, and may have images and first{found}", file=path)
    images, first = value.get("images"), value.get("first")
    if not isinstance(images, str | None) or not isinstance(first, int | None) or isinstance(first, bool):
        raise InputError(f"'{video}': images is the beginning of a name, first a whole number", file=path)
    kind = "fps" if "fps" in value else "film_fps"
    rate = check_rate(value[kind], f"{kind} of '{video}'", file=path)
    fps, film_fps = (rate, None) if kind == "fps" else (None, rate)
    return Rate(fps, film_fps, images, first)


def _from_csv(text: str, path: Path) -> dict[str, Rate]:
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    found: dict[str, Rate] = {}
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"is no CSV: {error}", file=path) from None
    columns = [name.strip().lower() for name in rows[0]] if rows else []
    kind = next((name for name in ("fps", "film_fps") if name in columns), None)
    if "video_id" not in columns or kind is None:
        raise InputError(f"expected columns video_id and fps (or film_fps), found {columns}", file=path, line=1)
    video_at, rate_at = columns.index("video_id"), columns.index(kind)
    for line, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(video_at, rate_at):
            raise InputError(f"expected {len(columns)} columns, found {len(row)}", file=path, line=line)
        video = row[video_at].strip()
        written = row[rate_at].strip().replace(",", ".") if delimiter != "," else row[rate_at].strip()
        rate = check_rate(written, f"the frame rate of '{video}'", file=path, line=line)
        entry = Rate(fps=rate) if kind == "fps" else Rate(film_fps=rate)
        if found.setdefault(video, entry) != entry:
            raise InputError(f"'{video}' has two frame rates", file=path, line=line)
    return found
