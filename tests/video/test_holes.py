"""A stretch that is gone from a file is missed: frames of its time are stand-ins; pauses that were meant are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.filming import everything, film, uneven_times
from llavaction.video.decode import read_clip
from llavaction.video.probe import probe
from llavaction.video.reader import VideoReader

RATE, COUNT = 10, 200
KINDS = ["zeroed", "random", "deleted"]
BITRATE = {"b": "2000000"}

FILES: dict[str, dict[str, Any]] = {
    "a.mkv": {"options": {"bf": "2"}},
    "a.ts": {"options": {"bf": "2"}},
    "a.flv": {"options": {"bf": "2"}},
    "a.avi": {"options": {"bf": "2"}},
    "b.avi": {"codec": "msmpeg4", "options": BITRATE},
    "c.avi": {"codec": "mpeg4", "options": BITRATE | {"bf": "2"}},
    "d.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p", "options": BITRATE},
    "a.webm": {"codec": "libvpx", "options": BITRATE},
    "a.ogv": {"codec": "libvpx", "options": BITRATE},
    "a.wmv": {"codec": "wmv2", "options": BITRATE},
    "hevc.ts": {"codec": "libx265", "preset": "ultrafast", "options": {"x265-params": "log-level=none"}},
}


def holed(path: Path, kind: str, begin: float = 0.45, end: float = 0.55) -> Path:
    """Copy a file without a stretch of it."""
    data = path.read_bytes()
    first, last = int(len(data) * begin), int(len(data) * end)
    noise = np.random.default_rng(2).integers(0, 256, last - first, dtype=np.uint8).tobytes()
    filling = {"zeroed": bytes(last - first), "random": noise, "deleted": b""}[kind]
    target = path.with_name(f"{kind}_{path.name}")
    target.write_bytes(data[:first] + filling + data[last:])
    return target


def good_rows(path: Path, expected: NDArray[np.uint8], rate: int = RATE) -> list[int]:
    """Rows delivered as good of a clip with a row for each frame; each has to be its moment's frame."""
    found = read_clip(path, 0, len(expected) / rate, len(expected))
    assert found.status == "partial" and len(found) == len(expected)
    good = sorted(set(range(len(expected))) - set(found.stand_ins))
    np.testing.assert_array_equal(found.images[good], expected[good])
    np.testing.assert_allclose(found.times[good], np.array(good) / rate, atol=0.001)
    return good


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_frames_of_a_hole_are_stand_ins(tmp_path: Path, name: str, kind: str) -> None:
    whole = film(tmp_path / name, COUNT, RATE, gop=10, **FILES[name])
    _, expected = everything(whole)
    path = holed(whole, kind)
    good = good_rows(path, expected)
    assert COUNT * 0.75 <= len(good) <= COUNT * 0.92
    assert good[-1] == COUNT - 1
    with VideoReader(path) as video:
        for number in range(80, min(125, len(video.timeline)), 3):
            found = video.frames([number])
            if found.status == "complete":
                np.testing.assert_array_equal(found.images[0], expected[round(float(found.times[0]) * RATE)])
                assert found.times[0] == video.timeline.times[number]
    info = probe(path)
    assert abs(info.frames - COUNT) <= 1 and info.duration == pytest.approx(COUNT / RATE, abs=0.11)


def test_no_frozen_clip_behind_a_hole(tmp_path: Path) -> None:
    path = holed(film(tmp_path / "a.mkv", COUNT, RATE, gop=10), "zeroed")
    found = read_clip(path, 9.6, 10.4, 4)
    assert found.error is not None
    assert found.status == "none" or found.stand_ins == (0, 1, 2, 3)


def test_a_long_hole_does_not_end_a_transport_stream(tmp_path: Path) -> None:
    """FFmpeg looks for the next packet in 64 kB only."""
    whole = film(tmp_path / "a.ts", COUNT, RATE, gop=10, height=128, width=192, crf=8)
    _, expected = everything(whole)
    assert whole.stat().st_size * 0.3 > 3 << 16
    good = good_rows(holed(whole, "zeroed", 0.4, 0.7), expected)
    assert good[-1] == COUNT - 1


@pytest.mark.parametrize("kind", KINDS)
def test_mpeg2_is_read_past_a_hole(tmp_path: Path, kind: str) -> None:
    settings = {"codec": "mpeg2video", "gop": 10, "options": {"b": "3000000", "bf": "2"}}
    whole = film(tmp_path / "a.mpg", COUNT, 25, **settings)
    _, expected = everything(whole)
    good = good_rows(holed(whole, kind), expected, 25)
    assert len(good) >= COUNT * 0.7 and good[-1] == COUNT - 1


def pauses(count: int) -> list[float]:
    """Times of a recorded screen: a frame whenever something moves."""
    steps = np.random.default_rng(3).choice([1, 1, 1, 2, 3, 5, 30, 90], count)
    return [float(time) for time in np.cumsum(steps) / 30]


def dropped(count: int) -> list[float]:
    """Times of a camera that lost a frame now and then."""
    kept = np.random.default_rng(4).random(count) > 0.03
    return [number / 30 for number in range(count) if kept[number] or number == 0]


def waiting(count: int) -> list[float]:
    """Times of a camera that paused for half a second, once."""
    return [number / 30 + (number >= count // 2) / 2 for number in range(count)]


@pytest.mark.parametrize("timing", [uneven_times, pauses, dropped, waiting])
@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.flv", "a.webm", "a.wmv"])
def test_pauses_are_no_holes(tmp_path: Path, name: str, timing: Callable[[int], list[float]]) -> None:
    times = timing(150)
    path = film(tmp_path / name, len(times), times=times, gop=10, **FILES[name])
    with VideoReader(path) as video:
        assert len(video.timeline) == len(times)
        assert not len(video.index.lost)
    found = read_clip(path, 0, times[-1], 60)
    assert found.status == "complete"


def each_unit(data: bytearray, change: Callable[[int, int], None]) -> None:
    """Call ``change`` with each packet's number and the place of its times in a transport stream of one video."""
    number = 0
    for at in range(0, len(data), 188):
        begin = at + 4 + (1 + data[at + 4] if data[at + 3] & 32 else 0)
        if data[at + 1] & 64 and data[begin : begin + 3] == b"\0\0\1" and data[begin + 3] >> 4 == 14:
            change(number, begin + 7)
            number += 1


def without_time(data: bytearray, at: int) -> None:
    data[at] &= 63
    data[at + 2 : at + 2 + data[at + 1]] = b"\xff" * data[at + 1]


def far_off(data: bytearray, at: int) -> None:
    data[at + 4] ^= 64


@pytest.mark.parametrize("spoil", [without_time, far_off])
@pytest.mark.parametrize("name", ["a.ts", "hevc.ts"])
def test_a_packet_without_its_time_costs_one_frame(
    tmp_path: Path, name: str, spoil: Callable[[bytearray, int], None]
) -> None:
    times = [number / RATE + 3.0 * (number >= 40) for number in range(100)]
    path = film(tmp_path / name, 100, times=times, gop=10, **FILES[name])
    _, expected = everything(path)
    data = bytearray(path.read_bytes())
    each_unit(data, lambda number, at: spoil(data, at) if number == 70 else None)
    spoilt = tmp_path / f"spoilt_{name}"
    spoilt.write_bytes(data)
    with VideoReader(spoilt) as video:
        assert not video.index.by_order
        lost = set(video.index.lost.tolist())
    found = read_clip(spoilt, times[50], times[-1] + 0.1, 50)
    good = sorted(set(range(50)) - set(found.stand_ins))
    assert lost and 40 <= len(good) < 50
    np.testing.assert_array_equal(found.images[good], expected[50:][good])
    np.testing.assert_allclose(found.times[good], np.array(times[50:])[good], atol=0.001)


def test_joined_parts_keep_their_own_times(tmp_path: Path) -> None:
    """The second part has half the frame rate; it begins where the first is over."""
    first = film(tmp_path / "a.ts", 40, 20, gop=10)
    second = film(tmp_path / "b.ts", 40, 10, gop=10)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(joined) as video:
        assert video.index.by_order
        assert video.timeline.duration == pytest.approx(6.0, abs=0.2)
    _, slower = everything(second)
    found = read_clip(joined, 4.0, 5.0, 10)
    np.testing.assert_array_equal(found.images, slower[20:30])
    times, _ = everything(joined)
    with VideoReader(joined) as video:
        np.testing.assert_allclose(times, video.timeline.times)


def test_decoders_are_set_alike_wherever_they_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged JPEG within a joined AVI must not be shown because only the order was looked for."""
    from llavaction.video import order

    seen: list[str] = []
    original = order.decoder_options

    def noted(codec: str) -> dict[str, str]:
        seen.append(codec)
        return original(codec)

    monkeypatch.setattr(order, "decoder_options", noted)
    path = film(tmp_path / "d.avi", 40, RATE, **FILES["d.avi"])
    with av.open(str(holed(path, "zeroed"))) as container:
        index = container.streams.video[0].index
    order.decode_order(path, index)
    assert seen == ["mjpeg"]
