"""Subtitles in the forms that benchmarks keep them in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llavaction.base.errors import InputError
from llavaction.questions.subtitle_files import parse_subtitles, subtitle_file

SRT = (
    '\ufeff1\r\n00:00:00,500 --> 00:00:02,000\r\n<font color="white" size=".72c">One &amp; two</font>\r\n\r\n'
    "2\r\n00:00:02,000 --> 00:00:03,250\r\nThree\r\nfour\r\n\r\n3\r\n00:00:04,000 --> 00:00:05,000\r\n\r\n"
)


def lines(path: Path, begin: float = 0.0) -> list[tuple[float, float, str]]:
    return [(line.start, line.stop, line.text) for line in parse_subtitles(path, begin)]


def test_subrip_and_webvtt(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(SRT, newline="")
    assert lines(tmp_path / "a.srt") == [(0.5, 2.0, "One & two"), (2.0, 3.25, "Three four")]
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000 align:start\nHello\n")
    assert lines(tmp_path / "a.vtt") == [(1.0, 2.0, "Hello")]
    (tmp_path / "b.srt").write_text("1\n00:00:61,000 --> 00:00:62,000\nHello\n")
    with pytest.raises(InputError, match=r"b\.srt:2: timestamp '00:00:61,000'"):
        parse_subtitles(tmp_path / "b.srt")


def test_lists_of_lines_count_from_where_the_video_begins(tmp_path: Path) -> None:
    entries = [
        {"start": "00:00:09.000", "end": "00:00:09.500", "line": "before"},
        {"start": "00:00:09.500", "end": "00:00:11.000", "line": "across"},
        {"timestamp": [12.0, None], "text": "to the end"},
    ]
    (tmp_path / "a.json").write_text(json.dumps(entries))
    assert lines(tmp_path / "a.json", 10.0) == [(0.0, 1.0, "across"), (2.0, 1e9 - 10, "to the end")]
    (tmp_path / "a.json").write_text('[{"text": "no times"}]')
    with pytest.raises(InputError, match="entry 1 is no line of subtitles"):
        parse_subtitles(tmp_path / "a.json")


def test_words_are_joined_to_sentences(tmp_path: Path) -> None:
    said = [("We", 0.0, 0.2), ("go.", 0.25, 0.5), ("Now", 0.65, 0.8), ("stop", 0.85, 1.0), ("it", 1.6, 1.8)]
    words = [{"text": text, "start_time": start, "end_time": stop} for text, start, stop in said]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(word) + "\n" for word in words))
    assert lines(tmp_path / "a.jsonl") == [(0.0, 0.5, "We go."), (0.65, 1.0, "Now stop"), (1.6, 1.8, "it")]
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:1: expected a word with text, start_time and end_time"):
        parse_subtitles(tmp_path / "a.jsonl")


def test_files_are_found_by_the_video(tmp_path: Path) -> None:
    for name in ("a.srt", "b.mp4.json", "v.1.jsonl"):
        (tmp_path / name).write_text("")
    found = [subtitle_file(tmp_path, name) for name in ("a", "a.mp4", "a.srt", "b.mp4", "v.1", "c")]
    names = [None if path is None else path.name for path in found]
    assert names == ["a.srt", "a.srt", "a.srt", "b.mp4.json", "v.1.jsonl", None]
