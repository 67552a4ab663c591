"""Records on disk: JSON Lines whose every line is validated when written and when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from llavaction.base.errors import InputError
from llavaction.base.files import write_lines
from llavaction.base.registry import suggestion


class Strict(BaseModel):
    """Base of records and configurations: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_mapping(
        cls, values: Mapping[str, Any], *, file: str | Path | None = None, line: int | None = None
    ) -> Self:
        """Validate ``values``.

        Raises:
            InputError: names the file, the line and the field; suggests the nearest key for an unknown one.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(f"not a valid {cls.__name__}: {_explain(error, cls)}", file=file, line=line) from None


class Record(Strict):
    """A line of a JSON Lines file. ``schema_version`` rises when a reader of the old form would misread the new."""

    schema_version: int = 1


AnyRecord = TypeVar("AnyRecord", bound=Record)


def _explain(error: ValidationError, cls: type[BaseModel]) -> str:
    sentences = []
    found = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")  # a typo explains the rest
    for item in found[:5]:
        field = ".".join(str(step) for step in item["loc"])
        message = item["msg"]
        if item["type"] == "extra_forbidden":
            message = "unknown key; " + suggestion(str(item["loc"][-1]), cls.model_fields)
        elif item["type"] != "missing":
            message += f" (found {item['input']!r:.80})"
        sentences.append(f"{field}: {message}" if field else message)
    return "; ".join(sentences)


def write_records(path: str | Path, records: Iterable[Record]) -> int:
    """Write JSON Lines record by record and return the count; the old file stays until the new one is complete.

    Raises:
        InputError: the file cannot be written.
    """
    return write_lines(path, map(to_line, records))


def to_line(record: Record) -> str:
    """One line of JSON with its line break; field order is the class's, so equal records give equal bytes."""
    return json.dumps(record.model_dump(mode="json"), ensure_ascii=False, separators=(", ", ": ")) + "\n"


def read_records(path: str | Path, cls: type[AnyRecord], *, journal: bool = False) -> Iterator[AnyRecord]:
    """Read a JSON Lines file, one validated record at a time.

    Args:
        path: the file.
        cls: the record class of every line.
        journal: the file is appended to by a run that may have been killed: a last line without its line break is
            ignored instead of refused.

    Raises:
        InputError: the file is missing, or a line is not such a record (names file and line).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file (expected JSON Lines of {cls.__name__})", file=path)
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if journal and not raw.endswith(b"\n"):
                return
            if not raw.strip():
                continue
            try:
                values = json.loads(raw)
            except ValueError as error:
                raise InputError(
                    f"not JSON ({error}); expected one {cls.__name__} a line", file=path, line=number
                ) from None
            yield cls.from_mapping(values, file=path, line=number)


def read_json(path: str | Path) -> Any:
    """Parse a JSON file.

    Raises:
        InputError: the file is missing or is not JSON (names the line).
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text ({error})", file=path) from None
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error.msg})", file=path, line=error.lineno) from None


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_lines(path, [text])


def file_sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
