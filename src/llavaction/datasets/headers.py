"""What the columns of people's own tables are called."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from llavaction.base.errors import InputError
from llavaction.base.tables import Table

HEADERS = {
    "video_id": ("video_id", "video", "file", "filename", "file_name", "clip", "media file name"),
    "start_timestamp": ("start", "start_timestamp", "start_time", "start_s", "start (s)", "onset", "begin", "from"),
    "stop_timestamp": ("stop", "end", "stop_timestamp", "stop_time", "end_time", "stop_s", "stop (s)", "offset", "to"),
    "label": ("label", "action", "behaviour", "behavior", "class", "activity", "event"),
    "narration_id": ("narration_id", "segment_id", "id"),
    "participant_id": ("participant_id", "participant", "subject", "animal", "animal_id"),
    "narration": ("narration",),
    "split": ("split", "subset"),
}
"""The field's name for a column to what it may be called; the first that is there counts."""
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
"""Names of splits, in file names and in a column ``split``."""
SPANS = ("video_id", "start_timestamp", "stop_timestamp")
"""What no list of segments can do without."""
CLASSES = ("verb_class", "noun_class", *HEADERS["label"])
"""Columns that say what happens in a segment."""


def named_columns(path: Path, needed: Collection[str], hint: str) -> dict[str, str]:
    """What a table calls the columns of :data:`HEADERS` that it has.

    Args:
        path: the table.
        needed: which of them it must have.
        hint: what was expected instead, for the message.

    Raises:
        InputError: the table cannot be read or lacks one that is needed.
    """
    present = Table(path, ()).columns
    column_of = {name: next((header for header in called if header in present), "") for name, called in HEADERS.items()}
    missing = [HEADERS[name][0] for name in needed if not column_of[name]]
    if missing:
        raise InputError(f"lacks the column(s) {', '.join(missing)}; found {present[:40]}", file=path, hint=hint)
    return {name: column for name, column in column_of.items() if column}


def says_classes(path: Path) -> bool:
    """Whether a table has a column that says what happens; True also where it is too broken to tell."""
    try:
        columns = Table(path, ()).columns
    except InputError:
        return True
    return any(column in columns for column in CLASSES)


def tables_in(folder: Path) -> list[Path]:
    """The CSV files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv") and path.is_file())


def tables_of_splits(folder: Path) -> dict[str, Path]:
    """The tables of a folder that are called by a split's name, such as "val.csv", by split.

    Raises:
        InputError: there are two of one split.
    """
    tables: dict[str, Path] = {}
    for split, names in SPLITS.items():
        for path in tables_in(folder):
            if path.stem.lower() not in names:
                continue
            if split in tables:
                problem = f"holds two tables of the split '{split}': {tables[split].name} and {path.name}"
                raise InputError(problem, file=folder, hint="put all segments of a split into one table")
            tables[split] = path
    return tables
