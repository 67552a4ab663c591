"""A folder of records written for other trainers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.files import write_lines
from llavaction.base.records import read_records, write_json, write_records
from llavaction.base.registry import suggestion
from llavaction.curation.llava import to_llava
from llavaction.curation.messages import FORMATS, ClipFile, clip_name, llama_factory_entry
from llavaction.curation.records import TrainingRecord

EXPORTS = ("llava", *FORMATS)
"""Names of the formats: LLaVA's JSON, and those of other trainers."""

CLIPS = "clips"


def export(records: str | Path, output: str | Path, style: str, *, video: str = "{video_id}.mp4") -> dict[str, int]:
    """Write ``records.jsonl`` in another form.

    Args:
        records: our file.
        output: the folder to write. ``llava`` writes ``llava.json``; the others ``train.jsonl`` and ``clips.jsonl``,
            ``llama-factory`` also ``dataset_info.json``.
        style: one of EXPORTS.
        video: for ``llava``: pattern of a video's path.

    Returns:
        How many records were written, how many were left out because words stand in for their clip (no other trainer
        can add them to an action token), and how many clips the trainer needs as files.

    Raises:
        InputError: no such format, or the file is missing or damaged.
    """
    if style not in EXPORTS:
        raise InputError(f"unknown format '{style}'", hint=suggestion(style, EXPORTS))
    folder = Path(output)
    left_out = 0

    def exportable() -> Iterator[TrainingRecord]:
        nonlocal left_out
        for record in read_records(records, TrainingRecord):
            if record.words is None:
                yield record
            else:
                left_out += 1

    if style == "llava":
        lines = (_line(to_llava(record, video)) for record in exportable())
        count = write_lines(folder / "llava.json", _as_list(lines)) - 1
        return {"records": count, "left_out": left_out, "clips": 0}
    clips: dict[str, Clip] = {}

    def written() -> Iterator[str]:
        for record in exportable():
            if record.clip is not None:
                clips[clip_name(record.clip)] = record.clip
            yield f"{_line(FORMATS[style](record, CLIPS))}\n"

    count = write_lines(folder / "train.jsonl", written())
    write_records(folder / "clips.jsonl", (ClipFile(file=f"{CLIPS}/{name}", clip=clip) for name, clip in clips.items()))
    if style == "llama-factory":
        write_json(folder / "dataset_info.json", llama_factory_entry("llavaction", "train.jsonl"))
    return {"records": count, "left_out": left_out, "clips": len(clips)}


def _as_list(lines: Iterator[str]) -> Iterator[str]:
    """A JSON list, one entry a line; one line more than there are entries."""
    opening = "["
    for line in lines:
        yield opening + line
        opening = ",\n"
    yield "]\n" if opening != "[" else "[]\n"


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
