"""Packets that are gone from a file and leave nothing but a gap between those around them.

MP4 lists its samples, so that one that is gone is missed. Other containers do not: behind a hole the next packet
follows, and the stretch looks like one in which nothing moved. Here such gaps are told from pauses that were meant: by
bytes that no packet accounts for, by packets marked as damaged, and by their length where frames come evenly otherwise.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

GAP = 1.5
"""Periods between two frames from which on there is a gap."""

EVEN = 0.95
"""Part of the frames that are one period apart in a stream whose frames come evenly."""

PAUSE_PERIODS, PAUSE_SECONDS = 5, 1.0
"""A gap of as many periods and seconds among frames that come evenly is a hole without any further sign."""

NEAR = 8
"""Packets between a sign of damage and the gap it explains: frames are coded out of order."""

SLACK = 32
"""Bytes between packets that need no explanation; containers have headers, tables and padding."""

USUAL = 99
"""Percentile of the bytes between packets that counts as usual."""

USUAL_MOVES = 95
"""Percentile of the places between decoding and showing a frame that counts as usual."""

EXACT = {"matroska", "flv"}
"""Containers in which next to nothing lies between packets: a gap without a sign is a pause, or was there before the
packets were put in."""

PERIODIC = {"mpegts", "mpeg"}
"""Containers whose tables and padding come by time, not by packet."""

CONSTANT_RATE = {"ogg", "avi", "mpeg", "mpeg1video", "mpeg2video", "theora"}
"""Containers and codecs that count frames instead of timing them: each gap is a hole."""

FEW = 0.05
"""Part of the packets that may be without a time of their own while the others are believed."""


@dataclass
class Ledger:
    """What the packets of a stream say of themselves, in decoding order, and the bytes of the file between them.

    Attributes:
        pts: presentation timestamps.
        dts: decoding timestamps.
        sizes: bytes of each packet.
        positions: where each lies in the file, -1 where that is unknown.
        is_marked: whether the container holds the packet for damaged.
        unaccounted: bytes before each packet that belong to no packet of any stream.
        empty: timestamps of packets without content, which repeat a frame.
        others: bytes of other streams' packets since the last one.
    """

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    is_marked: list[bool] = field(default_factory=list)
    unaccounted: list[int] = field(default_factory=list)
    empty: list[int | None] = field(default_factory=list)
    others: int = 0

    def note(self, packet: Packet) -> None:
        """Note the next packet of the stream."""
        position = -1 if packet.pos is None else int(packet.pos)
        comparable = self.positions and position >= 0 and self.positions[-1] >= 0
        self.unaccounted.append(position - self.positions[-1] - self.sizes[-1] - self.others if comparable else 0)
        self.others = 0
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        self.sizes.append(packet.size)
        self.positions.append(position)
        self.is_marked.append(packet.is_corrupt)

    def clock(self, *, by_decoding: bool) -> Clock:
        """When packets are shown, parts joined end to end taken one after another.

        Args:
            by_decoding: take decoding times, which are those of other packets then, but all there are.
        """
        stamps = self.dts if by_decoding else self.pts
        doubtful = np.asarray([tick is None for tick in stamps])
        ticks = np.asarray([0 if tick is None else tick for tick in stamps], dtype=np.int64)
        timed = np.asarray([tick is not None for tick in self.dts])
        decoding = np.asarray([tick for tick in self.dts if tick is not None], dtype=np.int64)
        starts = np.zeros(0, dtype=np.int64)
        if np.any(np.diff(decoding) < 0):
            outside = _out_of_line(decoding)
            if np.mean(outside) <= FEW:
                doubtful[np.flatnonzero(timed)[outside]] = True
            else:
                starts = np.flatnonzero(timed)[1:][np.diff(decoding) < 0]
        usable = ~doubtful
        ticks = _unrolled(ticks, usable, starts)
        numbers = np.flatnonzero(usable)
        if len(numbers):
            usable[numbers[_strays(ticks[numbers])]] = False
        doubtful = ~usable
        place = np.unique(ticks, return_inverse=True)[1]
        doubtful |= np.bincount(place, weights=usable)[place] > 1
        if doubtful.any() and not doubtful.all():
            exact = np.flatnonzero(~doubtful)
            ticks = np.where(doubtful, np.interp(np.arange(len(ticks)), exact, ticks[exact]).astype(np.int64), ticks)
        return Clock(ticks, doubtful, len(starts) + 1)

    def overlapped(self) -> set[int]:
        """Packets within which the next one begins: bytes of theirs are gone."""
        positions, ends = np.asarray(self.positions), np.asarray(self.positions) + np.asarray(self.sizes)
        overlaps = np.flatnonzero((positions[1:] < ends[:-1]) & (positions[1:] >= 0) & (positions[:-1] >= 0))
        return set(overlaps.tolist()) if len(overlaps) <= FEW * len(positions) else set()

    def decoding_times(self, clock: Clock) -> NDArray[np.int64]:
        """Decoding timestamps, with presentation timestamps where there are none."""
        pairs = zip(self.dts, clock.ticks.tolist(), strict=True)
        return np.asarray([shown if tick is None else tick for tick, shown in pairs], dtype=np.int64)


@dataclass(frozen=True)
class Clock:
    """When the packets of a stream are shown.

    Attributes:
        ticks: int64 [packets]; a guess where it is doubtful.
        doubtful: bool [packets], whether the packet has no time, or none that can be right.
        parts: how many parts with clocks of their own were joined.
    """

    ticks: NDArray[np.int64]
    doubtful: NDArray[np.bool_]
    parts: int

    def by_rank(self, count: int) -> NDArray[np.float64] | None:
        """Times of ``count`` frames in order of display, where as many packets have rising times."""
        numbers = np.arange(len(self.ticks))
        if count != len(numbers) or self.doubtful.mean() > FEW * 2:
            return None
        ticks = np.interp(numbers, numbers[~self.doubtful], self.ticks[~self.doubtful])
        return ticks if np.all(np.diff(ticks) > 0) else None

    def of_packets(self, packets: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Times of frames in order of display, given the packet of each, less than 0 for one that is lost."""
        rows = np.arange(len(packets))
        certain = (packets >= 0) & ~self.doubtful[packets]
        if np.mean(certain) < 1 / 2:
            return None
        ticks = np.interp(rows, rows[certain], self.ticks[packets[certain]])
        return np.maximum.accumulate(ticks)


@dataclass(frozen=True)
class Holes:
    """What is missing from a stream.

    Attributes:
        lost: int64, timestamps at which frames would have begun of which there is no packet, rising; only the first of
            a hole that is longer than the rest of the video.
        behind: numbers of the packets that follow a hole for which there are signs: they refer to what is gone.
        broken: numbers of the packets that a hole begins in.
    """

    lost: NDArray[np.int64]
    behind: frozenset[int]
    broken: frozenset[int]


NO_HOLES = Holes(np.zeros(0, dtype=np.int64), frozenset(), frozenset())


def find_holes(
    ledger: Ledger,
    clock: Clock,
    is_shown: NDArray[np.bool_],
    formats: set[str],
    tick: float,
    *,
    is_short: bool = False,
) -> Holes:
    """Gaps in a stream's clock that are no pauses.

    Args:
        ledger: the packets.
        clock: when each is shown.
        is_shown: bool [packets], which hold a frame.
        formats: FFmpeg's names of the container and the codec.
        tick: seconds.
        is_short: whether the file is shorter than it says of itself.
    """
    usable = is_shown & ~clock.doubtful
    numbers = np.flatnonzero(usable)
    numbers = numbers[np.argsort(clock.ticks[numbers], kind="stable")]
    shown = clock.ticks[numbers]
    if len(shown) < 3:
        return NO_HOLES
    steps = np.diff(shown)
    period = _period(steps)
    gaps = np.flatnonzero(steps > GAP * period)
    broken = ledger.overlapped()
    if not len(gaps) and not broken:
        return NO_HOLES
    is_even = float(np.mean(np.abs(steps - period) <= max(1.0, 0.02 * period))) >= EVEN
    bytes_missing = _bytes_missing(ledger, clock.ticks, usable, formats, period)
    signs = bytes_missing | np.asarray(ledger.is_marked)
    signs[sorted(broken)] = True
    empty = np.unique(np.asarray([at for at in ledger.empty if at is not None], dtype=np.int64))
    lost = [NO_HOLES.lost]
    behind: set[int] = set()
    for gap in gaps.tolist():
        if not is_even and not _stands_out(steps, gap):
            continue
        first, last = sorted((int(numbers[gap]), int(numbers[gap + 1])))
        nearby = slice(max(first - NEAR, 0), last + NEAR + 1)
        has_sign = bool(signs[nearby].any()) or (is_even and (is_short or bool(formats & CONSTANT_RATE)))
        is_long = is_even and steps[gap] >= PAUSE_PERIODS * period and steps[gap] * tick >= PAUSE_SECONDS
        if not has_sign and not is_long and not clock.doubtful[nearby].any():
            continue
        missing = _between(int(shown[gap]), int(shown[gap + 1]), period, len(shown))
        missing = missing[~_near(missing, empty, period)]
        if not len(missing):
            continue
        lost.append(missing)
        cuts = set((np.flatnonzero(bytes_missing[nearby]) + nearby.start).tolist())
        later = np.flatnonzero(usable & (clock.ticks >= shown[gap + 1]))
        if len(later) and (has_sign or (is_long and not formats & EXACT)):
            cuts.add(int(later[0]))
        behind |= cuts
        broken |= {number - 1 for number in cuts if number > 0 and has_sign}
    return Holes(np.concatenate(lost), frozenset(behind), frozenset(broken))


def _period(steps: NDArray[np.int64]) -> float:
    usual = float(np.median(steps))
    return float(np.mean(steps[np.abs(steps - usual) <= max(1.0, usual / 2)]))


def _stands_out(steps: NDArray[np.int64], gap: int) -> bool:
    """Whether a step is a gap by those before it and by those behind it, where the rate changes."""
    sides = steps[max(gap - NEAR, 0) : gap], steps[gap + 1 : gap + 1 + NEAR]
    return all(steps[gap] > GAP * float(np.percentile(side, 25)) for side in sides if len(side))


def _between(before: int, after: int, period: float, most: int) -> NDArray[np.int64]:
    count = max(round((after - before) / period) - 1, 1)
    if count > most:
        return np.asarray([before + max(round(period), 1)], dtype=np.int64)
    return np.rint(np.linspace(before, after, count + 2)[1:-1]).astype(np.int64)


def _near(ticks: NDArray[np.int64], others: NDArray[np.int64], period: float) -> NDArray[np.bool_]:
    if not len(others):
        return np.zeros(len(ticks), dtype=bool)
    place = np.clip(np.searchsorted(others, ticks), 1, len(others) - 1) if len(others) > 1 else np.zeros_like(ticks)
    distance = np.minimum(np.abs(others[place] - ticks), np.abs(others[np.maximum(place - 1, 0)] - ticks))
    return np.asarray(distance < period / 2)


def _bytes_missing(
    ledger: Ledger, clock: NDArray[np.int64], usable: NDArray[np.bool_], formats: set[str], period: float
) -> NDArray[np.bool_]:
    """Before which packets more bytes belong to none than is usual in this file."""
    unaccounted = np.asarray(ledger.unaccounted, dtype=np.float64)
    if formats & PERIODIC:
        reached = np.maximum.accumulate(np.where(usable, clock, np.min(clock[usable])))
        unaccounted = unaccounted / np.maximum(np.diff(reached, prepend=reached[:1]) / period, 1.0)
    return np.asarray(unaccounted > GAP * max(float(np.percentile(unaccounted, USUAL)), 0.0) + SLACK)


def _out_of_line(ticks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of a rising sequence's numbers are not in it: all but the longest part that rises."""
    ends: list[int] = []
    last: list[int] = []
    before = np.full(len(ticks), -1, dtype=np.int64)
    for number, tick in enumerate(ticks.tolist()):
        place = bisect_right(ends, tick)
        ends[place : place + 1] = [tick]
        last[place : place + 1] = [number]
        before[number] = last[place - 1] if place else -1
    outside = np.ones(len(ticks), dtype=bool)
    at = last[-1] if last else -1
    while at >= 0:
        outside[at] = False
        at = int(before[at])
    return outside


def _strays(ticks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which times, in decoding order, are further from their place among all than frames are reordered here."""
    places = np.empty(len(ticks), dtype=np.int64)
    places[np.argsort(ticks, kind="stable")] = np.arange(len(ticks))
    moved = np.abs(places - np.arange(len(ticks)))
    return moved > 2 * max(float(np.percentile(moved, USUAL_MOVES)), 1.0) + 2


def _unrolled(ticks: NDArray[np.int64], usable: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The clock of parts joined end to end, each of which begins its own, as one that goes on.

    Args:
        ticks: int64 [packets], presentation times.
        usable: bool [packets], which have one.
        starts: numbers of the packets at which a part begins but for the first.
    """
    result, end = ticks.copy(), None
    for part in np.split(np.arange(len(ticks)), starts):
        run = np.sort(ticks[part[usable[part]]])
        if not len(run):
            continue
        if end is not None:
            result[part] += end - int(run[0])
        end = int(run[-1] + result[part[0]] - ticks[part[0]]) + (round(_period(np.diff(run))) if len(run) > 1 else 1)
    return result
