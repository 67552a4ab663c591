"""Subtitles of videos as benchmarks keep them: SubRip and WebVTT, lists of lines in JSON, words in JSON Lines.

The forms of JSON are those of LongVideoBench (``{start, end, line}`` or ``{timestamp: [s, s], text}``) and of
Video-MME-v2 (a word a line, ``{text, start_time, end_time}``), whose words are joined to sentences as its evaluator
does (evaluation/test_video_mme_v2.py of its repository): at a pause of half a second, or of a tenth behind a sentence.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from llavaction.base.bounded import read_text
from llavaction.base.errors import InputError
from llavaction.base.records import read_json, read_lines
from llavaction.datasets.cells import seconds
from llavaction.questions.subtitles import Subtitle

SUFFIXES = (".srt", ".vtt", ".json", ".jsonl")
PAUSE, SENTENCE_PAUSE = 0.5, 0.1
"""Seconds without a word that end a sentence, and that end it where its last word ends one."""
LAST = 1e9
"""Stands for the end of a line that goes on to the video's end."""

_TIMES = re.compile(r"\s*([\d:.,]+)\s*-->\s*([\d:.,]+)")
_TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


def subtitle_file(folder: Path, name: str) -> Path | None:
    """The subtitles of a video in a folder: a file of that name, or of the video's with another suffix; None for none.

    Args:
        folder: the folder.
        name: of the file, or of the video.
    """
    if not name or PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        return None
    bare = folder / name
    places = [bare, *(bare.with_name(bare.name + suffix) for suffix in SUFFIXES)]
    places += [bare.with_suffix(suffix) for suffix in SUFFIXES] if bare.suffix else []
    return next((place for place in places if place.suffix.lower() in SUFFIXES and _is_file(place)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def parse_subtitles(path: Path, begin: float = 0.0) -> tuple[Subtitle, ...]:
    """The lines of a file, in the order of time, without those that have no words or end before the video begins.

    Args:
        path: its suffix says which form it has.
        begin: seconds on the file's clock at which the video begins.

    Raises:
        InputError: the file is missing or is of no such form; names file and line.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        lines = _listed(path)
    elif suffix == ".jsonl":
        lines = _sentences([_word(entry, path, line) for line, entry in read_lines(path, "word")])
    else:
        lines = list(_cues(path))
    shifted = [Subtitle(start=max(0.0, s.start - begin), stop=s.stop - begin, text=s.text) for s in lines if s.text]
    return tuple(sorted((s for s in shifted if s.stop > s.start), key=lambda s: (s.start, s.stop)))


def _cues(path: Path) -> Iterable[Subtitle]:
    """The cues of SubRip or WebVTT: a line with their times, their text below it up to the next empty line."""
    lines = [*read_text(path).splitlines(), ""]
    times: tuple[float, float] | None = None
    said: list[str] = []
    for number, line in enumerate(lines, start=1):
        if match := _TIMES.match(line):
            times, said = (_seconds(match[1], path, number), _seconds(match[2], path, number)), []
        elif times is not None and not line.strip():
            yield Subtitle(start=times[0], stop=times[1], text=_bare(" ".join(said)))
            times = None
        elif times is not None:
            said.append(line.strip())


def _listed(path: Path) -> list[Subtitle]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError("expected a list of lines of subtitles", file=path)
    lines = []
    for place, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not (
            {"timestamp", "text"} <= entry.keys() or {"start", "line"} <= entry.keys()
        ):
            raise InputError(f"entry {place} is no line of subtitles (start, end, line): {entry!r:.80}", file=path)
        times = entry["timestamp"] if "timestamp" in entry else [entry["start"], entry.get("end")]
        if not isinstance(times, list) or len(times) != 2:
            raise InputError(f"entry {place} has the times {times!r:.80}; expected are start and end", file=path)
        said = entry["text"] if "timestamp" in entry else entry["line"]
        end = LAST if times[1] is None else _time(times[1], path, place)
        lines.append(_line(_time(times[0], path, place), end, _bare(str(said)), path, place))
    return lines


def _word(entry: Any, path: Path, line: int) -> Subtitle:
    if not isinstance(entry, Mapping) or not {"text", "start_time", "end_time"} <= entry.keys():
        raise InputError(
            f"expected a word with text, start_time and end_time, found {entry!r:.60}", file=path, line=line
        )
    start, stop = (_time(entry[name], path, line) for name in ("start_time", "end_time"))
    return _line(start, stop, str(entry["text"]), path, line)


def _sentences(words: Sequence[Subtitle]) -> list[Subtitle]:
    joined: list[Subtitle] = []
    for place, word in enumerate(words):
        if place:
            pause = word.start - words[place - 1].stop
            ended = words[place - 1].text.rstrip().endswith((".", "!", "?"))
        if not place or pause > PAUSE or (ended and pause > SENTENCE_PAUSE):
            joined.append(word)
        else:
            joined[-1] = Subtitle(start=joined[-1].start, stop=word.stop, text=f"{joined[-1].text} {word.text}")
    return joined


def _line(start: float, stop: float, said: str, path: Path, place: int) -> Subtitle:
    return Subtitle.from_mapping({"start": start, "stop": stop, "text": said}, file=path, line=place)


def _time(value: Any, path: Path, place: int) -> float:
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < LAST):
        return float(value)
    return _seconds(str(value), path, place)


def _seconds(told: str, path: Path, line: int) -> float:
    try:
        return seconds(told)
    except InputError as error:
        raise InputError(error.problem, file=path, line=line) from None


def _bare(said: str) -> str:
    """What is read: without marks of fonts and places, entities as their characters."""
    return " ".join(html.unescape(_TAG.sub("", said)).split())
