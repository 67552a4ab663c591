"""Annotations with several labels a clip: Animal Kingdom's files, Charades-like tables of frames, and plain tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.base.spreadsheets import Workbook
from llavaction.base.tables import Row, Table
from llavaction.base.text import same_when_read
from llavaction.datasets.base import Remark
from llavaction.datasets.cells import CellReader, video_name
from llavaction.datasets.headers import HEADERS, SPLITS, tables_in, tables_of_splits
from llavaction.datasets.multi_label_classes import ACTION_SHEET, ClassList, read_classes

WORKBOOK = "AR_metadata.xlsx"
CLIP_SHEET = "AR"
"""The sheet of Animal Kingdom's workbook that lists the clips."""
CLASS_FILES = ("classes.csv", "classes.txt", "Action.csv")
"""Names of class files that are found beside the annotations."""
ALL = "all"
"""The split of every clip."""
FRAME_COLUMNS = ("original_vido_id", "video_id", "frame_id", "path", "labels")
"""Of a table with one row a frame, separated by blanks; "vido" is how it is spelled. A sixth, "type", may follow."""
_ONE_FIELD = "labels are one field, without blanks: 2,40"
_LABELS = ("labels", *HEADERS["label"])
_SPLIT = (*HEADERS["split"], "type")
_EXPECTED = (
    "expected AR_metadata.xlsx; train.csv and val.csv; or a table with the columns video and labels (start, stop, "
    "split, if wanted)"
)


@dataclass(frozen=True)
class LabelledClip:
    """A clip and the classes that it shows.

    Attributes:
        clip_id: unique.
        video_id: the video's.
        start: seconds from the video's beginning.
        stop: None for the video's end.
        labels: places of the classes, rising; none where nothing is shown.
        split: its name; "all" where nothing says it.
    """

    clip_id: str
    video_id: str
    start: float
    stop: float | None
    labels: tuple[int, ...]
    split: str


@dataclass(frozen=True)
class MultiLabelAnnotations:
    """Clips with their sets of labels.

    Attributes:
        path: where they were read from.
        classes: see :class:`ClassList`.
        clips: in the order of the files.
        notes: how the files were understood.
        remarks: rows that could not be used, each with file and line.
    """

    path: Path
    classes: ClassList
    clips: tuple[LabelledClip, ...]
    notes: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that are there, train first."""
        there = {clip.split for clip in self.clips}
        return tuple(split for split in (*SPLITS, ALL) if split in there)

    def of_split(self, split: str) -> list[LabelledClip]:
        """The clips of a split in file order; of "all" every clip.

        Raises:
            InputError: there is no such split.
        """
        clips = [clip for clip in self.clips if split in (ALL, clip.split)]
        if not clips:
            names = ", ".join(dict.fromkeys((*self.splits, ALL)))
            raise InputError(f"has no split '{split}'", file=self.path, hint=f"splits: {names}")
        return clips

    def truth(self, clips: Sequence[LabelledClip]) -> NDArray[np.bool_]:
        """Which classes each clip shows, bool [clips, classes]."""
        shown = np.zeros((len(clips), len(self.classes.ids)), bool)
        for row, clip in enumerate(clips):
            shown[row, list(clip.labels)] = True
        return shown

    def training_counts(self) -> NDArray[np.int64] | None:
        """Training clips of each class, [classes]; None where there is no training split."""
        if "train" not in self.splits:
            return None
        return np.asarray(self.truth(self.of_split("train")).sum(0), np.int64)


def open_multi_label(path: str | Path, classes: str | Path | None = None) -> MultiLabelAnnotations:
    """Read multi-label annotations.

    Args:
        path: a file or a folder. Read are AR_metadata.xlsx of Animal Kingdom, or its sheet AR as CSV (``video_id, type,
            labels`` with ids such as "2,40"); tables with a row a frame (:data:`FRAME_COLUMNS`), of which a clip is a
            whole video; and plain tables, ``video, labels`` with names or ids, commas, semicolons or bars between them,
            ``start`` and ``stop`` where a clip is a part of a video, ``split``. In a folder of several tables these are
            called by their split ("train.csv", "val.csv"). Rows about the same clip are joined.
        classes: the file that lists them, see :func:`read_classes`. By default the workbook's sheet Action, else a file
            of :data:`CLASS_FILES` beside the annotations, else those that are used.

    Raises:
        InputError: nothing can be read, or a label is no class.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder of annotations", file=path, hint=_EXPECTED)
    reader = _Reader()
    for split, file in _files(path).items():
        reader.read(file, split)
    listed = _class_file(path) if classes is None else Path(classes)
    known = None if listed is None else read_classes(listed)
    found = reader.resolved(known)
    if not found:
        raise InputError("has no row that can be used", file=path, hint=_EXPECTED)
    shown = known or reader.own_classes()
    notes = [*shown.notes, *reader.notes]
    if known is None and not shown.named:
        notes.append(f"the {len(shown.ids)} classes have ids but no names; a class file gives them")
    return MultiLabelAnnotations(path, shown, found, notes, reader.remarks)


@dataclass
class _Raw:
    """A clip as its rows say it."""

    file: Path
    line: int
    video_id: str
    start: float
    stop: float | None
    split: str
    cells: set[str]


class _Reader:
    """Collects the clips of several files; labels are resolved when all are known."""

    def __init__(self) -> None:
        self.notes, self.remarks = list[str](), list[Remark]()
        self._raw: dict[str, _Raw] = {}

    def read(self, file: Path, split: str) -> None:
        """Read a file whose clips are of a split where they do not say otherwise."""
        if file.suffix.lower() == ".xlsx":
            book = Workbook(file)
            columns, rows = book.table(CLIP_SHEET if CLIP_SHEET in book.sheets else book.sheets[0])
            self._table(file, columns, rows, split)
        elif _is_of_frames(file):
            self._frames(file, split)
        else:
            table = Table(file, ())
            self._table(file, table.columns, table, split)
            self.notes += [f"{file.name}: {text}" for text in table.notes]

    def resolved(self, known: ClassList | None) -> tuple[LabelledClip, ...]:
        """The clips, their labels as places of the known classes or, without these, of those that are used."""
        classes, clips = known or self.own_classes(), []
        for clip_id, raw in self._raw.items():
            try:
                places = {classes.place(label) for cell in raw.cells for label in _labels(cell, classes)}
            except InputError as error:
                raise InputError(error.problem, file=raw.file, line=raw.line, hint=error.hint) from None
            clips.append(LabelledClip(clip_id, raw.video_id, raw.start, raw.stop, tuple(sorted(places)), raw.split))
        return tuple(clips)

    def own_classes(self) -> ClassList:
        """The classes that the labels use."""
        return ClassList.of_labels(label for raw in self._raw.values() for cell in raw.cells for label in _labels(cell))

    def _table(self, file: Path, columns: Sequence[str], rows: Iterable[Row], split: str) -> None:
        named = {
            field: next((column for column in wanted if column in columns), "")
            for field, wanted in (
                *((name, HEADERS[name]) for name in ("video_id", "start_timestamp", "stop_timestamp", "narration_id")),
                ("labels", _LABELS),
                ("split", _SPLIT),
            )
        }
        if not named["video_id"] or not named["labels"]:
            raise InputError(
                f"lacks a column of videos or labels; found {list(columns)[:20]}", file=file, hint=_EXPECTED
            )
        cells = CellReader(file)
        for row in rows:
            try:
                if row.fault:
                    raise InputError(row.fault)
                self._row(file, row, named, cells, split)
            except InputError as error:
                self.remarks.append(Remark(file.name, row.line, error.problem, refused=True))
        self.notes += [f"{file.name}: {text}" for text in cells.notes]

    def _row(self, file: Path, row: Row, named: Mapping[str, str], cells: CellReader, split: str) -> None:
        def cell(name: str) -> str:
            return row.cells[named[name]] if named[name] else ""

        video = video_name(cell("video_id"))[0]
        if not video:
            raise InputError("has no video")
        start_text, stop_text = cell("start_timestamp"), cell("stop_timestamp")
        start = cells.seconds(start_text, "start", row.line) if start_text else 0.0
        stop = cells.seconds(stop_text, "stop", row.line) if stop_text else None
        if stop is not None and stop <= start:
            raise InputError(f"stops at {stop:g} s, not after its start at {start:g} s")
        part = "" if stop is None and not start else f"_{start:g}_{'end' if stop is None else f'{stop:g}'}"
        own = cell("split")
        named_split = next((name for name, spellings in SPLITS.items() if own.lower() in spellings), None)
        if own and named_split is None:
            raise InputError(f"split '{own:.60}' is none of {', '.join(SPLITS)}")
        raw = _Raw(file, row.line, video, start, stop, named_split or split, {cell("labels")})
        self._add(cell("narration_id") or f"{video}{part}", raw)

    def _add(self, clip_id: str, raw: _Raw) -> None:
        before = self._raw.setdefault(clip_id, raw)
        if (before.video_id, before.start, before.stop) != (raw.video_id, raw.start, raw.stop):
            raise InputError(f"clip id '{clip_id}' is that of line {before.line} of {before.file.name}, another clip")
        if before.split != raw.split:
            raise InputError(f"clip '{clip_id}' is of '{before.split}' on line {before.line} of {before.file.name}")
        before.cells |= raw.cells

    def _frames(self, file: Path, split: str) -> None:
        """A table of frames, read line by line as it may have millions."""
        last: tuple[str, str, str] | None = None
        for line, row in _frame_rows(file):
            seen = row[0], row[4], row[5] if len(row) > 5 else ""
            if seen == last:
                continue
            last = seen
            own = next((name for name, spellings in SPLITS.items() if seen[2].lower() in spellings), None)
            if seen[2] and own is None:
                problem = f"its sixth field is '{seen[2]:.40}'; expected a split, such as train or test"
                raise InputError(problem, file=file, line=line, hint=_ONE_FIELD)
            try:
                self._add(seen[0], _Raw(file, line, seen[0], 0.0, None, own or split, {seen[1]}))
            except InputError as error:
                self.remarks.append(Remark(file.name, line, error.problem, refused=True))
        several = sum(len(raw.cells) > 1 for raw in self._raw.values() if raw.file == file)
        if several:
            self.notes.append(f"{file.name}: frames of {several} videos differ in labels; a video has those of all")


def _frame_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    with file.open(newline="", encoding="utf-8") as stream:
        rows = csv.reader(stream, delimiter=" ")
        try:
            next(rows)
            for row in rows:
                if row and len(row) not in (5, 6):
                    problem = f"has {len(row)} fields; expected {' '.join(FRAME_COLUMNS)} (type)"
                    raise InputError(problem, file=file, line=rows.line_num, hint=_ONE_FIELD)
                if row:
                    yield rows.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read ({error})", file=file, line=rows.line_num + 1) from None


def _is_of_frames(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.readline(1000).lstrip(b"\xef\xbb\xbf").split(b" ")[0].strip(b'"') == b"original_vido_id"
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=file) from None


def _labels(cell: str, classes: ClassList | None = None) -> list[str]:
    """The labels of a cell; one that is as a whole the name of a class is that."""
    text = cell.strip()
    if classes is not None and classes.has(text):
        return [text]
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    mark = next((mark for mark in ";|" if mark in text), ",")
    bare = (" ".join(label.split()).strip("'\"") for label in text.split(mark))
    return [label for label in bare if same_when_read(label)]


def _files(path: Path) -> dict[str, Path]:
    """The files to read, by the split that their clips are of where they do not say it."""
    if path.is_file():
        named = next((split for split, names in SPLITS.items() if path.stem.lower() in names), ALL)
        return {named: path}
    if (path / WORKBOOK).is_file():
        return {ALL: path / WORKBOOK}
    if by_split := tables_of_splits(path):
        return by_split
    tables = [table for table in tables_in(path) if table.name not in CLASS_FILES]
    if len(tables) != 1:
        raise InputError(f"holds {len(tables)} tables, and no AR_metadata.xlsx", file=path, hint=_EXPECTED)
    return {ALL: tables[0]}


def _class_file(path: Path) -> Path | None:
    """The class file that belongs to annotations where none is named."""
    if path.suffix.lower() == ".xlsx":
        return path if ACTION_SHEET in Workbook(path).sheets else None
    folder = path if path.is_dir() else path.parent
    there = [folder / name for name in (WORKBOOK, *CLASS_FILES) if (folder / name).is_file()]
    return there[0] if there and there[0] != path else None
