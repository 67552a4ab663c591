"""What is said in a video, line by line, and which lines belong to what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from llavaction.base.records import Record, Strict, read_records, write_records

SUBTITLES = "subtitles.jsonl"
"""Their file in a benchmark folder."""

Shown = Literal["none", "all", "frames"]
"""Which lines are told: none, all of the clip, or those said while one of its frames is shown."""


class Subtitle(Strict):
    """One line, and when it is said, in seconds from the video's beginning."""

    start: float = Field(description="When it begins to be said, in seconds.")
    stop: float = Field(description="When it ends, in seconds.")
    text: str = Field(description="What is said.")


class VideoSubtitles(Record):
    """The lines of one video, in their order."""

    video_id: str
    lines: tuple[Subtitle, ...] = Field(description="in the order of time")


def read_subtitles(path: Path) -> dict[str, Sequence[Subtitle]]:
    """Lines by video; none where there is no file.

    Raises:
        InputError: the file is damaged; names file and line.
    """
    if not path.is_file():
        return {}
    return {entry.video_id: entry.lines for entry in read_records(path, VideoSubtitles)}


def write_subtitles(path: Path, subtitles: Mapping[str, Sequence[Subtitle]]) -> None:
    """Write lines by video; no file where there are none."""
    if subtitles:
        entries = [VideoSubtitles(video_id=video, lines=tuple(lines)) for video, lines in subtitles.items()]
        write_records(path, entries)
    else:
        path.unlink(missing_ok=True)


def said_between(lines: Sequence[Subtitle], start: float, stop: float) -> tuple[Subtitle, ...]:
    """Lines of which some part is said in ``[start, stop)``, each once."""
    return tuple(line for line in lines if line.start < stop and line.stop > start)


def said_at(lines: Sequence[Subtitle], times: Sequence[float]) -> tuple[Subtitle, ...]:
    """Lines that are being said at one of these times, each once."""
    return tuple(line for line in lines if any(line.start <= time < line.stop for time in times))
