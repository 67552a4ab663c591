"""What a file or folder is known by: its content, not its name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, TypedDict

from llavaction.base.records import file_sha256

PART, PARTS = 1 << 16, 16
"""Bytes of a part and number of parts that :func:`file_facts` reads of a large file."""

FILES = 64
"""Files of a folder that :func:`folder_facts` looks into."""


class FileFacts(TypedDict):
    """What a large file is known by.

    ``bytes`` is its size, ``modified`` its time of modification in nanoseconds, ``sha256_of_parts`` the digest of its
    size and of parts spread evenly over it, the first and the last bytes among them.
    """

    bytes: int
    modified: int
    sha256_of_parts: str


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and whole contents of files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(f"{path.name}:{file_sha256(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def joined_sources(sources: Mapping[str, str], paths: Iterable[Path]) -> dict[str, str]:
    """Digests of files by their names, so that none hides another of its name.

    Args:
        sources: name to sha256 of those that are there already.
        paths: those to add. The second of a name is called "NAME (2)" and so on, in the order of their digests; where
            they lie and in which order they are given changes nothing.
    """
    contents = dict(sources)
    for name, content in sorted((path.name, file_sha256(path)) for path in paths):
        free = (f"{name} ({number})" if number > 1 else name for number in count(1))
        contents[next(key for key in free if key not in contents)] = content
    return contents


def file_facts(path: Path) -> FileFacts:
    """Facts of one file; a file of up to 1 MiB is read whole."""
    status = path.stat()
    digest = hashlib.sha256(f"{status.st_size}:".encode())
    with path.open("rb") as stream:
        if status.st_size <= PART * PARTS:
            digest.update(stream.read())
        else:
            for number in range(PARTS):
                stream.seek((status.st_size - PART) * number // (PARTS - 1))
                digest.update(stream.read(PART))
    return {"bytes": status.st_size, "modified": status.st_mtime_ns, "sha256_of_parts": digest.hexdigest()}


def folder_facts(folder: Path) -> FileFacts:
    """Facts of a folder as of one file: sizes added up, the latest modification, a digest over names and sizes of all
    files and the contents of :data:`FILES` of them, evenly spread.
    """
    digest, size, modified = hashlib.sha256(), 0, 0
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    opened = {round(number * (len(paths) - 1) / (FILES - 1)) for number in range(FILES)}
    for number, path in enumerate(paths):
        status = path.stat()
        digest.update(f"{path.relative_to(folder)}:{status.st_size}\n".encode(errors="surrogateescape"))
        if number in opened:
            digest.update(file_facts(path)["sha256_of_parts"].encode())
        size, modified = size + status.st_size, max(modified, status.st_mtime_ns)
    return {"bytes": size, "modified": modified, "sha256_of_parts": digest.hexdigest()}


def with_setting(facts: FileFacts, setting: str) -> FileFacts:
    """Facts of a file that is read under a setting."""
    digest = hashlib.sha256(f"{facts['sha256_of_parts']} {setting}".encode()).hexdigest()
    return {**facts, "sha256_of_parts": digest}


def path_facts(path: Path) -> FileFacts:
    """Facts of a file or a folder."""
    return folder_facts(path) if path.is_dir() else file_facts(path)


def same_content(old: Any, new: Any) -> bool:
    """Whether two facts, as read from JSON, are of equal content; the time of modification alone does not count."""
    return all(old.get(key) == new.get(key) for key in ("bytes", "sha256_of_parts"))
