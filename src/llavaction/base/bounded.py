"""Files of others are read within bounds: nothing is expanded before it is known how large it will be.

A few bytes of YAML, JSON or zip can stand for gigabytes. Every reader of the package goes through these functions; what
is larger, deeper or longer than any honest file is refused, and whatever a library raises on a damaged file comes out
as an :class:`InputError` with file and line.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from llavaction.base.errors import InputError

MOST_BYTES = 64 << 20
"""Of a JSON file that is held in memory as a whole."""
MOST_VALUES = 3_000_000
"""Values in one JSON document that is held in memory as a whole (some 100 bytes each)."""
DEEPEST = 64
"""Levels of lists and mappings in JSON and YAML."""
MOST_YAML = 256 << 10
"""Bytes of a YAML file; the parser is slow."""
MOST_NODES = 50_000
"""Values in a YAML file, counted as often as aliases repeat them."""
LONGEST_NUMBER = 1000
"""Characters of a whole number in YAML; those of more than 4,300 digits cannot even be printed."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; the library would take the last value of a key that stands twice."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key {twice!a:.80} stands twice in an object")
    return mapping


JSON = json.JSONDecoder(object_pairs_hook=_each_key_once)
"""Reads JSON; raises ValueError where a key stands twice in an object."""


def read_bytes(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: there is no such file, it cannot be read, or it has more than ``most`` bytes.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            facts = os.fstat(stream.fileno())
            # read takes memory for all that it is asked for
            raw = stream.read((min(facts.st_size, most) if stat.S_ISREG(facts.st_mode) else most) + 1)
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=path) from None
    if len(raw) > most:
        raise InputError(f"is larger than {most / 2**20:,.0f} MiB, which no file of this kind should be", file=path)
    return raw


def read_text(path: str | Path, most: int = MOST_BYTES) -> str:
    """The text of a UTF-8 file, with or without byte-order mark.

    Raises:
        InputError: see :func:`read_bytes`; or it is not UTF-8 (names the line).
    """
    return decoded(read_bytes(path, most), file=path)


def decoded(raw: bytes, *, file: str | Path | None = None, line: int | None = None) -> str:
    """``raw`` as UTF-8.

    Raises:
        InputError: it is something else.
    """
    try:
        return raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        place = line or raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"is not UTF-8 text ({error.reason})", file=file, line=place) from None


def parse_json(raw: bytes | str, *, file: str | Path | None = None, line: int | None = None) -> Any:
    """The value of a JSON document.

    Args:
        raw: UTF-8 bytes, or the text.
        file, line: where it stands, for the message; without ``line`` the document's own line is named.

    Raises:
        InputError: it is no JSON, holds a key twice in one object, has more than ``MOST_VALUES`` values or ``DEEPEST``
            levels, or holds a text that cannot be written as UTF-8 (half a surrogate pair).
    """
    text = decoded(raw, file=file, line=line) if isinstance(raw, bytes) else raw
    if len(text) > MOST_VALUES and sum(map(text.count, ",[{")) > MOST_VALUES:
        raise InputError(f"has more than {MOST_VALUES:,} values", file=file, line=line)
    try:
        value = JSON.decode(text)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error.msg})", file=file, line=line or error.lineno) from None
    except RecursionError:
        raise InputError(f"is nested deeper than {DEEPEST} levels", file=file, line=line) from None
    except ValueError as error:  # a key that stands twice, a number of thousands of digits
        raise InputError(f"not JSON ({error})", file=file, line=line) from None
    check_value(value, text, file=file, line=line)
    return value


def check_value(value: Any, text: str, *, file: str | Path | None, line: int | None) -> None:
    """Refuse a parsed value that later steps cannot handle.

    Args:
        value: made of mappings, lists and plain values.
        text: what it was parsed from.
        file, line: where it stands, for the message.

    Raises:
        InputError: it is nested too deeply, or one of its texts holds half a surrogate pair.
    """
    if text.count("[") + text.count("{") > DEEPEST:
        level = [value]
        for _ in range(DEEPEST):
            level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if level:
            raise InputError(f"is nested deeper than {DEEPEST} levels", file=file, line=line)
    if _SURROGATE.search(text):
        level = [value]
        while level:
            for item in level:
                for string in [item] if isinstance(item, str) else item if isinstance(item, dict) else ():
                    if isinstance(string, str) and not _is_text(string):
                        raise InputError(
                            f"holds half a surrogate pair ({string!a:.60}), which is no character",
                            file=file,
                            line=line,
                        )
            level = [inner for outer in level for inner in _inside(outer)]


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_yaml(path: str | Path) -> Any:
    """The value of a YAML file.

    Raises:
        InputError: see :func:`read_text` and :func:`parse_yaml`.
    """
    return parse_yaml(read_text(path, MOST_YAML), file=path)


def parse_yaml(text: str, *, file: str | Path | None = None) -> Any:
    """The value of a YAML document.

    Raises:
        InputError: it is no YAML or holds a key twice (names the line), or has more than ``MOST_NODES`` values, aliases
            counted as often as they repeat one, or ``DEEPEST`` levels, or half a surrogate pair.
    """
    try:
        value = yaml.load(text, _BoundedLoader)  # a SafeLoader
        if "\\" in text:
            check_value(value, text, file=file, line=None)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        line = None if mark is None else mark.line + 1
        raise InputError(f"not readable as YAML ({problem})", file=file, line=line) from None
    except (ValueError, OverflowError, TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        # dates and numbers that are none, tags on the wrong kind of value: the library's constructors check little
        raise InputError(f"not readable as YAML ({str(error) or type(error).__name__:.200})", file=file) from None
    return value


class _BoundedLoader(yaml.SafeLoader):
    """The safe loader with bounded depth and size, in which a key may stand once."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth, self._nodes, self._sizes = 0, 0, dict[int, int]()

    def compose_node(self, parent: Any, index: Any) -> Any:
        before, alias = self._nodes, self.check_event(yaml.AliasEvent)
        mark = self.peek_event().start_mark
        self._depth += 1
        self._nodes += 1
        if self._depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {DEEPEST} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":int") and len(node.value) > LONGEST_NUMBER:
            raise yaml.composer.ComposerError(None, None, f"a number of {len(node.value):,} characters", mark)
        if alias:
            if id(node) not in self._sizes:
                raise yaml.composer.ComposerError(None, None, "an alias within what it stands for", mark)
            self._nodes += self._sizes[id(node)]
        self._sizes[id(node)] = self._nodes - before
        if self._nodes > MOST_NODES:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_NODES:,} values", mark)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in keys:
                    raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' twice", key.start_mark)
                keys.add((key.tag, key.value))
        return super().construct_mapping(node, deep)
