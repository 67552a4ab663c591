"""The annotation files of a kitchen_mini dataset, named and formed as the EPIC-KITCHENS-100 ones.

Source: github.com/epic-kitchens/epic-kitchens-100-annotations (15 columns, lists as Python literals in cells,
HH:MM:SS.ss timestamps, 1-based frame columns that are floor(fps * t)).
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kitchen_mini.renderer.config import SPLITS, KitchenMiniConfig
from kitchen_mini.renderer.script import Event, Script, unseen_participants
from kitchen_mini.renderer.world import NOUNS, VERB_IDS, VERBS, Noun, Verb
from llavaction.base.records import write_text

COLUMNS = (
    "narration_id",
    "participant_id",
    "video_id",
    "narration_timestamp",
    "start_timestamp",
    "stop_timestamp",
    "start_frame",
    "stop_frame",
    "narration",
    "verb",
    "verb_class",
    "noun",
    "noun_class",
    "all_nouns",
    "all_noun_classes",
)
TAIL_SHARE = 0.2
"""Tail classes are the rarest ones that together make up this share of the training segments."""


def write_annotations(folder: Path, scripts: Sequence[Script], settings: KitchenMiniConfig) -> list[Path]:
    """Write every annotation file into ``folder`` and return their paths.

    A split without videos gets no file; without training videos there are no tail lists, for they are counted there.

    Raises:
        InputError: a file cannot be written.
    """
    tables: dict[str, tuple[Sequence[str], Iterable[Sequence[object]]]] = {
        "verb_classes": (("id", "key", "instances", "category"), _classes(VERBS)),
        "noun_classes": (("id", "key", "instances", "category"), _classes(NOUNS)),
        "video_info": (("video_id", "duration", "fps", "resolution"), _video_info(scripts, settings)),
    }
    for split in SPLITS:
        mine = [script for script in scripts if script.split == split]
        if not mine:
            continue
        tables[split] = (COLUMNS, [row for script in mine for row in _rows(script, settings.fps)])
        if split != "train":
            present = {script.participant_id for script in mine}
            unseen = [name for name in unseen_participants(settings, split) if name in present]
            tables[f"unseen_participant_ids_{split}"] = (("participant_id",), [(name,) for name in unseen])
    trained = [event for script in scripts if script.split == "train" for event in script.events]
    if trained:
        verbs = Counter(VERB_IDS[event.step.verb] for event in trained)
        nouns = Counter(event.noun_classes[0] for event in trained)
        tables["tail_verbs"] = (("verb",), [(index,) for index in tail_classes(verbs, len(VERBS))])
        tables["tail_nouns"] = (("noun",), [(index,) for index in tail_classes(nouns, len(NOUNS))])
    paths = []
    for name, (columns, rows) in tables.items():
        paths.append(folder / f"EPIC_100_{name}.csv")
        write_text(paths[-1], _csv(columns, rows))
    return paths


def tail_classes(counts: Mapping[int, int], classes: int) -> list[int]:
    """The rarest classes that together hold at most :data:`TAIL_SHARE` of all instances, sorted.

    Args:
        counts: instances per class in training.
        classes: how many classes there are; those without an instance are in the tail.
    """
    budget = TAIL_SHARE * sum(counts.values())
    tail, count = [], 0
    for index in sorted(range(classes), key=lambda index: (counts.get(index, 0), -index)):
        count += counts.get(index, 0)
        if count > budget:
            break
        tail.append(index)
    return sorted(tail)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _classes(kinds: Sequence[Verb | Noun]) -> list[tuple[object, ...]]:
    return [(index, kind.key, str(list(kind.instances)), kind.category) for index, kind in enumerate(kinds)]


def _video_info(scripts: Sequence[Script], settings: KitchenMiniConfig) -> list[tuple[object, ...]]:
    size = f"{settings.width}x{settings.height}"
    return [
        (script.video_id, f"{script.duration:.6f}", f"{settings.fps:.1f}", size)
        for script in sorted(scripts, key=lambda script: script.video_id)
    ]


def _rows(script: Script, fps: int) -> list[tuple[object, ...]]:
    """The segments of a video, sorted by narration id as text (as the official files are)."""
    rows = [_row(f"{script.video_id}_{index}", script, event, fps) for index, event in enumerate(script.events)]
    return sorted(rows, key=lambda row: str(row[0]))


def _row(narration_id: str, script: Script, event: Event, fps: int) -> tuple[object, ...]:
    return (
        narration_id,
        script.participant_id,
        script.video_id,
        timestamp(event.told, 3),
        timestamp(event.start, 2),
        timestamp(event.stop, 2),
        frame_number(event.start, fps),
        frame_number(event.stop, fps),
        event.narration,
        event.verb,
        VERB_IDS[event.step.verb],
        event.nouns[0],
        event.noun_classes[0],
        str(list(event.nouns)),
        str(list(event.noun_classes)),
    )


def timestamp(seconds: float, digits: int) -> str:
    """HH:MM:SS.ss with the given number of decimals."""
    ticks = round(seconds * 10**digits)
    whole_seconds, part = divmod(ticks, 10**digits)
    return f"{whole_seconds // 3600:02d}:{whole_seconds // 60 % 60:02d}:{whole_seconds % 60:02d}.{part:0{digits}d}"


def frame_number(seconds: float, fps: int) -> int:
    """The official frame column: floor(fps * t), at least 1; ``seconds`` is exact to a hundredth."""
    return max(1, round(seconds * 100) * fps // 100)
