"""Files of questions and subtitles for the fuzzing of readers: what writes good ones, and what reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.public_benchmarks import FILES, opened
from llavaction.evaluation.benchmarks import open_benchmark
from llavaction.questions.subtitle_files import parse_subtitles


def _public(name: str, **described: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "cuts.json").write_text('{"video_1": 90, "video_2": -1}')
        (folder / "said").mkdir()
        opened(folder, name, **described)
        for path in [path for path in folder.glob("*/*.json") if path.is_file()]:
            path.rename(folder / path.name)
        file = Path(FILES[name][0]).name.replace("*", "gaze")
        (folder / "mine.yaml").write_text((folder / "mine.yaml").read_text().replace(FILES[name][0], file))

    return write


def _read_described(folder: Path) -> None:
    open_benchmark(folder / "mine.yaml", say=lambda said: None)


def _subtitles(folder: Path) -> None:
    (folder / "a.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,500\n<b>Hello</b>\n\n2\n00:00:03,000 --> 00:00:04,000\nx\n"
    )
    lines = [{"start": "00:00:01.000", "end": "00:00:02.000", "line": "a"}, {"timestamp": [3.0, None], "text": "b"}]
    (folder / "b.json").write_text(json.dumps(lines))
    words = [{"text": "a", "start_time": 0.1, "end_time": 0.5}, {"text": "b.", "start_time": 0.6, "end_time": 0.9}]
    (folder / "c.jsonl").write_text("".join(json.dumps(word) + "\n" for word in words))


def _read_subtitles(folder: Path) -> None:
    for path in folder.glob("?.*"):
        parse_subtitles(path, 0.5)


QUESTION_FILES: dict[str, tuple[Any, ...]] = {
    "nested questions": (
        _public("perceptiontest", lookup={"cut": {"file": "cuts.json"}}, subtitles="said"), "*.json", _read_described
    ),
    "questions with inputs": (_public("hd_epic"), "gaze.json", _read_described, 0.5),
    "lists of questions": (_public("videomme"), "*.json", _read_described, 0.5),
    "lines of questions": (_public("motionbench", hidden="ask"), "*.jsonl", _read_described, 0.5),
    "groups of questions": (_public("videomme_v2"), "*.jsonl", _read_described, 0.5),
    "frames of questions": (_public("lemonade"), "*.csv", _read_described, 0.5),
    "descriptions of questions": (_public("longvideobench"), "*.yaml", _read_described, 0.5),
    "subtitles": (_subtitles, "?.*", _read_subtitles),
}  # fmt: skip
"""By name: what writes a good folder, which of its files are damaged, what reads it."""
