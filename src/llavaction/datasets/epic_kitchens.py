"""The official EPIC-KITCHENS-100 annotation folder (github.com/epic-kitchens/epic-kitchens-100-annotations).

Also reads folders of the same form: kitchen_mini writes them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from llavaction.actions.segments import UNLABELLED, Segment, SegmentTable
from llavaction.actions.vocabulary import ActionVocabulary, LabelClass
from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256, read_json
from llavaction.base.tables import Table
from llavaction.base.text import same_when_read, shown
from llavaction.datasets.base import Remark, VideoFacts
from llavaction.datasets.cells import CellReader, no_value, seconds, video_name
from llavaction.datasets.headers import SPANS, named_columns, says_classes, tables_of_splits

__all__ = ["EpicKitchens", "Remark", "VideoFacts", "seconds"]

OFFICIAL = ("EPIC-KITCHENS-100", "CC BY-NC 4.0 (EPIC-KITCHENS-100, University of Bristol); non-commercial")
FIRST_VERBS = ("take", "put", "wash")
"""A folder whose verb classes begin so has the official ones, and its licence."""
COLUMNS = ("narration_id", "participant_id", *SPANS, "narration", "verb_class", "noun_class")
"""The columns a segment file must have; ``all_noun_classes`` and the others are used where present."""
REPEATED = 0.01
"""Share of segments that repeat another one beyond which a file was probably joined with itself."""


VERBS = "EPIC_100_verb_classes.csv"
"""The file by which a folder of this form is known."""


class EpicKitchens:
    """Segments, classes and lists of one annotation folder.

    Args:
        folder: holds EPIC_100_verb_classes.csv, EPIC_100_noun_classes[_v2].csv and EPIC_100_<split>.csv.

    Attributes:
        name, licence: of the data; a ``dataset.json`` beside the folder, {"name": ..., "licence": ...}, says what they
            are. Without it they are the official ones where the classes are, else the folder's name and "not stated".

    Raises:
        InputError: the folder or a class file is missing or cannot be read.

    Rows of a segment file that cannot be used are left out and listed in :attr:`remarks` with file and line; oddities
    that do no harm (a segment past the video's end) are listed too, with their row kept. ``notes`` says what is lost
    for want of the training split, and how files of another form than the official one were understood.
    """

    without_train = ("no EPIC_100_train.csv", " (ids differ from the published 3,806)")
    """What is said where there is no training split: that there is none, and what comes of it."""

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Whether the folder holds the official list of verb classes."""
        return (folder / VERBS).is_file()

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(
                "no such annotation folder", file=folder, hint="give the folder that holds EPIC_100_validation.csv"
            )
        if not (self.folder / "EPIC_100_verb_classes.csv").is_file():
            raise InputError(
                "not an annotation folder: it has no EPIC_100_verb_classes.csv",
                file=folder,
                hint="give the folder that holds EPIC_100_verb_classes.csv and EPIC_100_validation.csv",
            )
        self.remarks: list[Remark] = []
        self.notes: list[str] = []
        self._tables: dict[Path, SegmentTable] = {}
        self._columns: dict[Path, dict[str, str]] = {}  # of tables with names of their own
        self._labelled: dict[Path, bool] = {}
        self.verbs = self._read_classes("EPIC_100_verb_classes.csv")
        self.nouns = self._read_classes(self._noun_file)
        self.name, self.licence = self._identity()

    @property
    def splits(self) -> tuple[str, ...]:
        """The labelled splits that are there, train first."""
        return tuple(split for split in ("train", "validation", "test") if self._split_file(split) is not None)

    def segments(self, split: str, *, unlabelled: bool = False) -> SegmentTable:
        """The segments of a split in file order.

        Args:
            split: its name.
            unlabelled: where the split's classes are not known, take its list of segments without them: the table
                without class columns that is called EPIC_100_test_timestamps.csv, EPIC_100_test.csv or test.csv. The
                classes are -1 then.

        Raises:
            InputError: the split's file is missing, lacks a column, or has no usable row.
        """
        path = self._split_file(split)
        spans = self._spans_file(split) if path is None else None
        if path is None and unlabelled and spans is not None:
            return self._unlabelled(spans)
        if path is None:
            hint = f"splits found here: {', '.join(self.splits) or 'none'}"
            if spans is not None:
                hint += f"; {spans.name} has no classes: its segments can only be predicted and recognised"
            raise InputError(f"no EPIC_100_{split}.csv", file=self.folder, hint=hint)
        if path not in self._tables and path.name != f"EPIC_100_{split}.csv":
            self.notes.append(f"EPIC_100_{split}.csv is absent; {path.name} is used in its place")
        return self._table(path, COLUMNS)

    def files(self, split: str) -> tuple[Path, ...]:
        """The tables with a split's rows; one may hold those of other splits, too."""
        path = self._split_file(split) or self._spans_file(split)
        return () if path is None else (path,)

    def refused(self, split: str) -> tuple[list[Remark], int]:
        """The rows left out of the tables with a split's rows, once these are read, and how many rows they all have."""
        files = self.files(split)
        names = {path.name for path in files}
        remarks = [remark for remark in self.remarks if remark.refused and remark.file in names]
        return remarks, len(remarks) + sum(len(self._tables[path]) for path in files if path in self._tables)

    def _unlabelled(self, path: Path) -> SegmentTable:
        """The segments of a table without classes."""
        self._columns[path] = named_columns(path, SPANS, "a list of segments has the columns video_id, start, stop")
        return self._table(path, SPANS)

    def _table(self, path: Path, columns: tuple[str, ...]) -> SegmentTable:
        if path not in self._tables:
            self._tables[path] = SegmentTable(self._read_segments(path, columns))
            if not len(self._tables[path]):
                raise InputError("has no usable row", file=path, hint="\n".join(str(r) for r in self.remarks[:5]))
        return self._tables[path]

    @cached_property
    def vocabulary(self) -> ActionVocabulary:
        """Classes and narrations over train and validation (a test split adds no class, as published)."""
        splits = {split: self.segments(split) for split in self.splits if split in ("train", "validation")}
        if "train" not in splits:
            lack, ids = self.without_train
            self.notes.append(
                f"{lack}: action classes and narrations are those of {', '.join(splits) or 'no split'} alone{ids}, and "
                "training frequencies are unknown"
            )
        return ActionVocabulary.from_segments(self.verbs.values(), self.nouns.values(), splits)

    @cached_property
    def videos(self) -> dict[str, VideoFacts]:
        """EPIC_100_video_info.csv; empty where the file is absent."""
        path = self.folder / "EPIC_100_video_info.csv"
        facts, cells = {}, CellReader(path)
        for line, row in self._rows(path, ("video_id", "duration", "fps"), cells) if path.is_file() else ():
            try:
                duration, fps = cells.number(row["duration"], "duration"), cells.number(row["fps"], "fps")
            except InputError as error:
                self._remark(path, line, error.problem, True)
                continue
            facts[video_name(row["video_id"])[0]] = VideoFacts(duration, fps, row.get("resolution", ""))
        return facts

    def tail(self, what: str) -> frozenset[int]:
        """Tail classes, ``what`` being "verb" or "noun"; empty where the list is absent."""
        path = self.folder / f"EPIC_100_tail_{what}s.csv"
        cells = CellReader(path)
        rows = self._rows(path, (what,), cells) if path.is_file() else ()
        return frozenset(cells.whole(row[what], what, line) for line, row in rows)

    def unseen_participants(self, split: str) -> frozenset[str]:
        """Participants of ``split`` who do not occur in training; empty where the list is absent."""
        path = self.folder / f"EPIC_100_unseen_participant_ids_{split}.csv"
        rows = self._rows(path, ("participant_id",), CellReader(path)) if path.is_file() else ()
        return frozenset(row["participant_id"] for _, row in rows)

    def sources(self, *splits: str) -> dict[str, str]:
        """Names and sha256 of the class files and the given splits' files."""
        names = ["EPIC_100_verb_classes.csv", self._noun_file]
        names += [path.name for split in splits if (path := self._split_file(split)) is not None]
        return {name: file_sha256(self.folder / name) for name in names if (self.folder / name).is_file()}

    def groups(self, split: str) -> dict[str, set[str]]:
        """Segment ids of the official sub-populations: tail verbs, tail nouns, tail actions, unseen participants."""
        tail_verbs, tail_nouns, unseen = self.tail("verb"), self.tail("noun"), self.unseen_participants(split)
        table = self.segments(split, unlabelled=True)
        groups = {
            "tail verbs": {s.segment_id for s in table if s.verb_class in tail_verbs},
            "tail nouns": {s.segment_id for s in table if s.noun_class in tail_nouns},
            "unseen participants": {s.segment_id for s in table if s.participant_id in unseen},
        }
        groups["tail actions"] = groups["tail verbs"] | groups["tail nouns"]
        return {name: members for name, members in groups.items() if members}

    def _identity(self) -> tuple[str, str]:
        """Name and licence: of a ``dataset.json`` beside the folder (kitchen_mini writes one), else by the verbs."""
        card = self.folder.resolve().parent / "dataset.json"
        values = read_json(card) if card.is_file() else None
        if isinstance(values, dict) and isinstance(values.get("name"), str):
            return values["name"], str(values.get("licence", "not stated"))
        if tuple(self.verbs[index].key for index in range(3) if index in self.verbs) == FIRST_VERBS:
            return OFFICIAL
        return self.folder.resolve().name, "not stated"

    @property
    def _noun_file(self) -> str:
        v2 = "EPIC_100_noun_classes_v2.csv"
        return v2 if (self.folder / v2).is_file() else "EPIC_100_noun_classes.csv"

    def _split_file(self, split: str) -> Path | None:
        """The official file, or the one file that has the official name within its own (a rebuilt copy)."""
        official = self.folder / f"EPIC_100_{split}.csv"
        if official.is_file() and self._is_labelled(official):
            return official
        tables = [
            path
            for path in sorted(self.folder.glob(f"*EPIC_100_{split}_*.csv"))
            if "timestamps" not in path.name  # the official name of unlabelled lists
        ]
        return tables[0] if len(tables) == 1 else None

    def _spans_file(self, split: str) -> Path | None:
        """The table of a split's segments that says no classes."""
        paths = [self.folder / f"EPIC_100_{split}_timestamps.csv", self.folder / f"EPIC_100_{split}.csv"]
        table = tables_of_splits(self.folder).get(split)
        files = (path for path in (*paths, table) if path is not None and path.is_file())
        return next((path for path in files if not self._is_labelled(path)), None)

    def _is_labelled(self, path: Path) -> bool:
        if path not in self._labelled:
            self._labelled[path] = says_classes(path)
        return self._labelled[path]

    def _remark(self, path: Path, line: int, problem: str, refused: bool) -> None:
        self.remarks.append(Remark(path.name, line, problem, refused))

    def _note(self, path: Path, text: str) -> None:
        line = shown(f"{path.name}: {text}")
        if line not in self.notes:
            self.notes.append(line)

    def _rows(self, path: Path, required: tuple[str, ...], cells: CellReader) -> Iterator[tuple[int, dict[str, str]]]:
        """Rows of a CSV file with the line on which each begins; rows that cannot be read are remarked, and once all
        are read, what was understood of the file's form is noted. Rows of people's own tables come with the columns
        called as here, and with an id: the video's name and the segment's number, between them a split's file name.
        """
        columns = self._columns.get(path)
        table, of_video = Table(path, () if columns else required), Counter[str]()
        part = f"_{path.stem.lower()}" if path in tables_of_splits(self.folder).values() else ""
        for row in table:
            if row.fault:
                self._remark(path, row.line, row.fault, True)
            elif columns is None:
                yield row.line, dict(row.cells)
            else:
                cell_texts = {name: row.cells.get(column, "") for name, column in columns.items()}
                video = video_name(cell_texts["video_id"])[0]
                of_video[video] += 1
                number = f"{video}{part}_{of_video[video]}"
                yield row.line, {"participant_id": "", "narration": "", "narration_id": number} | cell_texts
        for note in (*table.notes, *cells.notes):
            self._note(path, note)

    def _read_classes(self, name: str) -> dict[int, LabelClass]:
        path = self.folder / name
        classes: dict[int, LabelClass] = {}
        readings: dict[str, LabelClass] = {}
        cells, faults = CellReader(path), len(self.remarks)
        for line, row in self._rows(path, ("id", "key"), cells):
            values: dict[str, Any] = {
                "id": cells.whole(row["id"], "id", line),
                "key": row["key"],
                "instances": cells.listed(row.get("instances", ""), "instances", line),
                "category": row.get("category", ""),
            }
            if no_value(row["key"]):
                raise InputError("has no key", file=path, line=line, hint="a class without a name cannot be an option")
            label = LabelClass.from_mapping(values, file=path, line=line)
            if label.id in classes:
                raise InputError(f"class id {label.id} occurs twice", file=path, line=line)
            classes[label.id] = label
            twin = readings.setdefault(same_when_read(label.name), label)
            if twin is not label:
                problem = f"class {label.id} reads like class {twin.id} ('{label.name}'); no question offers both"
                self._remark(path, line, problem, refused=False)
        for remark in self.remarks[faults:]:
            if remark.refused:
                raise InputError(remark.what, file=path, line=remark.line, hint="a class cannot be left out")
        return classes

    def _read_segments(self, path: Path, columns: tuple[str, ...]) -> Iterator[Segment]:
        lines: dict[str, int] = {}
        spans: Counter[tuple[Any, ...]] = Counter()
        cells, segments = CellReader(path), list[tuple[int, Segment]]()
        for line, row in self._rows(path, columns, cells):
            try:
                segment = self._segment(row, cells, line, labelled=columns == COLUMNS)
                if segment.segment_id in lines:
                    raise InputError(f"narration_id '{segment.segment_id}' is also on line {lines[segment.segment_id]}")
            except InputError as error:
                self._remark(path, line, error.problem, refused=True)
                continue
            lines[segment.segment_id] = line
            segments.append((line, segment))
        names = self._video_ids(path, dict.fromkeys(segment.video_id for _, segment in segments))
        for line, unchecked in segments:
            name = names[unchecked.video_id]
            segment = unchecked if name == unchecked.video_id else unchecked.model_copy(update={"video_id": name})
            facts = self.videos.get(segment.video_id)
            if facts is not None and segment.start >= facts.duration:
                text = f"{segment.segment_id} starts at {segment.start:.2f} s, the video ends at {facts.duration:.2f} s"
                self._remark(path, line, f"{text}; are the times in seconds?", refused=True)
                continue
            if facts is not None and segment.stop > facts.duration:
                text = f"{segment.segment_id} stops at {segment.stop:.2f} s, the video at {facts.duration:.2f} s"
                self._remark(path, line, text, refused=False)
            spans[segment.video_id, segment.start, segment.stop, segment.action] += 1
            yield segment
        repeated = sum(count - 1 for count in spans.values())
        if repeated > REPEATED * len(segments):
            self._note(path, f"{repeated} segments have the video, times and classes of another one")

    def _video_ids(self, path: Path, raw: dict[str, None]) -> dict[str, str]:
        """What each video is called by: its name without folder and suffix where that is one video's alone."""
        parts = {name: video_name(name) for name in raw}
        owners = Counter(bare for bare, _ in set(parts.values()))
        names = {name: bare if owners[bare] == 1 else full_name for name, (bare, full_name) in parts.items()}
        changed = [name for name, new in names.items() if name != new]
        if changed:
            text = f"video_id '{changed[0]}' is read as '{names[changed[0]]}'"
            self._note(path, f"{text}, and {len(changed) - 1} others like it" if changed[1:] else text)
        spelt: dict[str, list[str]] = {}
        for video_id in self.videos:
            spelt.setdefault(video_id.casefold(), []).append(video_id)
        used, respelt = set(names.values()), list[str]()
        for name, new in names.items():
            alike = spelt.get(new.casefold(), [])
            if new not in self.videos and len(alike) == 1 and alike[0] not in used:
                names[name] = alike[0]
                respelt.append(f"video_id '{new}' is taken for '{alike[0]}' of EPIC_100_video_info.csv")
        if respelt:
            self._note(path, f"{respelt[0]}, and {len(respelt) - 1} others like it" if respelt[1:] else respelt[0])
        return names

    def _segment(self, row: dict[str, str], cells: CellReader, line: int, *, labelled: bool) -> Segment:
        values = {
            "segment_id": row["narration_id"],
            "video_id": row["video_id"],
            "participant_id": row["participant_id"],
            "start": cells.seconds(row["start_timestamp"], "start_timestamp", line),
            "stop": cells.seconds(row["stop_timestamp"], "stop_timestamp", line),
            "narration": "",
            "verb_class": UNLABELLED,
            "noun_class": UNLABELLED,
        }
        for name in ("segment_id", "video_id"):
            if not values[name]:
                raise InputError(f"has no {'narration_id' if name == 'segment_id' else name}")
        if labelled:
            values |= self._labels(row, cells, line)
        return Segment.from_mapping(values, file=cells.path, line=line)

    def _labels(self, row: dict[str, str], cells: CellReader, line: int) -> dict[str, Any]:
        verb = cells.whole(row["verb_class"], "verb_class", line)
        noun = cells.whole(row["noun_class"], "noun_class", line)
        for kind, label, classes in (("verb", verb, self.verbs), ("noun", noun, self.nouns)):
            if label not in classes:
                raise InputError(f"{kind}_class {label} is not in the {kind} class file")
        nouns = cells.listed(row.get("all_noun_classes", ""), "all_noun_classes", line)
        others = (cells.whole(noun_text, "all_noun_classes", line) for noun_text in nouns)
        return {
            "narration": "" if no_value(row["narration"]) else re.sub(r"\s*\n\s*", " ", row["narration"]),
            "verb_class": verb,
            "noun_class": noun,
            "all_noun_classes": tuple(dict.fromkeys((noun, *others))),
        }
