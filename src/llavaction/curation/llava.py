"""LLaVA's conversation JSON, which the published training data is in: export, and import of anybody's.

A record of theirs is ``{"id", "video", "conversations": [{"from": "human" | "gpt", "value"}, ...]}``, with ``<image>``
where the video is seen. The published records of EPIC-KITCHENS-100 have no placeholder (their loader puts one in front)
and add ``start_timestamp``, ``end_timestamp`` (texts, seconds), ``question_type``, ``verb_id``, ``noun_id``,
``action_id``; there ``video`` is "participant-video". See haotian-liu/LLaVA, ``docs/Finetune_Custom_Data.md``, and
AdaptiveMotorControlLab/LLaVAction at commit bd9f465.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.curation.records import VIDEO, ActionLabels, Message, TrainingRecord
from llavaction.video.layouts import VIDEO_SUFFIXES

IMAGE = "<image>"
"""Their placeholder, for videos too."""

SPEAKERS = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
"""Their names of the roles; "user" and "assistant" occur in other people's files."""

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
    made: dict[str, Any] = {"id": record.record_id}
    if record.clip is not None:
        made["video"] = video.replace("{video_id}", record.clip.video_id)
    made |= {"conversations": turns, "question_type": record.task}
    if record.clip is not None:
        made |= {"start_timestamp": str(record.clip.start), "end_timestamp": str(record.clip.stop)}
    if record.labels is not None:
        labels = record.labels
        made |= {"verb_id": labels.verb, "noun_id": labels.noun, "action_id": labels.action}
    if record.provenance:
        made["provenance"] = dict(record.provenance)
    return made


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
    entries = list(_entries(path))
    videos = {entry["video"] for _, entry in entries if isinstance(entry, dict) and isinstance(entry.get("video"), str)}
    paths = Counter(video_id(video) for video in {_without_suffix(video) for video in videos})
    several = {name for name, count in paths.items() if count > 1}
    for place, entry in entries:
        try:
            record = from_llava(entry, place, duration, several)
        except InputError as error:
            refused.append((place, error.problem))
            continue
        if record.record_id in records:
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
        InputError: it is no such record, is about a picture, or nobody knows how long its video is.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("conversations"), list):
        raise InputError("has no list of 'conversations'")
    if entry.get("image"):
        raise InputError("is about a picture, not a video")
    clip = _clip(entry, duration, several)
    messages = [_message(turn) for turn in entry["conversations"]]
    if clip is not None and not any(VIDEO in message["content"] for message in messages):
        first = next((message for message in messages if message["role"] == "user"), None)
        if first is not None:
            first["content"] = f"{VIDEO}\n{first['content']}"
    values = {
        "record_id": str(entry.get("id") or place),
        "task": str(entry.get("question_type") or "imported"),
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
    participant, dash, rest = name.partition("-")
    return rest if dash and rest.startswith(f"{participant}_") else name


def _without_suffix(path: str) -> str:
    pure = PurePosixPath(path)
    return str(pure.with_suffix("") if pure.suffix.lower() in VIDEO_SUFFIXES else pure)


def _entries(path: Path) -> Iterator[tuple[int, Any]]:
    if path.suffix.lower() != ".jsonl":
        values = read_json(path)
        if not isinstance(values, list):
            raise InputError(f"holds a {type(values).__name__}, expected a list of conversations", file=path)
        yield from enumerate(values, start=1)
        return
    if not path.is_file():
        raise InputError("no such file", file=path)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    raise InputError(f"not JSON ({error})", file=path, line=number) from None


def _clip(entry: Mapping[str, Any], duration: Callable[[str], float] | None, several: Collection[str]) -> Clip | None:
    video = entry.get("video")
    if video is None:
        return None
    if not isinstance(video, str) or not video:
        raise InputError(f"'video' is {video!r:.80}, expected one path")
    name = video_id(video)
    name = _without_suffix(video) if name in several else name
    try:
        start = float(entry.get("start_timestamp") or 0.0)
        stop = float(entry["end_timestamp"]) if entry.get("end_timestamp") is not None else None
    except (TypeError, ValueError):
        raise InputError("'start_timestamp' or 'end_timestamp' is not a number of seconds") from None
    if stop is None:
        if duration is None:
            raise InputError(f"does not say where the clip in '{video}' ends", hint="give --videos DIR")
        stop = duration(name)
    return Clip.from_mapping({"video_id": name, "start": start, "stop": stop})


def _message(turn: Any) -> dict[str, str]:
    if not isinstance(turn, dict) or turn.get("from") not in SPEAKERS or not isinstance(turn.get("value"), str):
        raise InputError(f"a turn is {turn!r:.80}, expected {{'from': 'human' or 'gpt', 'value': text}}")
    return {"role": SPEAKERS[turn["from"]], "content": turn["value"].replace(IMAGE, VIDEO)}


def _labels(entry: Mapping[str, Any]) -> ActionLabels | None:
    ids = {name: entry.get(f"{name}_id") for name in ("verb", "noun", "action")}
    if all(value is None for value in ids.values()):
        return None
    return ActionLabels.from_mapping({name: -1 if value is None else value for name, value in ids.items()})
