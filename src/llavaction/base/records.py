"""Records on disk: JSON Lines whose every line is validated when written and when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from llavaction.base.bounded import MOST_BYTES, parse_json, read_bytes
from llavaction.base.errors import InputError
from llavaction.base.files import write_lines
from llavaction.base.registry import suggestion

LONGEST_LINE = 16 << 20
"""Bytes of a line of JSON Lines."""
MOST_BLANK = 100_000
"""Blank lines of JSON Lines one after the other."""


class Strict(BaseModel):
    """Base of records and configurations: immutable; an unknown key is an error, and so is a number that is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
    problems = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")  # a typo explains the rest
    for item in problems[:5]:
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


def to_line(record: Record, leave_out: Collection[str] = ()) -> str:
    """One line of JSON with its line break; field order is the class's, so equal records give equal bytes."""
    return (
        json.dumps(record.model_dump(mode="json", exclude=set(leave_out)), ensure_ascii=False, separators=(", ", ": "))
        + "\n"
    )


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
    for number, values in read_lines(path, cls.__name__, journal=journal):
        yield cls.from_mapping(values, file=path, line=number)


def read_lines(path: str | Path, what: str = "value", *, journal: bool = False) -> Iterator[tuple[int, Any]]:
    """The values of a JSON Lines file, each with its line.

    Args:
        path: the file.
        what: what every line is, for messages.
        journal: see :func:`read_records`.

    Raises:
        InputError: the file is missing, a line is not JSON or too long, or too many are blank (names file and line).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file (expected JSON Lines of {what})", file=path)
    with path.open("rb") as stream:
        number = blank = 0
        while raw := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                raise InputError(f"is longer than {LONGEST_LINE >> 20} MiB", file=path, line=number)
            if journal and not raw.endswith(b"\n"):
                return
            blank = 0 if raw.strip() else blank + 1
            if blank > MOST_BLANK:
                raise InputError(f"has more than {MOST_BLANK:,} blank lines", file=path, line=number)
            if not blank:
                try:
                    yield number, parse_json(raw, file=path, line=number)
                except InputError as error:
                    problem = f"{error.problem}; expected one {what} a line"
                    raise InputError(problem, file=path, line=number) from None


def read_json(path: str | Path, most: int = MOST_BYTES) -> Any:
    """Parse a JSON file.

    Args:
        path: the file.
        most: bytes it may have.

    Raises:
        InputError: the file is missing, too large or is not JSON (names the line).
    """
    return parse_json(read_bytes(path, most), file=path)


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
