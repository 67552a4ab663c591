"""Files are opened as files, as videos and as pictures of known kinds, and as nothing else."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from helpers.filming import everything, film, pictures
from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.video.decode import read_all, read_clip, read_times
from llavaction.video.errors import CorruptVideoError, MissingVideoError, ShortVideoError
from llavaction.video.images import read_image
from llavaction.video.library import VideoLibrary
from llavaction.video.probe import probe
from llavaction.video.reader import VideoReader
from llavaction.video.write import write_video

NAMES = ["12:30:05.mp4", "take:2.mp4", "data:,x.mp4", "pipe:0.mp4", "subfile,,x.mp4", "concat:a.mp4", "img%03d.mp4",
         "a[1].mp4", "file:x.mp4", "#a?b=1.mp4", "-dash.mp4", "nl\nx.mp4", "quote'\".mp4", "日本😀.mp4"]  # fmt: skip


def with_sound(
    path: Path, *, late: float = 0.0, cover: str | None = None, film_frames: int = 30, attached: bool = True
) -> Path:
    """A file with 3 s of sound; a film of 10 fps that begins ``late``; a cover before or behind it."""
    with av.open(str(path), "w") as container:
        streams: list[Any] = []

        def still() -> None:
            stream: Any = container.add_stream("mjpeg", rate=10)
            stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
            if attached:
                stream.disposition = Disposition.attached_pic
            streams.append((stream, [np.full((480, 640, 3), 200, np.uint8)], 0))

        if cover == "first":
            still()
        if film_frames:
            film_stream: Any = container.add_stream("libx264", rate=10, options={"bf": "0", "preset": "ultrafast"})
            film_stream.width, film_stream.height, film_stream.pix_fmt = 96, 64, "yuv420p"
            streams.append((film_stream, pictures(film_frames), round(late * 10)))
        if cover == "last":
            still()
        sound: Any = container.add_stream("aac", rate=16_000)
        sound.layout = "mono"
        packets = []
        for stream, images, first in streams:
            for number, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=stream.pix_fmt)
                frame.pts = first + number
                packets += stream.encode(frame)
            packets += stream.encode(None)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")
        tone.sample_rate, tone.pts = 16_000, 0
        packets += [*sound.encode(tone), *sound.encode(None)]
        for packet in packets:
            container.mux(packet)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_no_address(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written and read under its name, which FFmpeg would take for a protocol or a pattern; relative paths, too."""
    monkeypatch.chdir(tmp_path)
    path = write_video(Path(name), pictures(10), 10)
    assert [found.name for found in tmp_path.iterdir()] == [name]
    assert probe(path).frames == 10
    assert read_clip(Path(name), 0, 1, 4).error is None


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile 'a.mp4'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.mp4\n#EXT-X-ENDLIST\n",
        "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period/></MPD>",
        "1\n00:00:00,000 --> 00:00:02,000\nA subtitle\n\n" * 20,
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        ";FFMETADATA1\ntitle=x\n",
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts", ".avi"])
def test_scripts_and_playlists_are_no_videos(tmp_path: Path, content: str, suffix: str) -> None:
    film(tmp_path / "a.mp4", count=10)
    path = tmp_path / f"b{suffix}"
    path.write_text(content)
    found = read_clip(path, 0, 1, 4)
    assert isinstance(found.error, CorruptVideoError) and found.status == "none"


def test_a_song_with_a_cover_is_no_video(tmp_path: Path) -> None:
    marked, unmarked = "its cover picture", "one still picture"
    for suffix, attached, told in (("mp4", True, marked), ("mkv", False, unmarked), ("mov", False, unmarked)):
        path = with_sound(tmp_path / f"song.{suffix}", film_frames=0, cover="first", attached=attached)
        with pytest.raises(CorruptVideoError, match=f"{told}, no video"):
            probe(path)
        assert read_clip(path, 0, 1, 4).status == "none"


@pytest.mark.parametrize("cover", ["first", "last"])
@pytest.mark.parametrize(("suffix", "attached"), [("mp4", True), ("mkv", True), ("mkv", False), ("mov", False)])
def test_the_moving_stream_is_chosen(tmp_path: Path, cover: str, suffix: str, attached: bool) -> None:
    info = probe(with_sound(tmp_path / f"a.{suffix}", cover=cover, attached=attached))
    assert (info.frames, info.width, info.height) == (30, 96, 64)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts"])
def test_time_zero_is_where_a_player_has_it(tmp_path: Path, suffix: str) -> None:
    """The picture begins a second after the sound: what a player shows at 1.55 s is frame 5."""
    path = with_sound(tmp_path / f"a.{suffix}", late=1.0)
    plain = with_sound(tmp_path / f"b.{suffix}")
    _, images = everything(plain)
    assert probe(plain).begins == pytest.approx(0.0, abs=0.1)
    info = probe(path)
    assert (info.begins, info.duration) == pytest.approx((1.0, 4.0), abs=0.1)
    with VideoReader(path) as video:
        assert not video.timeline.is_variable
    found = read_times(path, [1.55 + info.begins - 1, 2.95 + info.begins - 1])
    np.testing.assert_array_equal(found.images, images[[5, 19]])
    assert found.status == "complete"
    assert next(read_all(path))[0] == info.begins
    early = read_clip(path, 0.0, 2.0, 4)
    assert isinstance(early.error, ShortVideoError) and early.stand_ins == (0, 1)
    np.testing.assert_array_equal(early.images[:2], images[[0, 0]])
    assert read_clip(path, 0.0, 0.5, 4).status == "none"
    assert read_times(path, [0.2, 2.0]).stand_ins == (0,)


def test_a_picture_that_follows_the_sound_closely_is_complete(tmp_path: Path) -> None:
    """By one frame, as in many recordings: the first moment is before it, and no clip is called partial for that."""
    path = with_sound(tmp_path / "a.mp4", late=0.1)
    assert probe(path).begins == pytest.approx(0.1, abs=0.01)
    found = read_clip(path, 0.0, 2.0, 20)
    assert found.status == "complete"
    assert found.times.tolist() == pytest.approx([0.1, *np.arange(1, 20) / 10])


def eps(path: Path, touched: Path) -> Path:
    """A PostScript program that would write a file, named as a JPEG."""
    path.write_text(
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n({touched}) (w) file closefile\nshowpage\n%%EOF\n"
    )
    return path


def test_an_eps_named_jpg_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*command: object, **_: object) -> None:
        raise AssertionError(f"a process was started: {command}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(subprocess, "check_call", refuse)
    monkeypatch.setattr(os, "system", refuse)
    (tmp_path / "v").mkdir()
    path = eps(tmp_path / "v" / "frame_00001.jpg", tmp_path / "touched")
    with pytest.raises(CorruptVideoError, match="expected one of JPEG, PNG"):
        read_image(path)
    found = VideoLibrary(tmp_path, fps=1).read(Clip(video_id="v", start=0, stop=1), 2)
    assert isinstance(found.error, CorruptVideoError) and found.status == "none"
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tiff", "ppm", "gif"])
def test_pictures_of_known_kinds_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.full((8, 12, 3), 77, np.uint8)).save(path)
    image = read_image(path)
    assert image.shape == (8, 12, 3) and abs(int(image.mean()) - 77) <= 1


def test_a_small_file_that_claims_a_huge_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (9_000, 8_000)).save(path)  # 72 million pixels in about 80 kB
    assert path.stat().st_size < 200_000
    with pytest.raises(CorruptVideoError, match="9000 x 8000"):
        read_image(path)


def test_a_header_that_claims_more_samples_than_bytes_is_refused(tmp_path: Path) -> None:
    """FFmpeg would fill 3 GB with the index of these."""
    path = film(tmp_path / "a.mp4", count=20)
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, data.index(b"stsz") + 8, 1, 50_000_000)
    struct.pack_into(">I", data, data.index(b"stsc") + 16, 50_000_000)
    path.write_bytes(data)
    with pytest.raises(CorruptVideoError, match="more samples than"):
        probe(path)


def test_links_and_loops(tmp_path: Path) -> None:
    """A link to a folder, one back up, one to a file, one to nothing: each file is one video, whatever it is called."""
    root = tmp_path / "videos"
    path = film(root / "P07" / "P07_01.mp4", count=10)
    (root / "newest").symlink_to("P07")
    (root / "P07" / "up").symlink_to("..")
    (root / "P07" / "self").symlink_to(".")
    (root / "again").mkdir()
    (root / "again" / "P07_01.mp4").symlink_to("../P07/P07_01.mp4")
    os.link(path, root / "P07_01.mp4")
    (root / "gone.mp4").symlink_to("nowhere.mp4")
    library = VideoLibrary(root)
    assert library.path("P07_01").samefile(path)
    assert library.path("newest/P07_01").samefile(path)
    assert library.video_ids == ["P07_01", "gone"]
    found = library.read(Clip(video_id="P07_01", start=0, stop=0.3), 2)
    assert found.status == "complete"
    assert isinstance(library.read(Clip(video_id="gone", start=0, stop=1), 2).error, MissingVideoError)
    film(root / "P08" / "P07_01.mp4", count=4)
    with pytest.raises(InputError, match="2 videos are called"):
        VideoLibrary(root).path("P07_01")
