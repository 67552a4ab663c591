"""LLaVA's conversation JSON, which the published training data is in: export, and import of anybody's.

A record of theirs is ``{"id", "video", "conversations": [{"from": "human" | "gpt", "value"}, ...]}``, with ``<image>``
where the video is seen. The published records of EPIC-KITCHENS-100 have no placeholder (their loader puts one in front)
and add ``start_timestamp``, ``end_timestamp`` (texts, seconds), ``question_type``, ``verb_id``, ``noun_id``,
``action_id``; there ``video`` is "participant-video". See haotian-liu/LLaVA, ``docs/Finetune_Custom_Data.md``, and
AdaptiveMotorControlLab/LLaVAction at commit bd9f465. Other people's files say ``messages`` for ``conversations``,
``videos`` for ``video`` and ``{"role", "content"}`` for ``{"from", "value"}``; they are read too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.json_stream import JsonCursor
from llavaction.base.records import read_lines
from llavaction.base.registry import suggestion
from llavaction.curation.records import VIDEO, ActionLabels, Message, TrainingRecord
from llavaction.datasets.cells import LATEST, seconds
from llavaction.video.layouts import VIDEO_SUFFIXES

IMAGE = "<image>"
"""Their placeholder, for videos too."""

SPEAKERS = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
"""Their names of the roles; "user" and "assistant" occur in other people's files."""

TURNS, CLIPS = ("conversations", "messages"), ("video", "videos")
KNOWN = (
    "id", *CLIPS, *TURNS, "system", "start_timestamp", "end_timestamp", "question_type", "verb_id", "noun_id",
    "action_id", "provenance", "image", "images",
)  # fmt: skip
"""Keys of a record that mean something here; "image" only that it is refused."""
IDLE = (
    "data_source", "dataset_name", "source", "dataset", "split", "task_instruction", "num_samples", "model", "metadata",
    "duration", "fps",
)  # fmt: skip
"""Keys of published files that say nothing a training record keeps."""

_WRITTEN_AS = {"system": "system", "user": "human", "assistant": "gpt"}


def to_llava(record: TrainingRecord, video: str = "{video_id}.mp4") -> dict[str, Any]:
    """A record in LLaVA's form; :func:`from_llava` gives the same record back.

    Args:
        record: the record.
        video: pattern of the video's path, "{video_id}" in it.

    Raises:
        InputError: the text itself contains their placeholder, words stand in for the clip, or the pattern is none.
    """
    if "{video_id}" not in video or set("{}") & set(video.replace("{video_id}", "")):
        raise InputError(
            f"'{video}' is no pattern of a video's path", hint="put {video_id} into it, and no other braces"
        )
    if record.words is not None:
        raise InputError(f"record '{record.record_id}' has words in place of a clip, which LLaVA has no form for")
    turns = []
    for message in record.messages:
        if IMAGE in message.content:
            raise InputError(f"record '{record.record_id}' says '{IMAGE}', which LLaVA takes for its video")
        turns.append({"from": _WRITTEN_AS[message.role], "value": message.content.replace(VIDEO, IMAGE)})
    entry: dict[str, Any] = {"id": record.record_id}
    if record.clip is not None:
        entry["video"] = video.replace("{video_id}", record.clip.video_id)
    entry |= {"conversations": turns, "question_type": record.task}
    if record.clip is not None:
        entry |= {"start_timestamp": str(record.clip.start), "end_timestamp": str(record.clip.stop)}
    if record.labels is not None:
        labels = record.labels
        entry |= {"verb_id": labels.verb, "noun_id": labels.noun, "action_id": labels.action}
    if record.provenance:
        entry["provenance"] = dict(record.provenance)
    return entry


@dataclass(frozen=True)
class LlavaFile:
    """What a file of LLaVA's form holds.

    Attributes:
        records: what could be read.
        refused: (place in the file, from 1; why) of what could not.
    """

    records: list[TrainingRecord]
    refused: list[tuple[int, str]] = field(default_factory=list)


def read_llava(path: str | Path, duration: Callable[[str], float] | None = None) -> LlavaFile:
    """Read a JSON list, or JSON Lines, of LLaVA records. Those that cannot be used are left out and named.

    A record whose id another one has gets its place in the file added to it. Where videos of one name lie in several
    folders, their ids are their paths without suffix.

    Args:
        path: the file.
        duration: seconds of the video of that id, for records that do not say which span is meant.

    Raises:
        InputError: the file is missing or is not JSON, or none of its records can be used.
    """
    path = Path(path)
    records: dict[str, TrainingRecord] = {}
    refused = []
    videos = {video for _, entry in _entries(path) if (video := _named_video(entry))}
    paths = Counter(video_id(video) for video in {_without_suffix(video) for video in videos})
    several = {name for name, count in paths.items() if count > 1}
    for place, entry in _entries(path):
        try:
            record = from_llava(entry, place, duration, several)
        except InputError as error:
            refused.append((place, error.problem + (f" ({error.hint})" if error.hint else "")))
            continue
        while record.record_id in records:
            record = record.model_copy(update={"record_id": f"{record.record_id}:{place}"})
        records[record.record_id] = record
    if not records:
        why = f"; the first: {refused[0][1]}" if refused else ""
        raise InputError(f"holds no usable record{why}", file=path, line=refused[0][0] if refused else None)
    return LlavaFile(list(records.values()), refused)


def from_llava(
    entry: Any,
    place: int = 1,
    duration: Callable[[str], float] | None = None,
    several: Collection[str] = (),
) -> TrainingRecord:
    """One record of LLaVA's form as ours.

    Args:
        entry: the record.
        place: its place in the file, for records without an id.
        duration: see :func:`read_llava`.
        several: names that videos in several folders have: their ids are their paths.

    Raises:
        InputError: it is no such record, has a key that is not known (names the nearest), is about a picture, or nobody
            knows how long its video is.
    """
    turns = _one_of(entry, TURNS) if isinstance(entry, dict) else None
    if not isinstance(turns, list):
        raise InputError("has no list of 'conversations'")
    for key in entry:
        if key not in KNOWN and key not in IDLE:
            raise InputError(f"unknown key '{key}'; {suggestion(str(key), KNOWN)}")
    if entry.get("image") or entry.get("images"):
        raise InputError("is about a picture, not a video")
    clip = _clip(entry, duration, several)
    messages = [_message(turn) for turn in turns]
    if entry.get("system"):
        messages.insert(0, _message({"from": "system", "value": entry["system"]}))
    if clip is not None and not any(VIDEO in message["content"] for message in messages):
        first = next((message for message in messages if message["role"] == "user"), None)
        if first is not None:
            first["content"] = f"{VIDEO}\n{first['content']}"
    values = {
        "record_id": _short(entry, "id") or str(place),
        "task": _short(entry, "question_type") or "imported",
        "clip": clip,
        "messages": [Message.from_mapping(message) for message in messages],
        "labels": _labels(entry),
        "provenance": entry.get("provenance") or {},
    }
    return TrainingRecord.from_mapping(values)


def video_id(path: str) -> str:
    """The id of a video by its path; of the published "P01-P01_11" it is "P01_11"."""
    pure = PurePosixPath(path)
    name = pure.stem if pure.suffix.lower() in VIDEO_SUFFIXES else pure.name
    participant, dash, recording = name.partition("-")
    return recording if dash and recording.startswith(f"{participant}_") else name


def _without_suffix(path: str) -> str:
    pure = PurePosixPath(path)
    return str(pure.with_suffix("") if pure.suffix.lower() in VIDEO_SUFFIXES else pure)


def _entries(path: Path) -> Iterator[tuple[int, Any]]:
    if path.suffix.lower() == ".jsonl":
        yield from read_lines(path, "conversation")
        return
    if not path.is_file():
        raise InputError("no such file", file=path)
    with path.open(encoding="utf-8-sig") as stream:
        cursor = JsonCursor(stream, path)
        if cursor.peek() != "[":
            kind = type(cursor.value()).__name__
            raise InputError(f"holds a {kind}, expected a list of conversations", file=path)
        yield from enumerate(cursor.list_items(), start=1)
        cursor.end()


def _one_of(entry: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the one name of several that the entry has."""
    present = [name for name in names if entry.get(name) is not None]
    if len(present) > 1:
        raise InputError(f"has both '{present[0]}' and '{present[1]}'")
    return entry[present[0]] if present else None


def _short(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise InputError(f"'{key}' is {value!r:.80}, expected a text")
    return "" if value is None else str(value)


def _named_video(entry: Any) -> str | None:
    """The path an entry gives for its video, where it gives one."""
    if not isinstance(entry, dict):
        return None
    video = entry.get("video") if entry.get("video") is not None else entry.get("videos")
    if isinstance(video, list) and len(video) == 1:
        video = video[0]
    return video if isinstance(video, str) else None


def _clip(entry: Mapping[str, Any], duration: Callable[[str], float] | None, several: Collection[str]) -> Clip | None:
    value = _one_of(entry, CLIPS)
    if value is None or value == []:
        return None
    video = _named_video(entry)
    if not video or "\0" in video or not video_id(video):
        raise InputError(f"'video' is {value!r:.80}, expected one path")
    name = video_id(video)
    name = _without_suffix(video) if name in several else name
    start, stop = _time(entry, "start_timestamp") or 0.0, _time(entry, "end_timestamp")
    if stop is None:
        if duration is None:
            raise InputError(f"does not say where the clip in '{video}' ends", hint="give --videos DIR")
        stop = duration(name)
    return Clip.from_mapping({"video_id": name, "start": start, "stop": stop})


def _time(entry: Mapping[str, Any], key: str) -> float | None:
    """A time as a number of seconds, or as a text: seconds or HH:MM:SS.ss."""
    value = entry.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"'{key}' is {value!r:.80}, not a number of seconds")
    if not isinstance(value, str):
        if not 0 <= value <= LATEST:
            raise InputError(f"'{key}' is {value!r:.80}, not a number of seconds within ten days")
        return float(value)
    try:
        return seconds(value)
    except InputError as error:
        raise InputError(f"{key}: {error.problem}", hint=error.hint) from None


def _message(turn: Any) -> dict[str, str]:
    """A turn in either style; its content may be a list of parts, as chat templates take it."""
    expected = "expected {'from': 'human' or 'gpt', 'value': text}"
    if not isinstance(turn, dict):
        raise InputError(f"a turn is {turn!r:.80}, {expected}")
    for key in turn:
        if key not in ("from", "value", "role", "content"):
            raise InputError(f"a turn has the unknown key '{key}'; {suggestion(str(key), ('from', 'value'))}")
    speaker, content = _one_of(turn, ("from", "role")), _one_of(turn, ("value", "content"))
    if isinstance(content, list):
        content = "\n".join(_part(part) for part in content)
    if not isinstance(speaker, str) or speaker not in SPEAKERS or not isinstance(content, str):
        raise InputError(f"a turn is {turn!r:.80}, {expected}")
    return {"role": SPEAKERS[speaker], "content": content.replace(IMAGE, VIDEO)}


def _part(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "video":
        return VIDEO
    if kind != "text" or not isinstance(part.get("text"), str):
        raise InputError(f"a part of a turn is {part!r:.80}, expected {{'type': 'text', 'text': ..}} or a video")
    return str(part["text"])


def _labels(entry: Mapping[str, Any]) -> ActionLabels | None:
    ids = {name: entry.get(f"{name}_id") for name in ("verb", "noun", "action")}
    if all(value is None for value in ids.values()):
        return None
    return ActionLabels.from_mapping({name: -1 if value is None else value for name, value in ids.items()})
