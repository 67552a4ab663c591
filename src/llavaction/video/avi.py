"""The list of packets at the end of an AVI file, which tells where packets are gone.

AVI stores no times: a packet's time is its number, and behind a hole every number is too low. The list ("idx1") names
each packet's stream, place and size; it is read here by itself, as FFmpeg does not find it once bytes are gone.
"""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LARGEST_LIST = 1 << 26
"""Bytes at the end of a file in which its list is looked for; an hour of video and sound takes 4 MB."""

KEYFRAME = 16

ALIKE = 3
"""Packets in a row whose sizes are the listed ones, by which the place behind a hole is known."""


def listed_numbers(
    path: str | Path, stream_index: int, expected: int, positions: list[int], sizes: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
    """Numbers in the list of the packets that were read, and which are listed as keyframes; None where none is gone.

    A packet that is not in the list has number -1. Keyframes are marked by their place in the file when it is read, and
    behind a hole the marks are not theirs.

    Args:
        path: the file.
        stream_index: which of its streams.
        expected: packets the header announces.
        positions: int [packets], where they were found.
        sizes: int [packets], bytes of each.
    """
    listed = _read_list(Path(path), stream_index)
    if listed is None or not len(sizes) or len(listed) != expected:
        return None
    filled = np.flatnonzero(listed[:, 1] > 0)
    if len(sizes) == len(filled) and bool(np.all(listed[filled, 1] == sizes)):
        return None
    shift = positions[0] - int(listed[filled[0], 0])
    number_at = {int(listed[number, 0]) + shift: number for number in filled.tolist()}
    runs: dict[tuple[int, ...], list[int]] = {}
    lengths = listed[filled, 1].tolist()
    for at in range(len(lengths) - ALIKE + 1):
        runs.setdefault(tuple(lengths[at : at + ALIKE]), []).append(at)
    numbers, following = np.full(len(sizes), -1, dtype=np.int64), 0
    for packet, (position, size) in enumerate(zip(positions, sizes, strict=True)):
        number = number_at.get(position)
        if number is not None and listed[number, 1] == size and number >= following:
            at = int(np.searchsorted(filled, number))
        elif following < len(filled) and lengths[following] == size and packet > 0 and numbers[packet - 1] >= 0:
            at = following
        else:
            places = runs.get(tuple(sizes[packet : packet + ALIKE]), [])
            place = bisect_left(places, following)
            if place == len(places):
                continue
            at = places[place]
        numbers[packet], following = filled[at], at + 1
    return numbers, (numbers >= 0) & (listed[numbers, 2] & KEYFRAME > 0)


def _read_list(path: Path, stream_index: int) -> NDArray[np.int64] | None:
    """(place, size, flags) of each packet of a stream; None where there is no list."""
    with path.open("rb") as stream:
        end = stream.seek(0, 2)
        stream.seek(max(end - LARGEST_LIST, 0))
        tail = stream.read(LARGEST_LIST)
    at = tail.rfind(b"idx1")
    if at < 0:
        return None
    length = min(int.from_bytes(tail[at + 4 : at + 8], "little"), len(tail) - at - 8) // 16 * 16
    rows = np.frombuffer(tail, dtype="<u4", offset=at + 8, count=length // 4).reshape(-1, 4)
    digits = int.from_bytes(b"%02d" % stream_index, "little")
    entries = rows[(rows[:, 0] & 0xFFFF) == digits]
    entries = entries[(entries[:, 0] >> 16) != int.from_bytes(b"pc", "little")]  # changes of the palette
    return entries[:, [2, 3, 1]].astype(np.int64)
