"""Where the files of a suite's benchmarks lie, and which are missing."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.records import write_text
from llavaction.evaluation.suites.config import Entry

OWN = ("benchmark.yaml", "{name}.yaml")
"""Descriptions of the user's own in a benchmark's folder, which are taken as they are."""
QUESTIONS = "questions.jsonl"
"""The file by which a benchmark folder is known."""


@dataclass(frozen=True)
class Ready:
    """A benchmark whose files are there.

    Attributes:
        source: its folder, or its description.
        videos: folder of the videos; None where the description tells, or there is none.
    """

    source: Path
    videos: Path | None


@dataclass(frozen=True)
class Missing:
    """A benchmark of which something is lacking; ``what`` says what, and where to get it."""

    what: str


def read_places(data: str | Path, names: tuple[str, ...]) -> Mapping[str, Path]:
    """The folder of each benchmark.

    Args:
        data: a folder with one folder for each benchmark, or a YAML file "NAME: FOLDER", seen from that file.
        names: the benchmarks' folders by their names.

    Raises:
        InputError: there is no such folder or file, or the file is no such mapping.
    """
    path = Path(data)
    if path.is_dir():
        return {name: path / name for name in names}
    if not path.is_file():
        raise InputError("no such folder of data", file=path, hint="a folder with one folder for each benchmark")
    values = read_yaml(path)
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise InputError("expected lines 'NAME: FOLDER'", file=path)
    if unknown := [name for name in values if name not in names]:
        raise InputError(f"'{unknown[0]}' is none of the suite's benchmarks: {', '.join(names)}", file=path)
    return {str(name): path.parent / value for name, value in values.items()}


def locate(entry: Entry, folder: Path | None, described: Path) -> Ready | Missing:
    """Find a benchmark's files, and write the description that names them.

    Args:
        entry: the benchmark.
        folder: of its data; None where no place is told.
        described: the file that the description is written to, where the folder has none of its own.
    """
    if folder is None or not folder.is_dir():
        return _missing(entry, "no place is told" if folder is None else f"no folder {folder}")
    videos = folder / entry.optional.get("videos", "videos")
    for own in (folder / name.format(name=entry.name) for name in OWN):
        if own.is_file():
            return Ready(own, None)
    made_here = entry.like is None and not entry.describe
    if made_here or (folder / QUESTIONS).is_file():
        there = (folder / QUESTIONS).is_file()
        return (
            Ready(folder, videos if videos.is_dir() else None) if there else _missing(entry, f"no {folder / QUESTIONS}")
        )
    lacking = [name for name in (*entry.files.values(), *entry.beside) if not _there(folder, name)]
    if lacking:
        return _missing(entry, f"no {', '.join(str(folder / name) for name in lacking)}")
    found = {key: name for key, name in entry.optional.items() if _there(folder, name)}
    values: dict[str, Any] = {
        **({"like": entry.like} if entry.like else {"name": entry.name}),
        **deepcopy(dict(entry.describe)),
    }
    for key, name in (*entry.files.items(), *found.items()):
        _set(values, key.split("."), str((folder / name).resolve()))
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if not described.is_file() or described.read_text(encoding="utf-8") != text:
        write_text(described, text)
    return Ready(described, None)


def _missing(entry: Entry, what: str) -> Missing:
    return Missing(f"{what}; get it: {entry.get}" if entry.get else what)


def _there(folder: Path, name: str) -> bool:
    """Whether a file or folder is there; a name with * is one where at least one file fits."""
    return any(folder.glob(name)) if "*" in name else (folder / name).exists()


def _set(values: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
    values[keys[-1]] = value
