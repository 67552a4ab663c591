"""EPFL-Smart-Kitchen-30: sessions of cooking with verb and noun columns (github.com/amathislab/EPFL-Smart-Kitchen)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from llavaction.actions.segments import Segment, SegmentTable
from llavaction.actions.vocabulary import Action, ActionVocabulary, LabelClass, published_order
from llavaction.base.bounded import read_text, read_yaml
from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256
from llavaction.base.spreadsheets import Workbook
from llavaction.base.tables import Row
from llavaction.base.text import same_when_read
from llavaction.datasets.base import Remark, VideoFacts
from llavaction.datasets.cells import CellReader, no_value
from llavaction.datasets.headers import SPLITS

CONFIG = "config.yaml"
CLASS_LIST = "list_of_actions"
"""Key of the configuration that lists the action classes, each "Verb__Noun"."""
HOMES = ("", "action_segmentation", "benchmarks/action_segmentation")
"""Where the configuration lies under the folder, the repository's own place last."""
SPLIT_FILES = ("split_file*.txt", "data/split_file*.txt")
WORKBOOKS = "actions_annotation*.xlsx"
"""The official code reads both spellings, actions_annotations.xlsx and actions_annotation.xlsx."""
CAMERA = "hololens"
"""The camera on the cook's head; its videos are called SESSION_hololens, as in LEMONADE."""
CONFUSED = "marked as confused"
"""The group of segments whose column Confusion is 1 or empty, which the official code takes for 1."""
COLUMNS = ("start", "end", "verbs", "nouns", "confusion")
ALL = "all"
_HINT = "expected benchmarks/action_segmentation/config.yaml and data/split_file_*.txt of the repository, and workbooks"


class KitchenLabel(LabelClass):
    """A verb or noun as the release spells it ("Take_off"); its name is read as people write it ("take off")."""

    @property
    def name(self) -> str:
        """The key in small letters, with blanks between its words."""
        return self.key.replace("_", " ").lower()


@dataclass(frozen=True)
class _Classes:
    """The 581 action classes of the configuration.

    Attributes:
        verbs, nouns: by id, in alphabetical order.
        actions: the pairs that are classes.
        respelt: texts of the file that had blanks at an end.
    """

    verbs: Mapping[int, LabelClass]
    nouns: Mapping[int, LabelClass]
    actions: frozenset[Action]
    respelt: tuple[str, ...]


class EpflSmartKitchen:
    """A folder with the configuration, the split file and the sessions' workbooks of EPFL-Smart-Kitchen-30.

    Args:
        folder: holds config.yaml (here, or as the repository has it under benchmarks/action_segmentation/), a
            split_file_*.txt beside it or under its data/, and anywhere below actions_annotations.xlsx for each session,
            in a folder of the session's name ("YH2002_2023_12_04_10_15_23") or of participant and time.

    Attributes:
        name, licence, notes, remarks: see :class:`llavaction.datasets.base.AnnotatedDataset`.
        verbs, nouns: classes by id, in alphabetical order.
        sessions: split to its sessions, as the split file lists them.

    Rows without a noun, and rows whose verb and noun are together no class, are left out, as the official code does;
    each workbook has one remark with their number. Segments keep ``confusion`` in their ``extra``, and the group
    "marked as confused" holds those of 1 or none.

    Raises:
        InputError: there is no such configuration or split file, or it is not in its published form.
    """

    name = "EPFL-Smart-Kitchen-30"
    licence = "Apache-2.0 by its README, MIT by its sources; that of videos and annotations stands on Zenodo (15535461)"

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Whether the folder holds a configuration with the list of actions."""
        return _config(folder) is not None

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        config = _config(self.folder) if self.folder.is_dir() else None
        if config is None:
            raise InputError(f"holds no {CONFIG} with {CLASS_LIST}", file=folder, hint=_HINT)
        self._config = config
        self._classes = _read_classes(config)
        self.verbs, self.nouns = self._classes.verbs, self._classes.nouns
        self._split_file, self.sessions = _read_sessions(config.parent)
        self._workbooks = self._found()
        self.notes, self.remarks = self._said(), list[Remark]()
        self._left_out: dict[str, list[Remark]] = {}
        self._segments: dict[str, list[Segment]] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of which a session's workbook is there, train first."""
        return tuple(split for split in SPLITS if any(s in self._workbooks for s in self.sessions[split]))

    @cached_property
    def vocabulary(self) -> ActionVocabulary:
        """All listed classes, whether a segment shows them or not; counts of train and validation."""
        made_from = {split: self.segments(split) for split in self.splits if split != "test"}
        counts = {split: Counter(segment.action for segment in table) for split, table in made_from.items()}
        return ActionVocabulary(self.verbs, self.nouns, published_order(self._classes.actions), {}, counts)

    @property
    def videos(self) -> Mapping[str, VideoFacts]:
        """None is told."""
        return {}

    def segments(self, split: str, *, unlabelled: bool = False) -> SegmentTable:
        """The segments of a split, session by session in the split file's order.

        Raises:
            InputError: there is no such split, none of its sessions has a workbook, or one is damaged.
        """
        del unlabelled  # all that is there has labels
        names = self._sessions_of(split)
        found = [segment for session in names if session in self._workbooks for segment in self._read(session)]
        if not found:
            there = sum(session in self._workbooks for session in names)
            problem = f"has no usable row for '{split}': {there} of its {len(names)} sessions have a workbook"
            raise InputError(problem, file=self.folder, hint=f"put {WORKBOOKS} of each session under it")
        return SegmentTable(found)

    def files(self, split: str) -> tuple[Path, ...]:
        """The workbooks of a split's sessions."""
        return tuple(self._workbooks[session] for session in self._sessions_of(split) if session in self._workbooks)

    def refused(self, split: str) -> tuple[list[Remark], int]:
        """The rows left out of a split's workbooks, each with its line, and how many rows they have."""
        names = [session for session in self._sessions_of(split) if session in self._segments]
        left_out = [remark for session in names for remark in self._left_out[session]]
        return left_out, len(left_out) + sum(len(self._segments[session]) for session in names)

    def sources(self, *splits: str) -> dict[str, str]:
        """Names and sha256 of the configuration, the split file and the splits' workbooks."""
        files = [self._config, self._split_file, *(path for split in splits for path in self.files(split))]
        return {path.relative_to(self.folder).as_posix(): file_sha256(path) for path in files}

    def groups(self, split: str) -> dict[str, set[str]]:
        """The segments that annotators marked as confused."""
        marked = {segment.segment_id for segment in self.segments(split) if segment.extra["confusion"]}
        return {CONFUSED: marked} if marked else {}

    def _sessions_of(self, split: str) -> tuple[str, ...]:
        if split == ALL:
            return tuple(session for names in self.sessions.values() for session in names)
        if split not in self.sessions:
            raise InputError(f"has no split '{split}'", file=self.folder, hint=f"splits: {', '.join((*SPLITS, ALL))}")
        return self.sessions[split]

    def _found(self) -> dict[str, Path]:
        """The workbook of each session."""
        known = {session for names in self.sessions.values() for session in names}
        found: dict[str, Path] = {}
        for path in sorted(self.folder.rglob(WORKBOOKS)):
            parents = [parent.name for parent in path.parents]
            names = [*parents, *(f"{above}_{below}" for below, above in pairwise(parents))]
            session = next((name for name in names if name in known), None)
            if session is None:
                continue
            if session in found:
                raise InputError(f"session '{session}' has two workbooks, the other is {found[session]}", file=path)
            found[session] = path
        return found

    def _said(self) -> list[str]:
        everything = sum(map(len, self.sessions.values()))
        notes = [f"{len(self._workbooks)} of {everything} sessions have a workbook of actions"]
        if self._classes.respelt:
            count, first = len(self._classes.respelt), self._classes.respelt[0]
            notes.append(f"{self._config.name}: blanks at the ends of {count} classes are taken off ('{first}')")
        notes.append(f"videos are those of the cook's own camera, called SESSION_{CAMERA}")
        return notes

    def _read(self, session: str) -> list[Segment]:
        if session not in self._segments:
            path, reasons = self._workbooks[session], dict[str, list[int]]()
            self._left_out[session], self._segments[session] = [], []
            for row in _rows(path):
                try:
                    found = self._segment(row, session, path)
                except InputError as error:
                    found = error.problem
                    self.remarks.append(Remark(self._called(path), row.line, found, True))
                    self._left_out[session].append(self.remarks[-1])
                    continue
                if isinstance(found, Segment):
                    self._segments[session].append(found)
                    continue
                reasons.setdefault(found, []).append(row.line)
                self._left_out[session].append(Remark(self._called(path), row.line, found, True))
            for reason, lines in reasons.items():
                what = f"{len(lines)} rows {reason} and are left out; this is the first"
                self.remarks.append(Remark(self._called(path), lines[0], what, False))
        return self._segments[session]

    def _segment(self, row: Row, session: str, path: Path) -> Segment | str:
        """The segment of a row, or why it is none of the classes."""
        cells = CellReader(path)
        ends = [cells.seconds(row.cells[name], name, row.line) for name in ("start", "end")]
        verb, noun = (" ".join(row.cells[name].split()) for name in ("verbs", "nouns"))
        if no_value(verb):
            raise InputError("has no verb")
        if no_value(noun):
            return "have no noun"
        action = (self._ids["verb"].get(same_when_read(verb)), self._ids["noun"].get(same_when_read(noun)))
        if action not in self._classes.actions:
            return f"are none of the {len(self._classes.actions)} classes"
        marked = row.cells["confusion"]
        values = {
            "segment_id": f"{session}_{row.line}",
            "video_id": f"{session}_{CAMERA}",
            "participant_id": session.partition("_")[0],
            "start": ends[0],
            "stop": ends[1],
            "narration": "",
            "verb_class": action[0],
            "noun_class": action[1],
            "extra": {"confusion": no_value(marked) or _number(marked, cells) != 0},
        }
        return Segment.from_mapping(values, file=path, line=row.line)

    @cached_property
    def _ids(self) -> dict[str, dict[str, int]]:
        both = {"verb": self.verbs, "noun": self.nouns}
        return {kind: {same_when_read(c.key): c.id for c in classes.values()} for kind, classes in both.items()}

    def _called(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _number(text: str, cells: CellReader) -> float:
    """A number of the column Confusion; 0 is none."""
    return 0.0 if text.strip() in ("0", "0.0") else cells.number(text, "Confusion")


def _config(folder: Path) -> Path | None:
    """The configuration that lists the actions, if one is there."""
    for home in HOMES:
        path = folder / home / CONFIG
        if path.is_file() and f"{CLASS_LIST}" in read_text(path):
            return path
    return None


def _read_classes(path: Path) -> _Classes:
    values = read_yaml(path)
    listed = values.get(CLASS_LIST) if isinstance(values, dict) else None
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{CLASS_LIST} is no list of classes", file=path, hint=_HINT)
    pairs, respelt, texts = list[tuple[str, str]](), list[str](), read_text(path)
    for entry in listed:
        parts = str(entry).split("__")
        bare = [part.strip() for part in parts]
        if len(parts) != 2 or not all(bare):
            line = texts.count("\n", 0, max(texts.find(str(entry)), 0)) + 1
            raise InputError(f"'{entry!s:.60}' is no class such as Take_off__Glove", file=path, line=line)
        respelt += [str(entry)] if bare != parts else []
        pairs.append((bare[0], bare[1]))
    if twice := [pair for pair, count in Counter(pairs).items() if count > 1]:
        raise InputError(f"{CLASS_LIST} has the class '{'__'.join(twice[0])}' twice", file=path)
    verbs, nouns = (sorted({pair[place] for pair in pairs}) for place in (0, 1))
    return _Classes(
        {number: KitchenLabel(id=number, key=key) for number, key in enumerate(verbs)},
        {number: KitchenLabel(id=number, key=key) for number, key in enumerate(nouns)},
        frozenset((verbs.index(verb), nouns.index(noun)) for verb, noun in pairs),
        tuple(respelt),
    )


def _read_sessions(folder: Path) -> tuple[Path, dict[str, tuple[str, ...]]]:
    """The split file and its sessions by split."""
    files = [path for pattern in SPLIT_FILES for path in sorted(folder.glob(pattern))]
    if len(files) != 1:
        raise InputError(f"holds {len(files)} split files where there has to be one", file=folder, hint=_HINT)
    sessions: dict[str, list[str]] = {split: [] for split in SPLITS}
    split, seen = None, dict[str, int]()
    for line, text in enumerate(read_text(files[0]).splitlines(), start=1):
        entry = text.strip()
        if entry.endswith(":"):
            word = entry.split()[0].lower()
            split = next((name for name, words in SPLITS.items() if word.rstrip(":") in words), None)
            if split is None:
                raise InputError(f"'{entry:.60}' begins no split", file=files[0], line=line, hint="Training videos:")
        elif entry and split is None:
            raise InputError(f"'{entry:.60}' stands above the first split", file=files[0], line=line)
        elif entry and split is not None:
            if entry in seen:
                raise InputError(f"'{entry:.60}' is also on line {seen[entry]}", file=files[0], line=line)
            seen[entry] = line
            sessions[split].append(entry)
    return files[0], {name: tuple(names) for name, names in sessions.items()}


def _rows(path: Path) -> Iterator[Row]:
    book = Workbook(path)
    columns, rows = book.table(book.sheets[0])
    if missing := [name for name in COLUMNS if name not in columns]:
        raise InputError(f"lacks the column(s) {', '.join(missing)}; found {list(columns)[:20]}", file=path, line=1)
    yield from rows
