"""Reads questions without options: the files of public benchmarks, and anybody's table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llavaction.actions.segments import END_OF_VIDEO, Clip
from llavaction.base.errors import InputError
from llavaction.base.json_stream import JsonCursor
from llavaction.base.records import file_sha256
from llavaction.base.text import shown
from llavaction.base.version import __version__
from llavaction.datasets.cells import CellReader, no_value
from llavaction.evaluation.benchmarks.protocol import Protocol
from llavaction.evaluation.benchmarks.rows import Row, read_rows
from llavaction.evaluation.open_answers.schema import OpenBenchmark, OpenQuestion
from llavaction.questions.schema import UNKNOWN, BenchmarkCard
from llavaction.video.errors import VideoError
from llavaction.video.library import VideoLibrary

UNSEEN, HIDDEN = "video missing or unreadable", "answer hidden"
"""Why a row is left out."""
KINDS = ("motion", "spatial relation", "temporal relation", "yes/no", "colour", "object", "location", "number", "other")
"""Of ActivityNet-QA, by number; from the fourth on they are its "free" ones."""

_CHARADES = re.compile(r"(\S+) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)##(.+)")
_CUT = re.compile(r"(.+)_(-?\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)(?:\.mp4)?")

Values = dict[str, Any]


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
    answers = {row["question_id"]: row for _, row in read_rows(beside, ["question_id", "answer", "type"])[0]}
    home = _Home(protocol, path, videos)

    def values(line: int, row: Mapping[str, Any]) -> Values:
        name = row["question_id"]
        if name not in answers:
            raise InputError(f"question '{name}' has no answer in {beside.name}")
        kind, answer = answers[name]["type"], str(answers[name]["answer"])
        if not isinstance(kind, int) or not 0 <= kind < len(KINDS):
            raise InputError(f"question '{name}' is of type {kind!r}; expected is 0 to {len(KINDS) - 1}", file=beside)
        video = f"v_{row['video_name']}"
        return {"question_id": name, "clip": home.whole(video), "question": row["question"], "answers": [answer],
                "kind": KINDS[kind]}  # fmt: skip

    rows, notes = read_rows(path, ["video_name", "question", "question_id"])
    if len(rows) != len(answers):
        raise InputError(f"has {len(rows)} questions, and {beside.name} {len(answers)} answers", file=path)
    return home.benchmark(rows, values, notes, [path, beside], free={"free": KINDS[3:]})


def read_egotempo(protocol: Protocol, path: Path, videos: Path | None) -> OpenBenchmark:
    """EgoTempo: ``egotempo_openQA.json``. Clips are cut from Ego4D's videos, or lie there cut, as ``UID_START_STOP``.

    One begins before its video does (-0.1 s); it is taken from the video's beginning.

    Raises:
        InputError: the file is not of this form.
    """
    home = _Home(protocol, path, videos)

    def values(line: int, row: Mapping[str, Any]) -> Values:
        cut = _CUT.fullmatch(str(row["clip_id"]))
        if cut is None:
            raise InputError(f"clip_id '{row['clip_id']}' is not UID_START_STOP")
        name = f"{cut[1]}_{cut[2]}_{cut[3]}"
        clip = home.whole(name) if home.has(name) else home.part(cut[1], max(0.0, float(cut[2])), float(cut[3]))
        return {"question_id": row["question_id"], "clip": clip, "question": row["question"],
                "answers": [row["answer"]], "kind": row["question_type"]}  # fmt: skip

    needed = ["question_id", "clip_id", "question_type", "question", "answer"]
    return home.benchmark(list(_annotations(path, needed)), values, [], [path])


def read_charades_sta(protocol: Protocol, path: Path, videos: Path | None) -> OpenBenchmark:
    """Charades-STA: lines ``VIDEO START STOP##SENTENCE``; when does what the sentence says happen?

    Raises:
        InputError: a line is not of this form.
    """
    home = _Home(protocol, path, videos)
    rows: list[Row] = []
    if not path.is_file():
        raise InputError("no such file of questions", file=path)
    for line, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not text.strip():
            continue
        match = _CHARADES.fullmatch(text.strip())
        if match is None:
            raise InputError(f"expected 'VIDEO START STOP##SENTENCE', found '{text:.80}'", file=path, line=line)
        rows.append((line, dict(zip(("video", "start", "stop", "sentence"), match.groups(), strict=True))))

    def values(line: int, row: Mapping[str, Any]) -> Values:
        return {"question_id": str(line), "clip": home.whole(row["video"]), "question": row["sentence"].rstrip(" ."),
                "span": (float(row["start"]), float(row["stop"]))}  # fmt: skip

    return home.benchmark(rows, values, [], [path])


def read_open_answers(protocol: Protocol, path: Path, videos: Path | None) -> OpenBenchmark:
    """Anybody's questions: one row each, its answer one text, or a list of texts that are all right.

    Rows whose answer is hidden are left out and counted.

    Raises:
        InputError: the file or one of its rows is not as the protocol says; names file and line.
    """
    columns, home, cells = protocol.columns, _Home(protocol, path, videos), CellReader(path)
    ids = (columns.id,) if isinstance(columns.id, str) else columns.id or ()
    extra = [name for name in (*ids, columns.start, columns.stop, columns.question) if name is not None]

    def values(line: int, row: Mapping[str, Any]) -> Values:
        answer = row[columns.answer]
        if isinstance(answer, str) and answer.strip().startswith("["):
            answer = cells.listed(answer, "answer", line)
        answers = [str(text).strip() for text in (answer if isinstance(answer, list | tuple) else [answer])]
        video = str(row[columns.video]).strip()
        start, stop = row.get(columns.start or "start"), row.get(columns.stop or "stop")
        clip: Values | None = home.whole(video)
        if not no_value(str(stop or "")):
            first = 0.0 if no_value(str(start or "")) else cells.seconds(str(start), "start", line)
            last = cells.seconds(str(stop), "stop", line)
            clip = home.part(video, first, last)
        name = "_".join(str(row[column]).strip() for column in ids) or str(row.get("id") or line)
        group = columns.group if isinstance(columns.group, str) else None
        return {"question_id": name, "clip": clip, "question": row.get(columns.question or "question"),
                "answers": [text for text in answers if not no_value(text)],
                "kind": str(row.get(group) or "") if group else ""}  # fmt: skip

    rows, notes = read_rows(path, list(dict.fromkeys([columns.video, columns.answer, *extra])))
    return home.benchmark(rows, values, notes, [path])


class _Home:
    """Where the videos are, and what comes of the rows of a file."""

    def __init__(self, protocol: Protocol, path: Path, videos: Path | None) -> None:
        self._protocol, self._path = protocol, path
        self._library = None if videos is None else VideoLibrary(videos)
        self._lengths: dict[str, float | None] = {}

    def has(self, video: str) -> bool:
        """Whether a video is known to be there."""
        return self._library is not None and not self._library.missing([video])

    def part(self, video: str, start: float, stop: float) -> Values | None:
        """A clip of a video, times in seconds; None where the video is known to be missing."""
        known = self._library is None or self.has(video)
        return {"video_id": video, "start": start, "stop": stop} if known else None

    def whole(self, video: str) -> Values | None:
        """A clip of the whole video; None where it cannot be read."""
        if self._library is None:
            return {"video_id": video, "start": 0.0, "stop": END_OF_VIDEO}
        if video not in self._lengths:
            try:
                self._lengths[video] = round(self._library.length(video), 6)
            except VideoError:
                self._lengths[video] = None
        length = self._lengths[video]
        return None if not length else {"video_id": video, "start": 0.0, "stop": length}

    def benchmark(
        self,
        rows: list[Row],
        values: Callable[[int, Mapping[str, Any]], Values],
        notes: list[str],
        files: list[Path],
        free: Mapping[str, tuple[str, ...]] | None = None,
    ) -> OpenBenchmark:
        """The questions of the rows; those without a video or an answer are left out and counted."""
        questions, left_out = list[OpenQuestion](), Counter[str]()
        taken: dict[str, int] = {}
        notes = list(notes)
        for line, row in rows:
            try:
                found = values(line, row)
            except InputError as error:
                raise InputError(error.problem, file=error.file or self._path, line=line, hint=error.hint) from None
            if found["clip"] is None or not (found.get("answers") or found.get("span")):
                left_out[UNSEEN if found["clip"] is None else HIDDEN] += 1
                continue
            name = unique = str(found["question_id"])
            while unique in taken:
                taken[name] += 1
                unique = f"{name}-{taken[name]}"
            if unique != name:
                notes.append(f"line {line}: id '{name}' is there already; called '{unique}'")
            taken[unique] = 1
            clip = Clip.from_mapping(found["clip"], file=self._path, line=line)
            questions.append(
                OpenQuestion.from_mapping({**found, "question_id": unique, "clip": clip}, file=self._path, line=line)
            )
        if not questions:
            why = ", ".join(f"{count} rows left out: {reason}" for reason, count in left_out.items())
            raise InputError(f"holds no question that can be asked ({why or 'it is empty'})", file=self._path)
        protocol = self._protocol
        kinds = {question.kind for question in questions} - {""}
        return OpenBenchmark(
            questions,
            BenchmarkCard(
                name=protocol.name,
                version=protocol.version,
                split=protocol.split,
                options=0,
                licence=protocol.source.licence or UNKNOWN,
                made_by=f"llavaction {__version__}",
                sources={file.name: file_sha256(file) for file in files},
                counts={"questions": len(questions), "videos": len({q.clip.video_id for q in questions}),
                        "rows": len(rows), "kinds": len(kinds)}
                | {f"rows left out: {why}": count for why, count in left_out.items()},
                notes=tuple(map(shown, notes[:20])),
                source=protocol.source,
            ),
            {name: tuple(kinds) for name, kinds in (free or {}).items()},
        )  # fmt: skip


def _annotations(path: Path, needed: list[str]) -> Iterator[Row]:
    """The rows under the key "annotations" of a JSON file."""
    if not path.is_file():
        raise InputError("no such file of questions", file=path)
    with path.open(encoding="utf-8-sig") as stream:
        cursor = JsonCursor(stream, path)
        for key in cursor.object_keys():
            if key != "annotations":
                cursor.value()
                continue
            for row in cursor.list_items():
                if not isinstance(row, dict) or (missing := [name for name in needed if name not in row]):
                    lacks = ", ".join(missing) if isinstance(row, dict) else "its fields"
                    raise InputError(f"a question lacks {lacks}", file=path, line=cursor.began)
                yield cursor.began, row
