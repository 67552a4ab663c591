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
    """Which column (of CSV) or key (of JSON) holds what; left out are those that are called so already."""

    id: str | tuple[str, ...] | None = Field(
        default=None,
        description="Id of the question, from one column or several joined by '_'. Without one rows are counted.",
    )
    video: str = Field(default="video", description="Name of the video file, with or without suffix.")
    start: str | None = Field(
        default=None,
        description="Start of the clip, in seconds or as HH:MM:SS. Without one it is the video's beginning.",
    )
    stop: str | None = Field(
        default=None, description="End of the clip, in seconds or as HH:MM:SS. Without one it is the video's end."
    )
    question: str | None = Field(default=None, description="Text of the question. Without one it is the protocol's.")
    options: str | tuple[str, ...] = Field(
        default="options", description="Texts of the options: one column with a list, or a column for each."
    )
    answer: str = Field(default="answer", description="The answer, told as the protocol's answers says.")
    group: str | None = Field(default=None, description="Kind of question, for a breakdown of the accuracy.")


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
        description="File of the questions, seen from the YAML file: CSV, JSON or JSONL. For recognition it is the "
        "folder of annotations, for several labels the file or folder of them.",
    )
    predictions: Path | None = Field(
        default=None, description="File of a specialist's predictions, whose best actions recognition compares."
    )
    columns: Columns = Field(default_factory=Columns, description="Which columns, or keys, hold what.")
    answers: AnswerForm = Field(
        default="auto", description="How the answer is told; auto is by letter, index from 0 or the option's text."
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
    expected: Mapping[str, int] = Field(
        default_factory=dict, description="Number of rows, questions or videos that there have to be, by these names."
    )
    source: Source = Field(
        default_factory=Source, description="Where the questions are from, their licence and official metric."
    )


def known_protocols() -> dict[str, Path]:
    """Those that come along, ours and those of plug-ins, by name."""
    homes = with_plugins("BENCHMARKS", OWN).values()
    return {path.stem: path for home in homes for path in sorted(Path(home).glob("*.yaml"))}


def load_protocol(path: Path) -> Protocol:
    """Read a protocol; a key ``like`` names one that comes along, whose values stand where the file has none.

    Raises:
        InputError: the file is no such description, or no protocol is called as ``like`` says.
    """
    values = _mapping(path)
    if (like := values.pop("like", None)) is not None:
        known = known_protocols()
        if str(like) not in known:
            raise InputError(f"no benchmark is called '{like}'", file=path, hint=suggestion(str(like), known))
        values = _over({"name": str(like), **_mapping(known[str(like)])}, values)
    return Protocol.from_mapping({"name": path.stem, **values}, file=path)


def _mapping(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise InputError("expected the description of a benchmark (name, file, columns, ...)", file=path)
    return values


def _over(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of another mapping in place of its own, blocks key by key."""
    merged = dict(base)
    for name, value in values.items():
        old = merged.get(name)
        merged[name] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
