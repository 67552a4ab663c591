"""A benchmark described as data: the YAML file that says how its questions are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.plugins import with_plugins
from llavaction.base.records import Strict
from llavaction.base.registry import suggestion
from llavaction.questions.schema import Source

OWN = {"llavaction": Path(__file__).parent}
"""Folder of the protocols that come along; plug-ins add theirs under ``BENCHMARKS``."""

AnswerForm = Literal["auto", "letter", "index", "index_from_1", "text"]


class Columns(Strict):
    """Which column (of CSV) or key (of JSON) holds what; left out are those that are called so already.

    A name with dots goes into mappings (``metadata.frame_rate``).
    """

    id: str | tuple[str, ...] | None = Field(
        default=None,
        description="Id of the question, from one column or several joined by '_'. Without one rows are counted.",
    )
    video: str | tuple[str, ...] = Field(
        default="video",
        description="Name of the video file, with or without suffix: a column, several of which the first that is "
        "filled counts, or a text with columns in braces ('{folder}/{video}').",
    )
    start: str | None = Field(
        default=None,
        description="Start of the clip, in seconds or as HH:MM:SS. Without one it is the video's beginning.",
    )
    stop: str | None = Field(
        default=None, description="End of the clip, in seconds or as HH:MM:SS. Without one it is the video's end."
    )
    question: str | None = Field(default=None, description="Text of the question. Without one it is the protocol's.")
    options: str | tuple[str, ...] = Field(
        default="options",
        description="Texts of the options: one column with a list or with a line for each, or a column for each. Where "
        "it is the column of the question they are the last lines of its text.",
    )
    answer: str = Field(default="answer", description="The answer, told as the protocol's answers says.")
    group: str | tuple[str, ...] | None = Field(
        default=None,
        description="Kind of question, for a breakdown of the accuracy; groups of several columns are called "
        "'column: value'.",
    )
    facts: tuple[str, ...] = Field(
        default=(), description="Columns that are kept beside the question, for official metrics."
    )
    set: str | None = Field(
        default=None, description="Column whose equal values mark questions that an official metric scores together."
    )
    subtitles: str | None = Field(
        default=None, description="Name of the file of subtitles. Without one it is the video's."
    )
    subtitles_begin: str | None = Field(
        default=None, description="Seconds on the subtitles' clock at which the video begins."
    )
    stem: str | None = Field(
        default=None, description="What the name of the row's file, without its suffix, is called as a column."
    )
    optional: tuple[str, ...] = Field(
        default=(), description="Those of the columns above that rows may lack; they are empty there."
    )


class Lookup(Strict):
    """A column whose values are found by those of another."""

    by: str = Field(description="Column whose value is looked up.")
    values: Mapping[str, str | int | float] = Field(
        default_factory=dict, description="What stands for each of its values."
    )
    file: Path | None = Field(default=None, description="JSON file with such a mapping, seen from the YAML file.")
    empty: tuple[str, ...] = Field(default=(), description="Texts found that mean that there is none.")


class FrameNumbers(Strict):
    """How start and stop are told where they are numbers of frames, counted from 0."""

    fps: float | str = Field(description="Frames per second: a number, or the column that tells it.")
    stop_included: bool = Field(
        default=False, description="Whether the frame at the stop belongs to the clip, which then ends behind it."
    )


class Protocol(Strict):
    """How the questions of a benchmark are read, and what is known of it."""

    name: str = Field(description="Name of the benchmark. By default it is the YAML file's.")
    version: str = Field(
        default="1", description="Version of this description, which rises when it gives other questions."
    )
    split: str = Field(default="test", description="Which part of the benchmark the file is.")
    task: Literal["questions", "recognition", "multi_label"] = Field(
        default="questions",
        description="What is done: questions are asked (llavaction eval), segments recognised (recognise), or clips "
        "given several labels (multilabel).",
    )
    reader: str = Field(default="multiple_choice", description="What reads the file, see READERS.")
    file: Path | None = Field(
        default=None,
        description="File of the questions, seen from the YAML file: CSV, JSON, JSONL, Parquet or Arrow. A folder, or "
        "a name with *, is several files. For recognition it is the folder of annotations, for several labels the file "
        "or folder of them.",
    )
    predictions: Path | None = Field(
        default=None, description="File of a specialist's predictions, whose best actions recognition compares."
    )
    rows: tuple[str, ...] = Field(
        default=(),
        description="Way to the rows of nested JSON: a key is gone into and what stands beside it kept as columns, "
        "'<name>' goes into each entry of a mapping, its key is that column; behind 'key?' it may be missing.",
    )
    columns: Columns = Field(default_factory=Columns, description="Which columns, or keys, hold what.")
    lookup: Mapping[str, Lookup] = Field(
        default_factory=dict, description="Columns that are looked up by another, by their name."
    )
    answers: AnswerForm = Field(
        default="auto", description="How the answer is told; auto is by letter, index from 0 or the option's text."
    )
    hidden: Literal["leave_out", "ask"] = Field(
        default="leave_out", description="What becomes of questions without an answer: left out, or asked all the same."
    )
    choices: tuple[str, ...] = Field(default=(), description="Options of every question where the file has none.")
    repeated_options: Literal["leave_out", "once"] = Field(
        default="leave_out",
        description="What becomes of questions with the same option twice: left out, or, where that is not the answer, "
        "asked with it once.",
    )
    no_option: tuple[str, ...] = Field(default=(), description="Texts that stand where there is no option.")
    frames: FrameNumbers | None = Field(
        default=None, description="Frames per second, where start and stop are numbers of frames."
    )
    groups: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Name of each group to its values of the group column. By default each value is a group.",
    )
    question: str | None = Field(
        default=None, description="Question that is asked where the file has no column of questions."
    )
    videos: Path | None = Field(
        default=None, description="Folder of the videos, for their lengths where no times are told."
    )
    subtitles: Path | None = Field(
        default=None, description="Folder of the subtitles, one file a video: .srt, .vtt, .json or .jsonl."
    )
    expected: Mapping[str, int] = Field(
        default_factory=dict, description="Number of rows, questions or videos that there have to be, by these names."
    )
    source: Source = Field(
        default_factory=Source, description="Where the questions are from, their licence and official metric."
    )

    def seen_from(self, folder: Path) -> Protocol:
        """The same with its files and folders where they lie."""

        def placed(path: Path | None) -> Path | None:
            return None if path is None else folder / path

        lookup = {name: entry.model_copy(update={"file": placed(entry.file)}) for name, entry in self.lookup.items()}
        places = {name: placed(getattr(self, name)) for name in ("file", "predictions", "videos", "subtitles")}
        return self.model_copy(update={**places, "lookup": lookup})


def known_protocols() -> dict[str, Path]:
    """Those that come along, ours and those of plug-ins, by name."""
    homes = with_plugins("BENCHMARKS", OWN).values()
    return {path.stem: path for home in homes for path in sorted(Path(home).glob("*.yaml"))}


def load_protocol(path: Path) -> Protocol:
    """Read a protocol; a key ``like`` names one that comes along, whose values stand where the file has none.

    Raises:
        InputError: the file is no such description, or no protocol is called as ``like`` says.
    """
    values = _completed(_mapping(path), path)
    return Protocol.from_mapping({"name": path.stem, **values}, file=path)


def _completed(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Values over those of the protocol that they are like, if they name one."""
    if (like := values.pop("like", None)) is None:
        return values
    known = known_protocols()
    if str(like) not in known or known[str(like)] == path:
        raise InputError(f"no benchmark is called '{like}'", file=path, hint=suggestion(str(like), known))
    home = known[str(like)]
    return _over({"name": str(like), **_completed(_mapping(home), home)}, values)


def _mapping(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise InputError("expected the description of a benchmark (name, file, columns, ...)", file=path)
    return values


def _over(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of another mapping in place of its own, blocks key by key; null takes a key away."""
    merged = dict(base)
    for name, value in values.items():
        old = merged.pop(name, None)
        if value is not None:
            merged[name] = _over(old if isinstance(old, dict) else {}, value) if isinstance(value, dict) else value
    return merged
