"""Seeded damage to files: bytes flipped, cut and spliced; values of JSON and YAML swapped for awkward ones."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import yaml

Random = np.random.Generator

AWKWARD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 10**400, -0.5, 1e308, float("nan"), float("inf"), float("-inf"),
    "", " ", "\0", "\ud800", "a\udfffb", "\x1b[31m", "\u202e", "nan", "1e999", "-1", "x" * 5000, "9" * 4999,
    "../..", "/",
    [], {}, [None], [[]], {"": None}, {"a": {"b": {}}}, [1, "a", None], list(range(300)),
)  # fmt: skip
"""What takes the place of a value."""

SPLICES: tuple[bytes, ...] = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\\ud800", b'"', b"'", b",", b";", b"\t", b"\r", b"\n\n", b"{", b"}", b"[",
    b"]", b":", b"NaN", b"Infinity", b"1e999", b"-", b"\x1b[2J", b"&a [*a]", b"*a", b"!!python/object:os.system {}",
    b"<<: ",
    b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"\xed\xa0\x80", b"\x00\x00\x00\x80", b"\xff\xff\xff\xff", b"2001-99-99",
    b'"' * 7, b"a" * 140_000, b"sep=;\n", b"!!timestamp ", b"? [1]\n: 2\n", b"%YAML 9.9\n", b"0x", b"1:99:1",
)  # fmt: skip
"""What is put between bytes."""


def damaged_bytes(raw: bytes, rng: Random) -> bytes:
    """``raw`` with one to four faults."""
    data = bytearray(raw)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(0, len(data) + 1))
        kind = int(rng.integers(0, 7))
        length = int(rng.integers(1, 64))
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1 and data:
            data[place % len(data)] = int(rng.integers(0, 256))
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            del data[place : place + length]
        elif kind == 4:
            source = int(rng.integers(0, len(data) + 1))
            data[place:place] = data[source : source + length]
        elif kind == 5:
            data[place:place] = SPLICES[int(rng.integers(0, len(SPLICES)))]
        else:
            data[place : place + 4] = struct.pack("<I", int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 20])))
    return bytes(data)


def damaged_value(value: Any, rng: Random) -> Any:
    """``value`` with one of its parts, at any depth, taken out, renamed, repeated or swapped for an awkward one."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        return _damaged_mapping(value, rng) if isinstance(value, dict) else _damaged_list(value, rng)
    if rng.random() < 0.05:
        nested: Any = value if isinstance(value, str) else 0
        for _ in range(int(rng.choice([30, 70, 900]))):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        return nested
    return AWKWARD[int(rng.integers(0, len(AWKWARD)))]


def _damaged_mapping(value: dict[str, Any], rng: Random) -> dict[str, Any]:
    key = list(value)[int(rng.integers(0, len(value)))]
    kind = int(rng.integers(0, 8))
    if kind == 0:
        return {name: inner for name, inner in value.items() if name != key}
    if kind == 1:
        return {(f"{key}_" if name == key else name): inner for name, inner in value.items()}
    if kind == 2:
        return {**value, str(AWKWARD[int(rng.integers(0, len(AWKWARD)))])[:4000]: value[key]}
    return {**value, key: damaged_value(value[key], rng)}


def _damaged_list(value: list[Any], rng: Random) -> list[Any]:
    place = int(rng.integers(0, len(value)))
    kind = int(rng.integers(0, 6))
    if kind == 0:
        return value[:place] + value[place + 1 :]
    if kind == 1:
        return [*value, value[place]]
    return [*value[:place], damaged_value(value[place], rng), *value[place + 1 :]]


def damaged_text(raw: bytes, suffix: str, rng: Random) -> bytes:
    """A JSON, JSON Lines or YAML file with a damaged value; other files, and every second one, with damaged bytes."""
    if suffix not in (".json", ".jsonl", ".yaml") or rng.random() < 0.5:
        return damaged_bytes(raw, rng)
    if suffix == ".yaml":
        try:
            return yaml.safe_dump(damaged_value(yaml.safe_load(raw), rng), allow_unicode=False).encode()
        except (yaml.YAMLError, UnicodeError, RecursionError, ValueError):
            return damaged_bytes(raw, rng)
    try:
        if suffix == ".json":
            return json.dumps(damaged_value(json.loads(raw), rng)).encode()
        lines = raw.splitlines()
        place = int(rng.integers(0, len(lines)))
        lines[place] = json.dumps(damaged_value(json.loads(lines[place]), rng)).encode()
        return b"\n".join(lines) + b"\n"
    except (RecursionError, ValueError):
        return damaged_bytes(raw, rng)
