"""The index read from headers is the one the packets give."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.filming import everything, film, pictures, uneven_times
from llavaction.video import index as indexing
from llavaction.video.decode import read_clip
from llavaction.video.index import FrameIndex
from llavaction.video.mp4 import read_sample_table
from llavaction.video.opening import choose_stream, open_container
from llavaction.video.reader import VideoReader
from llavaction.video.write import write_video


def both_indices(path: Path) -> tuple[FrameIndex | None, FrameIndex]:
    with open_container(path) as container:
        stream = choose_stream(container, None, path)
        fast = indexing._from_sample_table(path, container, stream)
        return fast, indexing._from_packets(path, stream.index)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gop": 7, "options": {"bf": "5", "b_strategy": "0"}},
        {"options": {"bf": "0"}},
        {"gop": 1},
        {"times": uneven_times(60)},
        {"codec": "libx265", "preset": "ultrafast", "options": {"x265-params": "log-level=none"}},
        {"gop": 12, "options": {"x264-params": "open-gop=1"}},
    ],
)
def test_sample_table_agrees_with_packets(tmp_path: Path, settings: dict[str, Any]) -> None:
    fast, slow = both_indices(film(tmp_path / "a.mp4", **settings))
    assert fast is not None
    assert fast.timeline.rate == slow.timeline.rate
    for name in ("pts", "keys", "seek_to"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))
    np.testing.assert_array_equal(fast.timeline.times, slow.timeline.times)


def scenes(count: int) -> Iterator[NDArray[np.uint8]]:
    """Cuts every few frames."""
    lengths, rng = itertools.cycle((9, 3, 12, 4)), np.random.default_rng(4)
    while True:
        texture = rng.integers(0, 255, (80, 112, 3)).astype(np.uint8)
        for shift in range(next(lengths)):
            if count == 0:
                return
            count -= 1
            yield texture[shift : shift + 64, shift : shift + 96]


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_pictures_that_others_reach_across_are_no_keys(tmp_path: Path, suffix: str) -> None:
    """A cut soon after a keyframe is coded alone without being one; FFmpeg marks its packet all the same."""
    path = write_video(tmp_path / f"a{suffix}", scenes(60), 30, gop=50, options={"bf": "0", "keyint_min": "20"})
    with open_container(path) as container:
        marked = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    with open_container(path) as container:
        keys = [number for number, picture in enumerate(container.decode(video=0)) if picture.key_frame]
    assert sum(marked) > len(keys) >= 3
    index = both_indices(path)[1]
    assert np.searchsorted(index.pts, index.keys).tolist() == keys
    _, images = everything(path)
    with VideoReader(path) as video:
        for number in range(60):
            np.testing.assert_array_equal(video.frames([number]).images[0], images[number])


def with_first_edit(data: bytes, *, skip: int) -> bytes:
    """Let the only edit begin ``skip`` ticks later in the track: FFmpeg then drops what comes before."""
    at = data.index(b"elst") + 4
    version, count = data[at], struct.unpack_from(">I", data, at + 4)[0]
    assert (version, count) == (0, 1)
    begin = struct.unpack_from(">I", data, at + 12)[0]
    return data[: at + 12] + struct.pack(">I", begin + skip) + data[at + 16 :]


def test_edit_list_that_drops_frames(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", count=60, gop=20)
    with open_container(whole) as container:
        tick = container.streams.video[0].time_base
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(with_first_edit(whole.read_bytes(), skip=round(5 / 30 / tick)))
    _, expected = everything(whole)
    _, images = everything(cut)
    np.testing.assert_array_equal(images, expected[5:])
    fast, slow = both_indices(cut)
    assert fast is None
    assert len(slow.timeline) == 55
    np.testing.assert_array_equal(read_clip(cut, 0.0, 55 / 30, 55).images, images)


def test_fragmented_file(tmp_path: Path) -> None:
    path = tmp_path / "fragments.mp4"
    with av.open(str(path), "w", container_options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 64, 96, "yuv420p", 10
        for image in pictures(45):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    _, images = everything(path)
    assert both_indices(path)[0] is None
    np.testing.assert_array_equal(read_clip(path, 0, 1.5, 45).images, images)


def test_opening_quickly_loses_no_frames(tmp_path: Path) -> None:
    """A stream that does not state its reordering, whose depth FFmpeg has to guess."""
    path = film(tmp_path / "a.mp4", count=50, options={"bf": "4", "b_strategy": "0", "x264-params": "nal-hrd=none"})
    _, images = everything(path)
    with VideoReader(path) as video:
        for number in (0, 1, 2, 3, 4, 49):
            np.testing.assert_array_equal(video.frames([number]).images[0], images[number])


def test_index_is_kept_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    original = indexing._from_sample_table

    def counted(path: Path, *rest: Any) -> FrameIndex | None:
        made.append(path)
        return original(path, *rest)

    monkeypatch.setattr(indexing, "_from_sample_table", counted)
    monkeypatch.setattr(indexing, "KEPT", 2)
    paths = [film(tmp_path / f"{number}.mp4", count=4) for number in range(3)]
    for path in (paths[0], paths[0], paths[1], paths[2], paths[0]):
        VideoReader(path).close()
    assert made == [paths[0], paths[1], paths[2], paths[0]]
    assert len(indexing._indices) <= 2


@pytest.mark.parametrize("cut", [3, 20, 200, 0.5, 0.9, 0.99])
def test_cut_header_gives_no_table(tmp_path: Path, cut: float) -> None:
    data = film(tmp_path / "a.mp4", count=10).read_bytes()
    moov = data.index(b"moov") - 4
    size = struct.unpack_from(">I", data, moov)[0]
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: moov + (int(size * cut) if cut < 1 else int(cut))])
    assert read_sample_table(path, 1) is None


def test_impossible_tables_give_no_table(tmp_path: Path) -> None:
    data = film(tmp_path / "a.mp4", count=10).read_bytes()
    for box, offset, value in [(b"stts", 8, 0xFFFFFFFF), (b"stts", 4, 0x7FFFFFFF), (b"stss", 8, 99), (b"ctts", 8, 77)]:
        at = data.index(box) + 4 + offset
        path = tmp_path / "bad.mp4"
        path.write_bytes(data[:at] + struct.pack(">I", value) + data[at + 4 :])
        assert read_sample_table(path, 1) is None, (box, value)
    assert read_sample_table(tmp_path / "a.mp4", 2) is None
    assert read_sample_table(tmp_path / "a.mp4", 1) is not None


def with_edits(path: Path, pieces: list[tuple[int, int]]) -> None:
    """Give the only track of a file, whose header comes last, an edit list of (movie ticks, begin in media ticks)."""
    data = path.read_bytes().replace(b"edts", b"free")
    rows = b"".join(struct.pack(">IiI", duration, begin, 1 << 16) for duration, begin in pieces)
    table = struct.pack(">I4sII", 16 + len(rows), b"elst", 0, len(pieces)) + rows
    box = struct.pack(">I4s", 8 + len(table), b"edts") + table
    for kind in (b"trak", b"moov"):
        at = data.index(kind) - 4
        size = int.from_bytes(data[at : at + 4], "big")
        data = data[:at] + (size + len(box)).to_bytes(4, "big") + data[at + 4 :]
    at = data.index(b"mdia") - 4
    path.write_bytes(data[:at] + box + data[at:])


def test_edit_lists_of_several_pieces_are_honoured(tmp_path: Path) -> None:
    """Shown are the first second and the third, as a player does: frames 0 to 9, then 20 to 29."""
    path = film(tmp_path / "a.mp4", count=40, fps=10, gop=10, options={"bf": "0"})
    _, whole = everything(path)
    with av.open(str(path)) as container:
        tick = container.streams.video[0].time_base.denominator
    with_edits(path, [(1000, 0), (1000, 2 * tick)])
    assert read_sample_table(path, 1) is None
    found = read_clip(path, 0.0, 2.0, 20)
    assert found.error is None
    np.testing.assert_array_equal(found.images, whole[[*range(10), *range(20, 30)]])
    np.testing.assert_allclose(found.times, np.arange(20) / 10)


def test_a_trimmed_beginning_is_not_shown(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", count=40, fps=10, gop=10, options={"bf": "0"})
    _, whole = everything(path)
    with av.open(str(path)) as container:
        tick = container.streams.video[0].time_base.denominator
    with_edits(path, [(2500, round(1.5 * tick))])
    found = read_clip(path, 0.0, 2.0, 20)
    np.testing.assert_array_equal(found.images, whole[15:35])
    assert found.status == "complete"
