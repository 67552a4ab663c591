"""Reads multiple-choice questions from anybody's file: one row a question, options in one column or several."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256
from llavaction.base.text import same_when_read, shown
from llavaction.base.version import __version__
from llavaction.datasets.cells import CellReader, no_value
from llavaction.evaluation.benchmarks.protocol import AnswerForm, Protocol
from llavaction.evaluation.benchmarks.rows import read_rows
from llavaction.questions.asked import LETTERS
from llavaction.questions.schema import UNKNOWN, Benchmark, BenchmarkCard, Facts, Option, Question
from llavaction.video.errors import VideoError
from llavaction.video.library import VideoLibrary
from llavaction.video.probe import probe

MOST_NAMED = 20
"""Rows with a remark are named in the card up to here."""
HIDDEN, UNSEEN, ALIKE = "answer hidden", "video missing or unreadable", "two options the same"
"""Why a row is left out."""

_LETTERED = re.compile(r"\(?([A-Z])[.):]\s+(?=\S)")
_LETTER = re.compile(r"\(?([A-Za-z])[.):]?")
_INDEX = re.compile(r"(\d{1,3})(?:\.0*)?", re.ASCII)


def read_benchmark(protocol: Protocol, path: Path, videos: Path | None) -> Benchmark:
    """The questions of a file.

    Rows whose answer is hidden (empty, "NA"), whose video's length is needed and cannot be read, or that have the same
    option twice are left out and counted in the card. An id that was there already gets a number behind it, and a note.

    Args:
        protocol: how the file is read.
        path: the file.
        videos: their folder, for the lengths of those of which no times are told.

    Raises:
        InputError: the file or one of its rows is not as the protocol says, an answer is no option, or no row is left;
            names file and line.
    """
    return _Reader(protocol, path, videos).read()


class _Reader:
    def __init__(self, protocol: Protocol, path: Path, videos: Path | None) -> None:
        self.protocol, self.path, self.videos = protocol, path, videos
        columns = protocol.columns
        self.id = (columns.id,) if isinstance(columns.id, str) else columns.id or ()
        self.options = (columns.options,) if isinstance(columns.options, str) else columns.options
        extra = (*self.id, columns.start, columns.stop, columns.question, columns.group)
        self.required = [columns.video, columns.answer, *self.options, *(name for name in extra if name is not None)]
        self.cells = CellReader(path)
        self.left_out: Counter[str] = Counter()
        self.remarks: list[str] = []
        self.lines: dict[str, int] = {}
        self.library: VideoLibrary | None = None
        self.groups: dict[str, list[str]] = {}
        self.lengths: dict[str, float | None] = {}

    def read(self) -> Benchmark:
        rows, notes = read_rows(self.path, list(dict.fromkeys(self.required)))
        questions = []
        for number, (line, row) in enumerate(rows, start=1):
            try:
                question = self._question(number, line, row)
            except InputError as error:
                place = error.file or self.path, error.line or line
                raise InputError(error.problem, file=place[0], line=place[1], hint=error.hint) from None
            questions += [] if question is None else [question]
        if not questions:
            reasons = ", ".join(f"{count} rows left out: {why}" for why, count in self.left_out.items())
            raise InputError(f"holds no question that can be asked ({reasons or 'it is empty'})", file=self.path)
        more = [f"and {len(self.remarks) - MOST_NAMED} rows more"] if len(self.remarks) > MOST_NAMED else []
        protocol, videos = self.protocol, {question.clip.video_id for question in questions}
        card = BenchmarkCard(
            name=protocol.name,
            version=protocol.version,
            split=protocol.split,
            options=max(len(question.options) for question in questions),
            licence=protocol.source.licence or UNKNOWN,
            made_by=f"llavaction {__version__}",
            sources={self.path.name: file_sha256(self.path)},
            counts={"questions": len(questions), "videos": len(videos), "rows": len(rows)}
            | {f"rows left out: {why}": count for why, count in self.left_out.items()},
            notes=tuple(map(shown, (*notes, *self.cells.notes, *self.remarks[:MOST_NAMED], *more))),
            source=protocol.source,
        )
        groups = {name: tuple(sorted(ids)) for name, ids in sorted(self.groups.items())}
        return Benchmark(questions, card, Facts(groups=groups))

    def _question(self, number: int, line: int, row: Mapping[str, Any]) -> Question | None:
        """The question of a row; None where it is left out."""
        columns, options = self.protocol.columns, self._options(row, line)
        texts, answer = _without_letters(options), _text(row[columns.answer])
        filled = [place for place, text in enumerate(texts) if text]
        readings = {same_when_read(texts[place]) for place in filled}
        if no_value(answer) and same_when_read(answer) not in readings:
            self._leave_out(HIDDEN, line)
            return None
        if len(readings) < len(filled):
            self._leave_out(ALIKE, line)
            return None
        place = answer_place(answer, options, self.protocol.answers)
        clip = self._clip(row, line)
        if clip is None:
            self._leave_out(UNSEEN, line)
            return None
        question = _text(row.get(columns.question or "question")) or self.protocol.question
        if not question:
            raise InputError("has no question", hint="name its column, or say what is asked with the key 'question'")
        name = self._name("_".join(_text(row[column]) for column in self.id) or _text(row.get("id")), number, line)
        values = {
            "question_id": name,
            "clip": clip,
            "question": question,
            "options": tuple(Option(text=texts[i]) for i in filled),
            "answer": filled.index(place),
        }
        asked = Question.from_mapping(values, file=self.path, line=line)
        self._group(_text(row[columns.group]) if columns.group else "", name)
        return asked

    def _options(self, row: Mapping[str, Any], line: int) -> list[str]:
        """The options as written, empty ones included, for letters and indices count them."""
        cells: Sequence[Any] = [row[name] for name in self.options]
        if isinstance(self.protocol.columns.options, str):
            cells = self.cells.listed(cells[0], "options", line) if isinstance(cells[0], str) else cells[0]
            if not isinstance(cells, list | tuple):
                raise InputError("its options are no list", hint="give a list of texts, or a column for each option")
        texts = [_text(value) for value in cells]
        if sum(text != "" for text in texts) < 2 or len(texts) > len(LETTERS):
            raise InputError(f"has the options {texts!s:.200}; expected are 2 to {len(LETTERS)} texts")
        return texts

    def _clip(self, row: Mapping[str, Any], line: int) -> Clip | None:
        columns, video = self.protocol.columns, _text(row[self.protocol.columns.video])
        if no_value(video):
            raise InputError("names no video")
        start, stop = (
            None if no_value(text) else self.cells.seconds(text, name, line)
            for name, text in (
                ("start", _text(row.get(columns.start or "start"))),
                ("stop", _text(row.get(columns.stop or "stop"))),
            )
        )
        if stop is None:
            if self.videos is None:
                raise InputError(
                    f"does not tell when the clip of '{video}' stops, so it is the video's end, which is not known",
                    hint="name the column of times (stop), or the folder of the videos with --videos or 'videos'",
                )
            stop = self._length(video, self.videos)
        values = {"video_id": video, "start": start or 0.0, "stop": stop}
        return None if stop is None else Clip.from_mapping(values, file=self.path, line=line)

    def _length(self, video: str, videos: Path) -> float | None:
        """Seconds of a video; None where it cannot be read."""
        if self.library is None:
            self.library = VideoLibrary(videos)
        if video not in self.lengths:
            try:
                self.lengths[video] = round(probe(self.library.path(video)).duration, 6)
            except VideoError:
                self.lengths[video] = None
        return self.lengths[video]

    def _name(self, name: str, number: int, line: int) -> str:
        """An id for the question: its own, or the row's number; one that was there already gets a number behind it."""
        base = unique = name or str(number)
        again = 2
        while unique in self.lines:
            unique, again = f"{base}-{again}", again + 1
        if unique != base:
            self.remarks.append(f"line {line}: id '{base}' is also on line {self.lines[base]}; called '{unique}'")
        self.lines[unique] = line
        return unique

    def _leave_out(self, why: str, line: int) -> None:
        self.left_out[why] += 1
        if why != HIDDEN:
            self.remarks.append(f"line {line}: {why} (row left out)")

    def _group(self, value: str, name: str) -> None:
        groups = [group for group, values in self.protocol.groups.items() if value in values]
        if not self.protocol.groups and value:
            groups = [value]
        for group in groups:
            self.groups.setdefault(group, []).append(name)


def answer_place(answer: str, options: Sequence[str], form: AnswerForm = "auto") -> int:
    """Which option an answer means.

    Args:
        answer: "B", "(b)", "B.", "1" (counted from 0 or, as ``index_from_1``, from 1) or an option's text.
        options: as written.
        form: how the answer is told; "auto" takes each of them but ``index_from_1``.

    Raises:
        InputError: it is no option, or may be two of them.
    """
    letter, index = _LETTER.fullmatch(answer), _INDEX.fullmatch(answer)
    places: list[int] = []
    if form in ("auto", "text"):
        bare = same_when_read(answer)
        for texts in (options, _without_letters(options)):
            places += [place for place, text in enumerate(texts) if same_when_read(text) == bare]
    if letter and form in ("auto", "letter"):
        places.append(LETTERS.index(letter[1].upper()))
    if index and form not in ("text", "letter"):
        places.append(int(index[1]) - (form == "index_from_1"))
    matching = {place for place in places if 0 <= place < len(options) and options[place]}
    if len(matching) == 1:
        return matching.pop()
    if matching:
        either = " or ".join(f"'{options[place]}'" for place in sorted(matching))
        raise InputError(f"answer '{answer:.60}' may mean {either}", hint="say which with the key 'answers'")
    last = len(options) - 1
    expected = {
        "letter": f"a letter from A to {LETTERS[last]}",
        "index": f"a number from 0 to {last}",
        "index_from_1": f"a number from 1 to {last + 1}",
        "text": "the text of one",
    }
    forms = expected.get(form) or f"{expected['letter']}, {expected['index']} or {expected['text']}"
    from_1 = "where answers count from 1, say so with 'answers: index_from_1'" if index and form != "text" else None
    raise InputError(f"answer '{answer:.60}' is no option; expected {forms}", hint=from_1)


def _without_letters(options: Sequence[str]) -> list[str]:
    """Options without the letters before them, where all have theirs ("A. plate", "B. cup"); empty ones stay."""
    matches = {place: _LETTERED.match(option) for place, option in enumerate(options) if option}
    if all(match and match[1] == LETTERS[place] for place, match in matches.items()):
        return [_LETTERED.sub("", option, count=1) for option in options]
    return list(options)


def _text(value: Any) -> str:
    """A value as text; nothing for None."""
    return "" if value is None else str(value).strip()
