"""Reads multiple-choice questions from anybody's file: one row a question, options in one column or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256
from llavaction.base.text import same_when_read, shown
from llavaction.base.version import __version__
from llavaction.datasets.cells import CellReader, no_value
from llavaction.evaluation.benchmarks.lookups import Lookups
from llavaction.evaluation.benchmarks.nesting import cell, columns_in, text
from llavaction.evaluation.benchmarks.option_cells import answer_place, lines_of, read_options, without_letters
from llavaction.evaluation.benchmarks.protocol import Protocol
from llavaction.evaluation.benchmarks.rows import PLACE, Row, question_files, read_rows
from llavaction.evaluation.benchmarks.said import SaidInVideos
from llavaction.evaluation.benchmarks.spans import Spans
from llavaction.questions.schema import UNKNOWN, Benchmark, BenchmarkCard, Facts, Option, Question

MOST_NAMED = 20
"""Rows with a remark are named in the card up to here."""
HIDDEN, UNSEEN, ALIKE = "answer hidden", "video missing or unreadable", "two options the same"
"""Why a row is left out."""
NAMED = (UNSEEN, ALIKE)
"""The reasons for which rows are named one by one."""

Cells = Mapping[str, Any]
Prepare = Callable[[Cells], Cells | str]
"""Takes the cells of a row, and gives those that the protocol's columns name, or why the row is left out."""


def read_benchmark(protocol: Protocol, path: Path, videos: Path | None, prepare: Prepare | None = None) -> Benchmark:
    """The questions of a file, or of several.

    Rows whose answer is hidden (empty, "NA"), unless the protocol asks them, whose video's length is needed and cannot
    be read, or that have the same option twice are left out and counted in the card. An id that was there already gets
    a number behind it, and a note.

    Args:
        protocol: how the file is read.
        path: the file, a folder of files, or a name with ``*``.
        videos: their folder, for the lengths of those of which no times are told. Without it clips go to
            ``END_OF_VIDEO``: they can be asked of those that do not look.
        prepare: makes of a row of another form one that the protocol's columns describe.

    Raises:
        InputError: a file or one of its rows is not as the protocol says, an answer is no option, or no row is left;
            names file and line.
    """
    return _Reader(protocol, path, videos, prepare).read()


class _LeftOutError(Exception):
    """Why a row is left out."""


class _Reader:
    def __init__(self, protocol: Protocol, path: Path, videos: Path | None, prepare: Prepare | None) -> None:
        self.protocol, self.path, self.prepare = protocol, path, prepare
        self.files = question_files(path)
        self.required = _required(protocol)
        self.cells = {file: CellReader(file) for file in self.files}
        self.lookups = Lookups(protocol)
        self.spans = Spans(protocol, videos)
        self.said = SaidInVideos(protocol)
        self.repeated = 0
        self.left_out: Counter[str] = Counter()
        self.remarks: list[str] = []
        self.places: dict[str, str] = {}
        self.groups: dict[str, list[str]] = {}
        self.sets: dict[str, list[str]] = {}

    def read(self) -> Benchmark:
        rows, notes = self._rows()
        questions = []
        for number, row in enumerate(rows, start=1):
            try:
                questions.append(self._question(number, row))
            except _LeftOutError as reason:
                self._leave_out(str(reason), row)
            except InputError as error:
                place = error.file or row.file, error.line or row.line
                raise InputError(error.problem, file=place[0], line=place[1], hint=error.hint) from None
        if not questions:
            reasons = ", ".join(f"{count} rows left out: {why}" for why, count in self.left_out.items())
            raise InputError(f"holds no question that can be asked ({reasons or 'it is empty'})", file=self.path)
        groups = {name: tuple(sorted(ids)) for name, ids in sorted(self.groups.items())}
        facts = Facts(groups=groups, sets={name: tuple(ids) for name, ids in self.sets.items()})
        return Benchmark(questions, self._card(questions, len(rows), notes), facts, subtitles=self.said.by_video)

    def _rows(self) -> tuple[list[Row], list[str]]:
        derived = {PLACE, self.protocol.columns.stem, *self.protocol.lookup}
        derived |= {step[1:-1] for step in self.protocol.rows}
        header = [] if self.prepare else [name for name in self.required if name not in derived and "." not in name]
        rows: list[Row] = []
        notes: list[str] = []
        for file in self.files:
            found, said = read_rows(file, header, self.protocol.rows)
            rows += found
            notes += said if len(self.files) == 1 else [f"{file.name}: {note}" for note in said]
        return rows, notes

    def _card(self, questions: list[Question], rows: int, notes: list[str]) -> BenchmarkCard:
        protocol, videos = self.protocol, {question.clip.video_id for question in questions}
        hidden = sum(question.answer is None for question in questions)
        missing = len(self.spans.missing(videos))
        counts = {"questions": len(questions), "videos": len(videos), "rows": rows}
        counts |= {"answers hidden": hidden} if hidden else {}
        counts |= {f"rows left out: {why}": count for why, count in self.left_out.items()}
        counts |= {"wrong options that stood twice, asked once": self.repeated} if self.repeated else {}
        counts |= {"videos missing": missing} if missing else {}
        counts |= {"videos without subtitles": self.said.missing} if self.said.missing else {}
        read = [note for reader in self.cells.values() for note in reader.notes]
        if self.spans.to_the_end:
            read.append(
                f"{self.spans.to_the_end} clips go to the end of their video; where that is, is read only with the "
                "videos (--videos)"
            )
        more = [f"and {len(self.remarks) - MOST_NAMED} rows more"] if len(self.remarks) > MOST_NAMED else []
        told = (*notes, *read, *self.lookups.notes, *self.remarks[:MOST_NAMED], *more)
        return BenchmarkCard(
            name=protocol.name,
            version=protocol.version,
            split=protocol.split,
            options=max(len(question.options) for question in questions),
            licence=protocol.source.licence or UNKNOWN,
            made_by=f"llavaction {__version__}",
            sources={file.name: file_sha256(file) for file in (*self.files, *self.lookups.files)},
            counts=counts,
            notes=tuple(map(shown, told)),
            source=protocol.source,
        )

    def _prepared(self, row: Row) -> Cells:
        """The cells that the protocol's columns name."""
        stem = self.protocol.columns.stem
        cells: Cells = row.cells if stem is None else {stem: row.file.stem, **row.cells}
        if self.prepare is not None:
            prepared = self.prepare(cells)
            if isinstance(prepared, str):
                raise _LeftOutError(prepared)
            cells = prepared
        cells = self.lookups.added(cells)
        lacking = [name for name in self.required if name not in cells and cell(cells, name) is None]
        if lacking:
            raise InputError(f"lacks {', '.join(lacking)}; found {', '.join(map(str, cells))!s:.200}")
        return cells

    def _question(self, number: int, row: Row) -> Question:
        """The question of a row."""
        cells = self._prepared(row)
        columns, protocol = self.protocol.columns, self.protocol
        options = read_options(cells, protocol, self.cells[row.file], row.line)
        texts, answer = without_letters(options), text(cell(cells, columns.answer))
        kept = [place for place, option in enumerate(texts) if option]
        readings = Counter(same_when_read(texts[place]) for place in kept)
        hidden = no_value(answer) and same_when_read(answer) not in readings
        if hidden and protocol.hidden == "leave_out":
            raise _LeftOutError(HIDDEN)
        if len(readings) < len(kept) and (
            protocol.repeated_options == "leave_out" or readings[same_when_read(answer)] > 1
        ):
            raise _LeftOutError(ALIKE)
        place = None if hidden else answer_place(answer, options, protocol.answers)
        if len(readings) < len(kept):
            kept = self._once(texts, kept, place)
        clip = self.spans.clip(cells, self.cells[row.file], row.line)
        if clip is None:
            raise _LeftOutError(UNSEEN)
        name = self._name(self._id(cells), number, row)
        values = {
            "question_id": name,
            "clip": clip,
            "question": self._words(cells),
            "options": tuple(Option(text=texts[i]) for i in kept),
            "answer": None if place is None else kept.index(place),
            "facts": {fact: told for fact in columns.facts if (told := text(cell(cells, fact)))},
        }
        question = Question.from_mapping(values, file=row.file, line=row.line)
        self._group(cells, name)
        if columns.set and (told := text(cell(cells, columns.set))):
            self.sets.setdefault(told, []).append(name)
        self.said.add(clip.video_id, cells)
        return question

    def _once(self, texts: list[str], kept: list[int], place: int | None) -> list[int]:
        """The places of options without those that stood before; the answer may not stand twice."""
        firsts = {same_when_read(texts[i]): i for i in reversed(kept)}
        if place is not None and sum(same_when_read(texts[i]) == same_when_read(texts[place]) for i in kept) > 1:
            raise _LeftOutError(ALIKE)
        self.repeated += 1
        return sorted(firsts.values())

    def _words(self, cells: Cells) -> str:
        columns = self.protocol.columns
        told = text(cell(cells, columns.question or "question")) or self.protocol.question
        if not told:
            raise InputError("has no question", hint="name its column, or say what is asked with the key 'question'")
        return lines_of(told).question if columns.options == columns.question and not self.protocol.choices else told

    def _id(self, cells: Cells) -> str:
        named = self.protocol.columns.id or "id"
        names = (named,) if isinstance(named, str) else named
        return "_".join(text(cell(cells, name)) for name in names)

    def _name(self, name: str, number: int, row: Row) -> str:
        """An id for the question: its own, or the row's number; one that was there already gets a number behind it."""
        base = unique = name or str(number)
        again = 2
        while unique in self.places:
            unique, again = f"{base}-{again}", again + 1
        if unique != base:
            here = self._place(row)
            self.remarks.append(f"{here}: id '{base}' is also on {self.places[base]}; called '{unique}'")
        self.places[unique] = self._place(row)
        return unique

    def _place(self, row: Row) -> str:
        return f"line {row.line}" if len(self.files) == 1 else f"{row.file.name} line {row.line}"

    def _leave_out(self, why: str, row: Row) -> None:
        self.left_out[why] += 1
        if why in NAMED:
            self.remarks.append(f"{self._place(row)}: {why} (row left out)")

    def _group(self, cells: Cells, name: str) -> None:
        told = self.protocol.columns.group
        names = (told,) if isinstance(told, str) else told or ()
        found = [(column, value) for column in names if (value := text(cell(cells, column)))]
        values = [value if isinstance(told, str) else f"{column}: {value}" for column, value in found]
        joined = [group for group, members in self.protocol.groups.items() if set(members) & set(values)]
        for group in joined if self.protocol.groups else values:
            self.groups.setdefault(group, []).append(name)


def _required(protocol: Protocol) -> list[str]:
    """Columns that every row must have."""
    columns = protocol.columns
    several = [columns.id, columns.group, () if protocol.choices else columns.options]
    names = [name for entry in several if entry for name in ((entry,) if isinstance(entry, str) else entry)]
    names += columns_in(columns.video) if isinstance(columns.video, str) else []
    names += [] if protocol.hidden == "ask" else [columns.answer]
    single = (columns.start, columns.stop, columns.question, columns.set, columns.subtitles, columns.subtitles_begin)
    names += [*columns.facts, *(name for name in single if name is not None)]
    return [name for name in dict.fromkeys(names) if name not in columns.optional and name not in protocol.lookup]
