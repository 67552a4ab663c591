"""MECCANO: tables of actions whose spans are told by the names of frame files (github.com/fpv-iplab/MECCANO)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import NO_NOUN, LabelClass, WholeLabel
from llavaction.base.bounded import read_text
from llavaction.base.errors import InputError
from llavaction.base.tables import split_line
from llavaction.datasets.cells import CellReader
from llavaction.datasets.headers import SPLITS
from llavaction.datasets.label_table import LabelTable

FPS = 12.0
"""Frames per second of the released images; no table tells it."""
CELLS = ("video_id", "action_id", "action_name", "start_frame", "end_frame")
OFFICIAL = ("MECCANO", "not stated in its repository (MECCANO, University of Catania)")
CLASSES = 61
"""Actions of the release, with ids from 0."""

_NAME = re.compile(r"MECCANO_([a-z]+)_actions\.csv", re.IGNORECASE)
_FRAME = re.compile(r"(\d{1,9})\.(?:jpe?g|png)", re.ASCII | re.IGNORECASE)
_LOOKED_AT = 3
"""Lines by which a table is told; the first may be a header."""


class Meccano(LabelTable):
    """A folder with MECCANO_train_actions.csv, MECCANO_val_actions.csv and MECCANO_test_actions.csv, or some of them.

    Rows are "video, id of the action, its name, first frame, last frame", the frames as "00001.jpg" and both shown, at
    12 frames per second; a header may stand above them or not. Tables may also be called by their split alone
    ("train.csv"), as the published training code has them. Actions are single labels under their published ids.

    Args:
        folder: holds the tables.

    Frames count from 1, as their files do; where a row names frame 0, all count from 0, and a note says so. Attributes
    and errors are those of :class:`LabelTable`; rows that cannot be used are remarked with file and line.

    Raises:
        InputError: there is no such table, or an action's id has two names.
    """

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Whether the folder holds tables whose rows end with two names of images."""
        return bool(_tables(folder))

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.remarks, self.notes, self._tables, self._labelled = [], [], {}, {}
        self._columns, self._split_of = {}, {}
        self._files = _tables(self.folder) if self.folder.is_dir() else {}
        if not self._files:
            hint = "expected MECCANO_train_actions.csv and the like: video_id,action_id,action_name,00001.jpg,00123.jpg"
            raise InputError("holds no table of MECCANO's actions", file=folder, hint=hint)
        self._rows_of = {path: list(_lines(path)) for path in self._files.values()}
        self.verbs = self._read_actions()
        self.nouns = {NO_NOUN.id: NO_NOUN}
        self._first = (
            0
            if any(row[3] == 0 for rows in self._rows_of.values() for _, row in rows if not isinstance(row, str))
            else 1
        )
        if self._first == 0:
            self.notes.append("a row names frame 0, so all frames are counted from 0, not from 1")
        self.name, self.licence = OFFICIAL
        if set(self._files) == set(SPLITS) and len(self.verbs) != CLASSES:
            self.notes.append(f"the three tables name {len(self.verbs)} actions, not the {CLASSES} of the release")
        self.notes.append(
            f"spans are told in frames of {FPS:g} a second; where the videos are folders of images, give --fps {FPS:g}"
        )

    def _read_actions(self) -> dict[int, LabelClass]:
        names: dict[int, tuple[str, Path, int]] = {}
        for path, rows in self._rows_of.items():
            for line, row in rows:
                if isinstance(row, str):
                    continue
                name, before, first_line = names.setdefault(row[1], (row[2], path, line))
                if name != row[2]:
                    problem = (
                        f"action {row[1]} is called '{row[2]:.60}', on line {first_line} of {before.name} '{name:.60}'"
                    )
                    raise InputError(problem, file=path, line=line)
        if not names:
            raise InputError("has no usable row", file=next(iter(self._files.values())))
        return {number: WholeLabel(id=number, key=names[number][0]) for number in sorted(names)}

    def _read_segments(self, path: Path, columns: tuple[str, ...]) -> Iterator[Segment]:
        del columns  # they are known
        split = next(split for split, file in self._files.items() if file == path)
        of_video = Counter[str]()
        for line, row in self._rows_of[path]:
            if isinstance(row, str):
                self._remark(path, line, row, refused=True)
                continue
            video, action, _, first, last = row
            of_video[video] += 1
            if last < first:
                self._remark(path, line, f"ends with frame {last}, before its first, {first}", refused=True)
                continue
            yield Segment(
                segment_id=f"{video}_{split}_{of_video[video]}",
                video_id=video,
                start=round((first - self._first) / FPS, 6),
                stop=round((last + 1 - self._first) / FPS, 6),
                narration="",
                verb_class=action,
                noun_class=NO_NOUN.id,
            )

    def groups(self, split: str) -> dict[str, set[str]]:
        """None is published."""
        self.segments(split)
        return {}

    def _spans_file(self, split: str) -> Path | None:
        return None


_Row = tuple[str, int, str, int, int]
"""Video, id and name of the action, first and last frame."""


def _tables(folder: Path) -> dict[str, Path]:
    """The tables of a folder by split, train first.

    Raises:
        InputError: there are two of one split.
    """
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        for path in sorted(folder.glob("*.csv")):
            called = match[1] if (match := _NAME.fullmatch(path.name)) else path.stem
            if called.lower() not in names or not path.is_file() or not _is_table(path):
                continue
            if split in found:
                raise InputError(f"holds two tables of '{split}': {found[split].name} and {path.name}", file=folder)
            found[split] = path
    return found


def _is_table(path: Path) -> bool:
    """Whether one of the first lines of a file is a row of MECCANO."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            return any(isinstance(_row(stream.readline(4096)), tuple) for _ in range(_LOOKED_AT))
    except OSError:
        return False


def _lines(path: Path) -> Iterator[tuple[int, _Row | str]]:
    """Each line below the header, if there is one, with its row or what is wrong with it."""
    for line, text in enumerate(read_text(path).removeprefix("\ufeff").splitlines(), start=1):
        header = line == 1 and "video_id" in text.lower()
        if text.strip() and not header:
            yield line, _row(text)


def _row(text: str) -> _Row | str:
    """The row on a line, or what is wrong with it."""
    cells = split_line(text.strip("\r\n\ufeff"), ",")
    if isinstance(cells, str):
        return cells
    cells = [cell.strip() for cell in cells]
    if len(cells) != len(CELLS):
        return f"has {len(cells)} cells; expected {', '.join(CELLS)}"
    video, action, name, *ends = cells
    frames = [_FRAME.fullmatch(end) for end in ends]
    if frames[0] is None or frames[1] is None:
        return f"'{ends[0]:.40}' and '{ends[1]:.40}' are not both names of frames such as 00001.jpg"
    if not video or not name:
        return f"has no {'action_name' if video else 'video_id'}"
    try:
        number = CellReader(Path()).whole(action, "action_id", 0)
    except InputError as error:
        return error.problem
    return (
        (video, number, name, int(frames[0][1]), int(frames[1][1])) if number >= 0 else f"action_id {number} is below 0"
    )
