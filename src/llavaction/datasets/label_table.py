"""Annotations with one column of labels: a table of ``video_id, start, stop, label`` is a dataset.

The label is the action class. There is no noun: the only noun class is the nameless one, which nothing shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llavaction.actions.segments import SegmentTable
from llavaction.actions.vocabulary import NO_NOUN, LabelClass, WholeLabel
from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256
from llavaction.base.seeding import hashed_rng
from llavaction.base.tables import Table
from llavaction.base.text import same_when_read, shown
from llavaction.datasets.cells import CellReader, video_name
from llavaction.datasets.epic_kitchens import COLUMNS, EpicKitchens

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
"""What the columns may be called, the first that is there counts; the first four must be there."""
REQUIRED = ("video_id", "start_timestamp", "stop_timestamp", "label")
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
"""Names of splits, in file names and in the column ``split``."""
ALL = "all"
"""The split of every segment."""
HELD_OUT = 0.2
"""Share of the videos that are for validation where nothing says which."""


class LabelTable(EpicKitchens):
    """A folder with one CSV file of labelled spans, or with train.csv and validation.csv (test.csv).

    Args:
        folder: holds the file or files; see :data:`HEADERS` for the columns. Times are seconds or ``HH:MM:SS.ss``.

    A lone file is divided by its column ``split``; without one, a fifth of the videos, drawn by their names, is
    "validation" and the others are "train". The split "all" has every segment. Other attributes and the errors are
    those of :class:`EpicKitchens`. Class ids are the places of the labels in alphabetical order.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.remarks, self.notes, self._tables = [], [], {}
        self._files = label_files(self.folder)
        if not self._files:
            raise InputError("holds no table of labels", file=folder, hint=_expected())
        self._columns = {path: _columns(path) for path in self._files.values()}
        self._labels_of: dict[str, str] = {}  # as it reads to as it is written, the most frequent spelling
        self.verbs = self._read_labels()
        self.nouns = {NO_NOUN.id: NO_NOUN}
        self.name, self.licence = self._identity()
        self._split_of = self._assigned()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are there, train first."""
        return tuple(split for split in SPLITS if split in self._files or split in self._split_of.values())

    def segments(self, split: str, *, unlabelled: bool = False) -> SegmentTable:
        """The segments of a split in file order; see :meth:`EpicKitchens.segments`."""
        del unlabelled  # a table of labels has them
        if split != ALL and split not in self.splits:
            raise InputError(
                f"has no split '{split}'", file=self.folder, hint=f"splits: {', '.join((*self.splits, ALL))}"
            )
        if split in self._files:
            return self._table(self._files[split])
        everything = (segment for path in self._files.values() for segment in self._table(path))
        return SegmentTable(s for s in everything if split in (ALL, self._split_of.get(s.segment_id)))

    def sources(self, *splits: str) -> dict[str, str]:
        """Names and sha256 of the tables."""
        del splits  # the classes are those of all tables
        return {path.name: file_sha256(path) for path in self._files.values()}

    def _table(self, path: Path) -> SegmentTable:
        if path not in self._tables:
            self._tables[path] = SegmentTable(self._read_segments(path, COLUMNS))
            if not len(self._tables[path]):
                raise InputError("has no usable row", file=path, hint="\n".join(str(r) for r in self.remarks[:5]))
        return self._tables[path]

    def _read_labels(self) -> dict[int, LabelClass]:
        spellings: dict[str, Counter[str]] = {}
        for path in self._files.values():
            column = self._columns[path]["label"]
            for row in Table(path, ()):
                if not row.fault and (label := " ".join(row.cells[column].split())):
                    spellings.setdefault(same_when_read(label), Counter())[label] += 1
        if not spellings:
            raise InputError("has no labels", file=next(iter(self._files.values())), hint=_expected())
        for read, written in spellings.items():
            self._labels_of[read], *others = sorted(written, key=lambda label: (-written[label], label))
            if others:
                self.notes.append(shown(f"label '{others[0]}' is read as '{self._labels_of[read]}'"))
        names = sorted(self._labels_of.values(), key=lambda label: (label.casefold(), label))
        return {number: WholeLabel(id=number, key=name) for number, name in enumerate(names)}

    def _assigned(self) -> dict[str, str]:
        """The split of each segment of a lone table, by its id; empty where the file's name says it."""
        if ALL not in self._files:
            return {}
        path = self._files[ALL]
        table = self._table(path)
        if "split" in self._columns[path]:
            return {segment.segment_id: segment.extra["split"] for segment in table}
        ranked = sorted(table.videos, key=lambda video: hashed_rng("held out video", 0, video).random())
        held_out = set(ranked[: max(1, round(HELD_OUT * len(ranked)))])
        self.notes.append(
            f"{path.name} has no column 'split': {len(held_out)} of {len(ranked)} videos, drawn by their names, are "
            f"'validation', the others 'train'; --split {ALL} takes every segment"
        )
        return {s.segment_id: "validation" if s.video_id in held_out else "train" for s in table}

    def _rows(self, path: Path, required: tuple[str, ...], cells: CellReader) -> Iterator[tuple[int, dict[str, str]]]:
        """The rows of a table of labels, its columns called as in the EPIC-KITCHENS-100 form."""
        columns = self._columns.get(path)
        if columns is None:
            yield from super()._rows(path, required, cells)
            return
        of_video: Counter[str] = Counter()
        for line, row in super()._rows(path, (), cells):
            found = {name: row.get(column, "") for name, column in columns.items()}
            video = video_name(found["video_id"])[0]
            of_video[video] += 1
            number = f"{video}_{of_video[video]}"
            yield line, {"participant_id": "", "narration": "", "narration_id": number} | found

    def _labels(self, row: dict[str, str], cells: CellReader, line: int) -> dict[str, Any]:
        label = self._labels_of.get(same_when_read(" ".join(row["label"].split())))
        if label is None:
            raise InputError("has no label")
        values = {"narration": row["narration"], "verb_class": self._ids[label], "noun_class": NO_NOUN.id}
        if "split" not in row:
            return values
        split = next((name for name, written in SPLITS.items() if row["split"].lower() in written), None)
        if split is None:
            raise InputError(f"split '{row['split']:.60}' is none of {', '.join(SPLITS)}")
        return values | {"extra": {"split": split}}

    @property
    def _ids(self) -> dict[str, int]:
        return {label.key: label.id for label in self.verbs.values()}


def label_files(folder: Path) -> dict[str, Path]:
    """The tables of a folder by split: its only CSV file for "all", or those called by the splits' names."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv") and path.is_file())
    by_split = {
        split: path for split, names in SPLITS.items() for path in found if path.stem.lower() in names
    }  # fmt: skip
    if by_split:
        return by_split
    tables = [path for path in found if not path.name.startswith("EPIC_100_")]
    return {ALL: tables[0]} if len(tables) == 1 else {}


def _columns(path: Path) -> dict[str, str]:
    """What the table calls the columns of :data:`HEADERS` that it has."""
    there = Table(path, ()).columns
    found = {name: next((one for one in called if one in there), "") for name, called in HEADERS.items()}
    missing = [HEADERS[name][0] for name in REQUIRED if not found[name]]
    if missing:
        raise InputError(f"lacks the column(s) {', '.join(missing)}; found {there[:40]}", file=path, hint=_expected())
    return {name: column for name, column in found.items() if column}


def _expected() -> str:
    return (
        "expected one CSV file with the columns video_id, start, stop, label (and split, if wanted), "
        "or EPIC_100_verb_classes.csv with EPIC_100_validation.csv"
    )


def open_annotations(folder: str | Path) -> EpicKitchens:
    """The annotations in a folder: of the EPIC-KITCHENS-100 form, or tables with one column of labels.

    Raises:
        InputError: the folder is missing, or holds neither.
    """
    path = Path(folder)
    if path.is_dir() and not (path / "EPIC_100_verb_classes.csv").is_file() and label_files(path):
        return LabelTable(path)
    return EpicKitchens(path)
