"""Reads questions without options: the files of public benchmarks, and anybody's table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256
from llavaction.base.text import shown
from llavaction.base.version import __version__
from llavaction.datasets.cells import CellReader, no_value
from llavaction.evaluation.benchmarks.nesting import cell, text
from llavaction.evaluation.benchmarks.protocol import Protocol
from llavaction.evaluation.benchmarks.rows import Row, read_rows
from llavaction.evaluation.benchmarks.spans import Spans
from llavaction.evaluation.open_answers.schema import OpenBenchmark, OpenQuestion
from llavaction.questions.schema import UNKNOWN, BenchmarkCard

UNSEEN, HIDDEN = "video missing or unreadable", "answer hidden"
"""Why a row is left out."""
KINDS = ("motion", "spatial relation", "temporal relation", "yes/no", "colour", "object", "location", "number", "other")
"""Of ActivityNet-QA, by number; from the fourth on they are its "free" ones."""
MOST_NAMED = 20
"""Remarks in the card, at most."""

_CHARADES = re.compile(r"(\S+) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)##(.+)")
_CUT = re.compile(r"(.+)_(-?\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)(?:\.mp4)?")

Question = dict[str, Any]
"""Fields of a question; its clip is None where the video is known to be missing."""


def read_activitynet_qa(protocol: Protocol, path: Path, videos: Path | None) -> OpenBenchmark:
    """ActivityNet-QA: ``test_q.json``, with ``test_a.json`` beside it. Videos are called ``v_NAME``.

    Raises:
        InputError: a file is missing or not of this form, or questions and answers do not belong together.
    """
    beside = path.with_name(path.name.replace("_q", "_a"))
    if beside == path or not beside.is_file():
        raise InputError(
            "the answers are not beside the questions", file=beside, hint="test_q.json goes with test_a.json"
        )
    answers = {_need(row, "question_id"): row for row in read_rows(beside, ())[0]}
    rows, notes = read_rows(path, ())
    if len(rows) != len(answers):
        raise InputError(f"has {len(rows)} questions, and {beside.name} {len(answers)} answers", file=path)
    home = _Home(protocol, path, videos)

    def question(row: Row) -> Question:
        name = _need(row, "question_id")
        if name not in answers:
            raise InputError(f"question '{name}' has no answer in {beside.name}")
        kind, answer = answers[name].cells.get("type"), _need(answers[name], "answer")
        if not isinstance(kind, int) or not 0 <= kind < len(KINDS):
            raise InputError(f"question '{name}' is of type {kind!r}; expected is 0 to {len(KINDS) - 1}", file=beside)
        clip = home.clip(row, f"v_{_need(row, 'video_name')}")
        return {"question_id": name, "clip": clip, "question": _need(row, "question"), "answers": [answer],
                "kind": KINDS[kind]}  # fmt: skip

    return home.benchmark(rows, question, notes, [path, beside], {"free": KINDS[3:]})


def read_egotempo(protocol: Protocol, path: Path, videos: Path | None) -> OpenBenchmark:
    """EgoTempo: ``egotempo_openQA.json``. Clips are cut from Ego4D's videos, or lie there cut, as ``UID_START_STOP``.

    One begins before its video does (-0.1 s); it is taken from the video's beginning.

    Raises:
        InputError: the file is not of this form.
    """
    home = _Home(protocol, path, videos)

    def question(row: Row) -> Question:
        cut = _CUT.fullmatch(_need(row, "clip_id"))
        if cut is None:
            raise InputError(f"clip_id '{row.cells['clip_id']}' is not UID_START_STOP")
        name, times = f"{cut[1]}_{cut[2]}_{cut[3]}", {"start": max(0.0, float(cut[2])), "stop": float(cut[3])}
        clip = home.clip(row, name) if home.has(name) else home.clip(row, cut[1], times)
        return {"question_id": _need(row, "question_id"), "clip": clip, "question": _need(row, "question"),
                "answers": [_need(row, "answer")], "kind": _need(row, "question_type")}  # fmt: skip

    rows, notes = read_rows(path, (), ("annotations",))
    return home.benchmark(rows, question, notes, [path])


def read_charades_sta(protocol: Protocol, path: Path, videos: Path | None) -> OpenBenchmark:
    """Charades-STA: lines ``VIDEO START STOP##SENTENCE``; when does what the sentence says happen?

    Raises:
        InputError: a line is not of this form.
    """
    if not path.is_file():
        raise InputError("no such file of questions", file=path)
    rows = []
    for line, written in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not written.strip():
            continue
        match = _CHARADES.fullmatch(written.strip())
        if match is None:
            raise InputError(f"expected 'VIDEO START STOP##SENTENCE', found '{written:.80}'", file=path, line=line)
        rows.append(Row(path, line, dict(zip(("video", "start", "stop", "sentence"), match.groups(), strict=True))))
    home = _Home(protocol, path, videos)

    def question(row: Row) -> Question:
        span = (float(row.cells["start"]), float(row.cells["stop"]))
        sentence = row.cells["sentence"].rstrip(" .")
        return {"question_id": str(row.line), "clip": home.clip(row, row.cells["video"]), "question": sentence,
                "span": span}  # fmt: skip

    return home.benchmark(rows, question, [], [path])


def read_open_answers(protocol: Protocol, path: Path, videos: Path | None) -> OpenBenchmark:
    """Anybody's questions: one row each, its answer one text, or a list of texts that are all right.

    Rows whose answer is hidden are left out and counted.

    Raises:
        InputError: the file or one of its rows is not as the protocol says; names file and line.
    """
    columns, home = protocol.columns, _Home(protocol, path, videos)
    ids = (columns.id,) if isinstance(columns.id, str) else columns.id or ()
    rows, notes = read_rows(path, [*ids, columns.answer], protocol.rows)

    def question(row: Row) -> Question:
        answer = cell(row.cells, columns.answer)
        if isinstance(answer, str) and answer.strip().startswith("["):
            answer = home.cells.listed(answer, "answer", row.line)
        answers = [text(value) for value in (answer if isinstance(answer, list | tuple) else [answer])]
        name = "_".join(text(cell(row.cells, column)) for column in ids) or text(cell(row.cells, "id")) or str(row.line)
        asked = text(cell(row.cells, columns.question or "question")) or protocol.question
        kind = text(cell(row.cells, columns.group)) if isinstance(columns.group, str) else ""
        clip = home.spans.clip(row.cells, home.cells, row.line)
        return {"question_id": name, "clip": None if clip is None else clip.model_dump(), "question": asked,
                "answers": [value for value in answers if not no_value(value)], "kind": kind}  # fmt: skip

    return home.benchmark(rows, question, notes, [path])


def _need(row: Row, column: str) -> str:
    value = row.cells.get(column)
    if value is None or not str(value).strip():
        found = f"; found {', '.join(map(str, row.cells))!s:.200}" if value is None else ""
        raise InputError(f"a question has no {column}{found}", file=row.file, line=row.line)
    return str(value)


class _Home:
    """Where the videos are, and what comes of the rows of a file."""

    def __init__(self, protocol: Protocol, path: Path, videos: Path | None) -> None:
        self._protocol, self._path, self._videos = protocol, path, videos
        self.spans = Spans(protocol, videos)
        self.cells = CellReader(path)

    def has(self, video: str) -> bool:
        """Whether a video is known to be there."""
        return self._videos is not None and not self.spans.missing({video})

    def clip(self, row: Row, video: str, times: Mapping[str, float] | None = None) -> Question | None:
        """A clip of a video, the whole of it where no times are told; None where it is known to be missing."""
        if times is not None:
            known = self._videos is None or self.has(video)
            return {"video_id": video, **times} if known else None
        clip = self.spans.clip({"video": video}, self.cells, row.line)
        return None if clip is None else clip.model_dump()

    def benchmark(
        self,
        rows: Sequence[Row],
        question: Callable[[Row], Question],
        notes: Sequence[str],
        files: Sequence[Path],
        groups: Mapping[str, tuple[str, ...]] | None = None,
    ) -> OpenBenchmark:
        """The questions of the rows; those without a video or an answer are left out and counted."""
        questions, left_out, remarks = list[OpenQuestion](), Counter[str](), list(notes)
        lines: dict[str, int] = {}
        for row in rows:
            try:
                found = question(row)
            except InputError as error:
                place = error.file or self._path, error.line or row.line
                raise InputError(error.problem, file=place[0], line=place[1], hint=error.hint) from None
            if found["clip"] is None or not (found.get("answers") or found.get("span")):
                left_out[UNSEEN if found["clip"] is None else HIDDEN] += 1
                continue
            name, again = found["question_id"], 2
            while found["question_id"] in lines:
                found["question_id"], again = f"{name}-{again}", again + 1
            if found["question_id"] != name:
                remarks.append(f"line {row.line}: id '{name}' is also on line {lines[name]}; "
                               f"called '{found['question_id']}'")  # fmt: skip
            lines[found["question_id"]] = row.line
            found["clip"] = Clip.from_mapping(found["clip"], file=self._path, line=row.line)
            questions.append(OpenQuestion.from_mapping(found, file=self._path, line=row.line))
        if not questions:
            why = ", ".join(f"{count} rows left out: {reason}" for reason, count in left_out.items())
            raise InputError(f"holds no question that can be asked ({why or 'it is empty'})", file=self._path)
        counts = {"questions": len(questions), "videos": len({asked.clip.video_id for asked in questions}),
                  "rows": len(rows), "kinds": len({asked.kind for asked in questions} - {""})}  # fmt: skip
        protocol = self._protocol
        card = BenchmarkCard(
            name=protocol.name,
            version=protocol.version,
            split=protocol.split,
            options=0,
            licence=protocol.source.licence or UNKNOWN,
            made_by=f"llavaction {__version__}",
            sources={file.name: file_sha256(file) for file in files},
            counts=counts | {f"rows left out: {why}": count for why, count in left_out.items()},
            notes=tuple(map(shown, (*self.cells.notes, *remarks[:MOST_NAMED]))),
            source=protocol.source,
        )
        return OpenBenchmark(questions, card, groups or {})
