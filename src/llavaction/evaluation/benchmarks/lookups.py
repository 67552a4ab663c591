"""Columns that are looked up: folders by task, answers by id, in the YAML file or in a JSON file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.evaluation.benchmarks.nesting import cell, text
from llavaction.evaluation.benchmarks.protocol import Lookup, Protocol


class Lookups:
    """The columns of a protocol that are looked up.

    Args:
        protocol: with its files where they lie.

    Attributes:
        files: those that were read.

    Raises:
        InputError: a file is missing, or is no mapping to plain values.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._lookups = protocol.lookup
        self.files: list[Path] = []
        self._values = {name: self._read(entry) for name, entry in protocol.lookup.items()}
        self._used: dict[str, set[str]] = {name: set() for name in protocol.lookup}

    def added(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Cells with those that are looked up; nothing is found where the column that they go by is empty."""
        found = dict(cells)
        for name, entry in self._lookups.items():
            key = text(cell(found, entry.by))
            value = self._values[name].get(key)
            if value is None and name in found:
                continue
            self._used[name].add(key)
            found[name] = None if text(value) in entry.empty else value
        return found

    @property
    def notes(self) -> list[str]:
        """How many entries of a file belong to no row."""
        counts = {
            (entry.file.name, name): len(self._values[name].keys() - self._used[name])
            for name, entry in self._lookups.items()
            if entry.file is not None
        }
        return [
            f"{count} entries of {file} ({name}) belong to no row" for (file, name), count in counts.items() if count
        ]

    def _read(self, entry: Lookup) -> dict[str, Any]:
        if entry.file is None:
            return dict(entry.values)
        values = read_json(entry.file)
        if not isinstance(values, dict) or any(isinstance(value, dict | list) for value in values.values()):
            raise InputError('expected a mapping to plain values, such as {"video": 3}', file=entry.file)
        self.files.append(entry.file)
        return {**entry.values, **values}
