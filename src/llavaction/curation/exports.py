"""A folder of records written for other trainers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.files import write_lines
from llavaction.base.records import read_records, write_json, write_records
from llavaction.base.registry import suggestion
from llavaction.curation.clips import Cut, CutClip, cut_clips
from llavaction.curation.llava import to_llava
from llavaction.curation.messages import CLIPS, EXPORTS, FORMATS, ClipFile, clip_name, forged_mark, llama_factory_entry
from llavaction.curation.records import TrainingRecord
from llavaction.video.errors import MissingVideoError
from llavaction.video.library import VideoLibrary


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        records: how many.
        left_out: records that were not written because words stand in for their clip, which no other trainer can add
            to an action token.
        forged: id of a record that was not written to the mark in its text which the trainer would not take for text.
        clips: how many clips the trainer needs as files.
        uncut: file name (for ``llava``, video id) to what is wrong with its video, for clips that could not be cut.
        without_clip: records that were not written because theirs is one of these.
        partial: file name to what is missing in it, for clips that could be cut only in part.
    """

    records: int
    left_out: int
    forged: Mapping[str, str] = field(default_factory=dict)
    clips: int = 0
    uncut: Mapping[str, str] = field(default_factory=dict)
    without_clip: int = 0
    partial: Mapping[str, str] = field(default_factory=dict)


def export(
    records: str | Path,
    output: str | Path,
    style: str,
    *,
    video: str = "{video_id}.mp4",
    library: VideoLibrary | None = None,
    **cutting: Any,
) -> Exported:
    """Write ``records.jsonl`` in another form.

    Args:
        records: our file.
        output: the folder to write. ``llava`` writes ``llava.json``; the others ``train.jsonl`` and ``clips.jsonl``,
            ``llama-factory`` also ``dataset_info.json``.
        style: one of EXPORTS.
        video: for ``llava``: pattern of a video's path.
        library: where the clips that other trainers need as files are cut from, into ``clips``; None leaves that to
            the caller. ``llava`` needs none: its records say which span is meant. With one they name each video by its
            path in it, in place of the pattern.
        cutting: see :func:`llavaction.curation.clips.cut_clips`.

    Raises:
        InputError: no such format, the file is missing or damaged, or a clip cannot be written.
    """
    if style not in EXPORTS:
        raise InputError(f"unknown format '{style}'", hint=suggestion(style, EXPORTS))
    folder = Path(output)
    clips: dict[str, tuple[Clip, str | None]] = {}
    forged: dict[str, str] = {}
    record_count = left_out = 0
    for record in read_records(records, TrainingRecord):
        record_count, left_out = record_count + 1, left_out + (record.words is not None)
        mark = None if record.words is not None else forged_mark(record)
        if mark is not None:
            forged[record.record_id] = mark
        elif record.clip is not None:
            clips[clip_name(record.clip)] = record.clip, record.segment_id
    exportable = (
        record
        for record in read_records(records, TrainingRecord)
        if record.words is None and record.record_id not in forged
    )
    if style == "llava":
        paths, lacking = _places({clip.video_id for clip, _ in clips.values()}, library)
        lines = (
            _line(to_llava(record, video) | ({"video": paths[record.clip.video_id]} if record.clip and paths else {}))
            for record in exportable
            if record.clip is None or record.clip.video_id not in lacking
        )
        count = write_lines(folder / "llava.json", _as_list(lines)) - 1
        return Exported(count, left_out, forged, 0, lacking, record_count - left_out - len(forged) - count)
    cut = Cut(0, 0) if library is None else cut_clips(clips, library, folder / CLIPS, **cutting)
    uncut = cut.failed
    export_lines = (
        f"{_line(FORMATS[style](record, CLIPS))}\n"
        for record in exportable
        if record.clip is None or clip_name(record.clip) not in uncut
    )
    count = write_lines(folder / "train.jsonl", export_lines)
    files = (_clip_file(name, clip, cut.partial) for name, (clip, _) in clips.items() if name not in uncut)
    write_records(folder / "clips.jsonl", files)
    if style == "llama-factory":
        write_json(folder / "dataset_info.json", llama_factory_entry("llavaction", "train.jsonl"))
    partial = {name: f"{clip_entry.problem}" for name, clip_entry in cut.partial.items()}
    return Exported(count, left_out, forged, len(clips), uncut, record_count - left_out - len(forged) - count, partial)


def _places(videos: Iterable[str], library: VideoLibrary | None) -> tuple[dict[str, str], dict[str, str]]:
    """Where each video lies under the library, and what is wrong with those that do not."""
    video_files, lacking = {}, {}
    for name in sorted(videos) if library else ():
        assert library is not None
        try:
            video_files[name] = library.path(name).relative_to(library.root).as_posix()
        except MissingVideoError as error:
            lacking[name] = str(error)
    return video_files, lacking


def _clip_file(name: str, clip: Clip, partial: Mapping[str, CutClip]) -> ClipFile:
    entry = partial.get(name)
    lacking = {} if entry is None else {"stand_ins": entry.stand_ins, "problem": entry.problem}
    return ClipFile(file=f"{CLIPS}/{name}", clip=clip, **lacking)


def _as_list(lines: Iterator[str]) -> Iterator[str]:
    """A JSON list, one entry a line; one line more than there are entries."""
    opening = "["
    for line in lines:
        yield opening + line
        opening = ",\n"
    yield "]\n" if opening != "[" else "[]\n"


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
