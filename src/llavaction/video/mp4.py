"""The sample tables of MP4 and QuickTime files: every frame's timestamp, read without touching the frames.

FFmpeg's own index of such a file knows decoding times only; with B-frames these are not the times frames are shown
at. The tables are described in ISO/IEC 14496-12: ``stts`` (decoding times), ``ctts`` (presentation minus decoding
time) and ``stss`` (samples that can be decoded alone).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

LARGEST_MOOV = 1 << 28
"""Bytes of movie header that are read into memory; a day of 60 fps video needs some 60 MB."""

MOST_SAMPLES = 1 << 26
"""Samples of one track (12 days at 60 fps); a damaged count beyond it must not take the memory."""


COUNTS = {b"stsz": 12, b"stz2": 12, b"trun": 8, b"cmvd": 4}
"""Boxes that claim a number of samples (of bytes, for a compressed header), and how far behind their name it stands."""


@dataclass(frozen=True)
class SampleTable:
    """Samples of one track in decoding order, in ticks of the track.

    Attributes:
        dts: int64 [samples], decoding times from 0.
        pts: int64 [samples], presentation times on the same clock, edit lists not applied.
        is_key: bool [samples], whether decoding can begin there.
    """

    dts: NDArray[np.int64]
    pts: NDArray[np.int64]
    is_key: NDArray[np.bool_]


def read_sample_table(path: str | Path, track_id: int) -> SampleTable | None:
    """The table of the track with this id; None where the file has none or its boxes do not add up."""
    try:
        moov = _read_moov(Path(path))
        for kind, track in _boxes(moov):
            if kind == b"trak" and _track_id(track) == track_id:
                _refuse_cuts(track)
                return _table(_descend(track, b"mdia", b"minf", b"stbl"))
    except (OSError, LookupError, ValueError, struct.error):
        pass
    return None


def _read_moov(path: Path) -> memoryview:
    with path.open("rb") as stream:
        end = stream.seek(0, 2)
        for kind, begin, stop in _outer_boxes(stream, end):
            if kind == b"moof":
                raise ValueError("fragmented file: the movie header does not list the samples")
            if kind == b"moov":
                if stop > end or stop - begin > LARGEST_MOOV:
                    raise ValueError("movie header cut off")
                stream.seek(begin)
                return memoryview(stream.read(stop - begin))
    raise LookupError("no movie header")


def is_fragmented(path: str | Path) -> bool:
    """Whether a file's samples are listed piece by piece, so that a piece may be gone."""
    with Path(path).open("rb") as stream:
        return any(kind == b"moof" for kind, _, _ in _outer_boxes(stream, stream.seek(0, 2)))


def _outer_boxes(stream: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box of a file, until one does not make sense."""
    at = 0
    while at + 8 <= end:
        stream.seek(at)
        head = stream.read(16)
        size, kind = struct.unpack(">I4s", head[:8])
        begin = at + 8
        if size == 1 and len(head) == 16:
            size, begin = struct.unpack(">Q", head[8:16])[0], at + 16
        elif size == 0:
            size = end - at
        if size < begin - at:
            return
        yield kind, begin, at + size
        at += size


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            size, begin = struct.unpack_from(">Q", data, at + 8)[0], at + 16
        elif size == 0:
            size = len(data) - at
        if size < begin - at or at + size > len(data):
            raise ValueError("box does not fit into its parent")
        yield kind, data[begin : at + size]
        at += size


def _child(data: memoryview, kind: bytes) -> memoryview | None:
    return next((content for box_kind, content in _boxes(data) if box_kind == kind), None)


def _descend(data: memoryview, *kinds: bytes) -> memoryview:
    for kind in kinds:
        inner = _child(data, kind)
        if inner is None:
            raise LookupError(f"no {kind.decode()} box")
        data = inner
    return data


def _track_id(track: memoryview) -> int:
    header = _descend(track, b"tkhd")
    return int(struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0])


def _refuse_cuts(track: memoryview) -> None:
    """Leave tracks whose edit list shows several pieces to FFmpeg: which samples it drops is not in the tables."""
    edits = _child(track, b"edts")
    table = None if edits is None else _child(edits, b"elst")
    if table is None:
        return
    count, wide = struct.unpack_from(">I", table, 4)[0], table[0] == 1
    pieces = [struct.unpack_from(">Qq" if wide else ">Ii", table, 8 + n * (20 if wide else 12)) for n in range(count)]
    if sum(media_time >= 0 for _, media_time in pieces) > 1:
        raise ValueError("several pieces")


def _rows(box: memoryview, columns: int) -> NDArray[np.int64]:
    """The table of a full box: version and flags, number of rows, then ``columns`` 32-bit numbers a row."""
    count = struct.unpack_from(">I", box, 4)[0]
    values = np.frombuffer(box, dtype=">u4", offset=8, count=count * columns)
    return values.reshape(count, columns).astype(np.int64)


def _unrolled(box: memoryview) -> NDArray[np.int64]:
    """The values of a run-length table of (count, value) rows."""
    runs = _rows(box, 2)
    if not 0 < runs[:, 0].sum() <= MOST_SAMPLES:
        raise ValueError("no samples, or too many to be true")
    return np.repeat(runs[:, 1], runs[:, 0])


def _table(tables: memoryview) -> SampleTable:
    steps = _unrolled(_descend(tables, b"stts"))
    dts = np.concatenate([[0], np.cumsum(steps[:-1])])
    pts = dts
    offsets_box = _child(tables, b"ctts")
    if offsets_box is not None:
        offsets = _unrolled(offsets_box).astype(np.uint32).view(np.int32).astype(np.int64)
        if len(offsets) != len(dts):
            raise ValueError("ctts and stts disagree on the number of samples")
        pts = dts + offsets
    keys_box = _child(tables, b"stss")
    is_key = np.ones(len(dts), dtype=bool)
    if keys_box is not None:
        is_key[:] = False
        is_key[_rows(keys_box, 1)[:, 0] - 1] = True
    return SampleTable(dts, pts, is_key)


def check_claims(path: str | Path) -> None:
    """Refuse an MP4 or QuickTime file whose header claims more samples than the file has bytes.

    FFmpeg fills its index by the claim: 20 bytes that say "a thousand million samples" take 24 GB.

    Raises:
        ValueError: a track or a fragment claims so.
    """
    try:
        with Path(path).open("rb") as stream:
            end = stream.seek(0, 2)
            for kind, begin, stop in _outer_boxes(stream, end):
                if kind in {b"moov", b"moof"}:
                    stream.seek(begin)
                    _check_counts(stream.read(min(stop - begin, LARGEST_MOOV)), end)
    except OSError:
        return  # FFmpeg says it better


def _check_counts(header: bytes, most: int) -> None:
    for kind, offset in COUNTS.items():
        at = header.find(kind, 4)
        while at >= 0:
            size, limit = struct.unpack_from(">I", header, at - 4)[0], LARGEST_MOOV if kind == b"cmvd" else most
            fits = 12 <= size <= len(header) - at + 4 and at + offset + 4 <= len(header)
            if fits and struct.unpack_from(">I", header, at + offset)[0] > limit:
                raise ValueError("its header claims more samples than the file has bytes")
            at = header.find(kind, at + 4)
