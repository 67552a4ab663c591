"""Annotations with one column of labels: a table of ``video_id, start, stop, label`` is a dataset.

The label is the action class. There is no noun: the only noun class is the nameless one, which nothing shows.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from llavaction.actions.segments import SegmentTable
from llavaction.actions.vocabulary import NO_NOUN, LabelClass, WholeLabel
from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256
from llavaction.base.seeding import hashed_rng
from llavaction.base.tables import Table
from llavaction.base.text import same_when_read, shown
from llavaction.datasets.cells import CellReader, no_value
from llavaction.datasets.epic_kitchens import COLUMNS, EpicKitchens
from llavaction.datasets.headers import SPANS, SPLITS, named_columns, says_classes, tables_in, tables_of_splits

REQUIRED = (*SPANS, "label")
ALL = "all"
"""The split of every segment."""
HELD_OUT = 0.2
"""Share of the videos that are for validation where nothing says which."""


class LabelTable(EpicKitchens):
    """A folder with one CSV file of labelled spans, or with train.csv and validation.csv (test.csv).

    Args:
        folder: holds the file or files; see :data:`HEADERS` for the columns. Times are seconds or ``HH:MM:SS.ss``.

    A lone file is divided by its column ``split``; without one, a fifth of the videos, drawn by their names, is
    "validation" and the others are "train"; where a column names the subject, videos of one stay together. The split
    "all" has every segment. Other attributes and the errors are those of :class:`EpicKitchens`. Class ids are the
    places of the labels in alphabetical order.
    """

    without_train = ("no segment is for training", "")

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Whether the folder holds tables with a column of labels."""
        return bool(label_files(folder))

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.remarks, self.notes, self._tables, self._labelled = [], [], {}, {}
        self._files = label_files(self.folder)
        if not self._files:
            raise InputError("holds no table of labels", file=folder, hint=_expected())
        self._columns = {path: named_columns(path, REQUIRED, _expected()) for path in self._files.values()}
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
        if split != ALL and split not in self.splits:
            spans = self._spans_file(split)
            if unlabelled and spans is not None:
                return self._unlabelled(spans)
            hint = f"splits: {', '.join((*self.splits, ALL))}"
            if spans is not None:
                hint += f"; {spans.name} has no labels: its segments can only be predicted and recognised"
            raise InputError(f"has no split '{split}'", file=self.folder, hint=hint)
        if split in self._files:
            return self._table(self._files[split], COLUMNS)
        everything = (segment for path in self._files.values() for segment in self._table(path, COLUMNS))
        return SegmentTable(s for s in everything if split in (ALL, self._split_of.get(s.segment_id)))

    def files(self, split: str) -> tuple[Path, ...]:
        """See :meth:`EpicKitchens.files`."""
        if split == ALL:
            return tuple(self._files.values())
        path = self._files.get(split) or (self._files.get(ALL) if split in self.splits else self._spans_file(split))
        return () if path is None else (path,)

    def sources(self, *splits: str) -> dict[str, str]:
        """Names and sha256 of the tables."""
        del splits  # the classes are those of all tables
        return {path.name: file_sha256(path) for path in self._files.values()}

    def _read_labels(self) -> dict[int, LabelClass]:
        spellings: dict[str, Counter[str]] = {}
        for path in self._files.values():
            column = self._columns[path]["label"]
            for row in Table(path, ()):
                label = "" if row.fault else " ".join(row.cells[column].split())
                if not no_value(label):
                    spellings.setdefault(same_when_read(label), Counter())[label] += 1
        if not spellings:
            raise InputError("has no row with a label", file=next(iter(self._files.values())), hint=_expected())
        for reading, counts in spellings.items():
            self._labels_of[reading], *others = sorted(counts, key=lambda label: (-counts[label], label))
            if others:
                self.notes.append(shown(f"label '{others[0]}' is read as '{self._labels_of[reading]}'"))
        names = sorted(self._labels_of.values(), key=lambda label: (label.casefold(), label))
        return {number: WholeLabel(id=number, key=name) for number, name in enumerate(names)}

    def _assigned(self) -> dict[str, str]:
        """The split of each segment of a lone table, by its id; empty where the file's name says it."""
        if ALL not in self._files:
            return {}
        path = self._files[ALL]
        table = self._table(path, COLUMNS)
        if "split" in self._columns[path]:
            return {segment.segment_id: segment.extra["split"] for segment in table}
        ranked = sorted(table.videos, key=lambda video: hashed_rng("held out video", 0, video).random())
        subject = self._columns[path].get("participant_id")
        together = _videos_of_one_subject(table) if subject else {video: video for video in ranked}
        if subject and len(set(together.values())) == 1 < len(ranked):
            self.notes.append(
                f"every video of {path.name} shares a '{subject}' with others: subjects are not kept apart"
            )
            subject, together = None, {video: video for video in ranked}
        target, held_out = max(1, round(HELD_OUT * len(ranked))), set[str]()
        for video in ranked:
            if len(held_out) < target:
                held_out |= {other for other in ranked if together[other] == together[video]}
        group = f", each '{subject}' with all its videos" if subject else ""
        self.notes.append(
            f"{path.name} has no column 'split': {len(held_out)} of {len(ranked)} videos, drawn by their names{group}, "
            f"are 'validation', the others 'train'; --split {ALL} takes every segment"
        )
        return {s.segment_id: "validation" if s.video_id in held_out else "train" for s in table}

    def _labels(self, row: dict[str, str], cells: CellReader, line: int) -> dict[str, Any]:
        label = self._labels_of.get(same_when_read(" ".join(row["label"].split())))
        if label is None:
            raise InputError(f"has no label ('{row['label']}')" if row["label"] else "has no label")
        narration = "" if no_value(row["narration"]) else row["narration"]
        values = {"narration": narration, "verb_class": self._ids[label], "noun_class": NO_NOUN.id}
        if "split" not in row:
            return values
        split = next((name for name, spellings in SPLITS.items() if row["split"].lower() in spellings), None)
        if split is None:
            raise InputError(f"split '{row['split']:.60}' is none of {', '.join(SPLITS)}")
        return values | {"extra": {"split": split}}

    @property
    def _ids(self) -> dict[str, int]:
        return {label.key: label.id for label in self.verbs.values()}


def label_files(folder: Path) -> dict[str, Path]:
    """The tables of labels of a folder by split: those called by the splits' names, else its only one, for "all"."""
    split_tables = tables_of_splits(folder)
    if labelled := {split: path for split, path in split_tables.items() if says_classes(path)}:
        return labelled
    others = [path for path in tables_in(folder) if path not in split_tables.values()]
    tables = [path for path in others if not path.name.startswith("EPIC_100_")]
    return {ALL: tables[0]} if len(tables) == 1 else split_tables


def _expected() -> str:
    return (
        "expected one CSV file with the columns video_id, start, stop, label (and split, if wanted), "
        "or EPIC_100_verb_classes.csv with EPIC_100_validation.csv"
    )


def _videos_of_one_subject(table: SegmentTable) -> dict[str, str]:
    """For each video the first of those it shares a subject with, directly or by way of others."""
    first_of: dict[str, str] = {video: video for video in table.videos}
    videos: dict[str, str] = {}
    for segment in table:
        if not segment.participant_id:
            continue
        a, b = (first_of[segment.video_id], first_of[videos.setdefault(segment.participant_id, segment.video_id)])
        if a != b:
            first_of = {video: min(a, b) if first in (a, b) else first for video, first in first_of.items()}
    return first_of
