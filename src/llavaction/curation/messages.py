"""The messages formats that other trainers read.

==================  =====================================================================================
``trl``             ``messages`` whose contents are lists of parts, ``{"type": "video"}`` and ``"text"``, and
                    the column ``videos`` (TRL, "Dataset formats and types", section "Vision datasets", which
                    shows the same with ``images``; the video part also names its file, as the chat templates
                    of transformers take it)
``ms-swift``        ``messages`` with ``<video>`` in their texts and ``videos``, a list of paths
                    (ms-swift, "Custom dataset", section "Multimodal")
``llama-factory``   the same records; its ``dataset_info.json`` names the columns and the roles
                    (LLaMA-Factory, ``data/README.md``, section "OpenAI Format"; videos by column)
==================  =====================================================================================

None of them has a word for a span of a video, so each clip is a file of its own. :func:`clip_name` says how it is
called; ``clips.jsonl`` beside an export lists which span of which video it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import Field

from llavaction.actions.segments import Clip
from llavaction.base.records import Record
from llavaction.curation.records import VIDEO, Message, TrainingRecord

_MARK = re.compile(
    r"<\|[^<>|\s]{1,40}\|>"
    r"|</?(?:image|video|audio|img|bbox|ref-object|cot-process|start-image|s|start_of_turn|end_of_turn"
    r"|start_of_image|image_soft_token|IMG_CONTEXT|pad|unk|bos|eos)>"
)
"""Control tokens of the hub's model families, and the placeholders that ms-swift and LLaMA-Factory fill in."""


class ClipFile(Record):
    """A line of ``clips.jsonl``: which file holds which span of a video."""

    file: str
    clip: Clip
    stand_ins: tuple[int, ...] = Field(default=(), description="places of frames that stand in for missing ones")
    problem: str | None = Field(default=None, description="what kept the file from being the complete clip")


def clip_name(clip: Clip) -> str:
    """Name of the file of a clip, "P01_11_2.97_13.79.mp4"."""
    return f"{clip.video_id}_{clip.start}_{clip.stop}.mp4"


def to_trl(record: TrainingRecord, folder: str) -> dict[str, Any]:
    """A record as TRL reads it; ``folder`` holds the clips."""
    paths = _paths(record, folder)
    return {
        "messages": [{"role": turn.role, "content": _parts(turn, paths)} for turn in record.messages],
        "videos": paths,
    }


def to_swift(record: TrainingRecord, folder: str) -> dict[str, Any]:
    """A record as ms-swift and LLaMA-Factory read it; ``folder`` holds the clips."""
    entry: dict[str, Any] = {"messages": [{"role": turn.role, "content": turn.content} for turn in record.messages]}
    if record.clip is not None:
        entry["videos"] = _paths(record, folder)
    return entry


def llama_factory_entry(name: str, file: str) -> dict[str, Any]:
    """What LLaMA-Factory's ``dataset_info.json`` has to say of an export."""
    return {
        name: {
            "file_name": file,
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "videos": "videos"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
    }


def forged_mark(record: TrainingRecord) -> str | None:
    """The first thing in a record's texts that a trainer takes for something else than text; None where there is none.

    Trainers put pictures and sounds where a text says so, and their tokenizers read control tokens in it.
    """
    for message in record.messages:
        mark = _MARK.search(message.content.replace(VIDEO, "", 1))
        if mark:
            return mark[0]
    return None


FPS, SHORT_SIDE = 8.0, 480
"""Frames per second of cut clips, and most pixels of their shorter side, where nothing else is said."""

CLIPS = "clips"
"""The folder of an export's clips."""

FORMATS: dict[str, Callable[[TrainingRecord, str], dict[str, Any]]] = {
    "trl": to_trl,
    "ms-swift": to_swift,
    "llama-factory": to_swift,
}
"""Formats by name."""

EXPORTS = ("llava", *FORMATS)
"""Names of all formats: LLaVA's JSON, and those of other trainers."""


def _paths(record: TrainingRecord, folder: str) -> list[str]:
    return [] if record.clip is None else [f"{folder}/{clip_name(record.clip)}"]


def _parts(message: Message, paths: list[str]) -> list[dict[str, str]]:
    before, video, after = message.content.partition(VIDEO)
    parts = [{"type": "text", "text": before}] if before else []
    if video:
        parts.append({"type": "video", "video": paths[0]})
        after = after.removeprefix("\n")
    return [*parts, {"type": "text", "text": after}] if after else parts
