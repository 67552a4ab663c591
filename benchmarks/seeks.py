"""Whether frames delivered as good are those of a decode from the beginning, for every window of every file.

The claim: whatever the codec, the container, the distance and kind of keyframes and the damage, a row of `read_clip`
that is not named as a stand-in holds the picture a sequential decode shows at its time.

    python benchmarks/seeks.py                          # made files only
    python benchmarks/seeks.py --clips ../shared/data/clips
    python benchmarks/seeks.py --json                   # for machines

The made files carry their number in every picture, so that a frame in the wrong place is noticed even where the
sequential decode cannot tell (no timestamps, damage). Windows of 2 s begin every half second. The exit status is 1 if
any row differs.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Container, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from llavaction.video.decode import read_clip
from llavaction.video.errors import VideoError
from llavaction.video.layouts import VIDEO_SUFFIXES
from llavaction.video.opening import choose_stream, decoder_options, open_container, packets_of
from llavaction.video.pictures import to_image
from llavaction.video.reader import VideoReader
from llavaction.video.sampling import frame_times
from llavaction.video.write import write_video

WINDOW = 2.0
MADE_ROWS = 20
FPS = 10
COUNT = 60
HEIGHT, WIDTH, BITS = 64, 128, 8

ROUNDED = 0.6
"""Periods by which a clip's ends and a timestamp may be rounded."""

COLUMNS = ("windows", "frames", "stand_ins", "nothing", "differing", "misplaced", "unreadable")

Change = Callable[[Path], None]


@dataclass
class Tally:
    """What was seen in one file or in all.

    Attributes:
        name: the file.
        files: how many files.
        windows: how many windows were read.
        frames: rows delivered as good.
        stand_ins: rows named as stand-ins.
        nothing: windows that gave no frame.
        differing: rows delivered as good that differ from the sequential decode.
        misplaced: rows delivered as good that carry another number than their time's.
        unreadable: files that could not be opened.
        examples: the first few faults.
    """

    name: str
    files: int = 1
    windows: int = 0
    frames: int = 0
    stand_ins: int = 0
    nothing: int = 0
    differing: int = 0
    misplaced: int = 0
    unreadable: int = 0
    examples: list[str] = field(default_factory=list)


def pictures(count: int = COUNT, first: int = 0) -> Iterator[NDArray[np.uint8]]:
    """A drifting texture under bars that write the picture's number in binary."""
    texture = np.random.default_rng(7).integers(60, 180, (HEIGHT + 32, WIDTH + 32, 3)).astype(np.uint8)
    step = WIDTH // BITS
    for number in range(first, first + count):
        y, x = number * 3 % 32, number * 5 % 32
        image = texture[y : y + HEIGHT, x : x + WIDTH].copy()
        for bit in range(BITS):
            image[: HEIGHT // 2, bit * step : (bit + 1) * step] = 235 if number >> bit & 1 else 16
        yield image


def written_number(image: NDArray[np.uint8]) -> int | None:
    """The number a picture carries; None where a bar is neither black nor white."""
    step, number = WIDTH // BITS, 0
    for bit in range(BITS):
        level = float(image[8 : HEIGHT // 2 - 8, bit * step + 4 : (bit + 1) * step - 4].mean())
        if 90 < level < 160:
            return None
        number |= (level > 125) << bit
    return number


def zero_packet(number: int) -> Change:
    """Overwrite one packet, by its place in the file."""
    return lambda path: _change_packet(path, number, lambda data: bytes(len(data)))


def zero_key(number: int) -> Change:
    """Overwrite the first keyframe from a packet on, by its place in the file."""

    def change(path: Path) -> None:
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
            keys = [place for place, packet in enumerate(packets) if packet.is_keyframe and place >= number]
        zero_packet(keys[0])(path)

    return change


def flip_in_packet(number: int) -> Change:
    """Damage the middle of one packet."""

    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        for at in range(len(data) // 3, min(len(data) // 3 + 12, len(data))):
            changed[at] ^= 0x5A
        return bytes(changed)

    return lambda path: _change_packet(path, number, flip)


def _change_packet(path: Path, number: int, change: Callable[[bytes], bytes]) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    data, chosen = path.read_bytes(), packets[number]
    at = data.find(chosen[4:])
    if at < 0:
        raise ValueError(f"packet {number} of {path.name} is not stored in one piece")
    path.write_bytes(data[:at] + change(chosen[4:]) + data[at + len(chosen) - 4 :])


def zero_bytes(begin: float, count: int) -> Change:
    """Overwrite bytes from a place in the file on, given as a part of its length."""

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        at = int(len(data) * begin)
        data[at : at + count] = bytes(count)
        path.write_bytes(data)

    return change


def make_hole(kind: str, begin: float = 0.45, end: float = 0.55) -> Change:
    """Overwrite a stretch, given in parts of the file's length, with zeros or noise, or leave it out."""

    def change(path: Path) -> None:
        data = path.read_bytes()
        first, last = int(len(data) * begin), int(len(data) * end)
        noise = np.random.default_rng(3).integers(0, 256, last - first, dtype=np.uint8).tobytes()
        filling = {"zeroed": bytes(last - first), "random": noise, "deleted": b""}[kind]
        path.write_bytes(data[:first] + filling + data[last:])

    return change


def lose_packet(number: int) -> Change:
    """Overwrite a packet and the 8 bytes by which AVI announces it: those after it move up, their marks do not."""

    def change(path: Path) -> None:
        with av.open(str(path)) as container:
            packets = [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]
        data, lost = path.read_bytes(), packets[number]
        at = data.index(lost) - 8
        path.write_bytes(data[:at] + bytes(len(lost) + 8) + data[at + len(lost) + 8 :])

    return change


def cut_transport(begin: float) -> Change:
    """Leave out the beginning of a transport stream, as a recording does that was tuned in late."""

    def change(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[int(len(data) * begin) // 188 * 188 :])

    return change


def cut_end(keep: float) -> Change:
    """Leave out the end of a file."""

    def change(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])

    return change


def say_old_build(path: Path) -> None:
    """Let a stream of x264 claim to be of a build whose 4:4:4 FFmpeg decodes in a way of its own."""
    data = path.read_bytes()
    at = data.index(b"x264 - core ")
    path.write_bytes(data[: at + 12] + b"148" + data[at + 15 :])


def break_links(path: Path) -> None:
    """Turn the clean random access pictures of HEVC but the first into pictures behind a broken link."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size and packet.is_keyframe:
                at = data.index(bytes(packet))
                unit = at
                while data[unit + 4] >> 1 & 63 > 31:  # parameters and remarks come before the picture
                    unit += 4 + int.from_bytes(data[unit : unit + 4], "big")
                if data[unit + 4] >> 1 & 63 == 21:
                    data[unit + 4] = 16 << 1 | data[unit + 4] & 129
    path.write_bytes(data)


X264 = {"codec": "libx264", "gop": 12}
X265 = {"codec": "libx265", "preset": "ultrafast", "gop": 12}
QUIET = "log-level=none"
OPEN_265 = f"open-gop=1:keyint=12:bframes=4:{QUIET}"
B_FRAMES = {"bf": "2"}

MADE: dict[str, dict[str, Any]] = {
    "closed.mp4": X264 | {"options": {"bf": "3"}},
    "no_b.mkv": X264 | {"options": {"bf": "0"}},
    "open.mp4": X264 | {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "open.mkv": X264 | {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "open.ts": X264 | {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "b.flv": X264 | {"options": B_FRAMES},
    "b.avi": X264 | {"options": B_FRAMES},
    "refresh.mp4": X264 | {"options": {"x264-params": "intra-refresh=1:keyint=12", "bf": "0"}},
    "refresh.mkv": X264 | {"options": {"x264-params": "intra-refresh=1:keyint=12", "bf": "0"}},
    "refresh.ts": X264 | {"options": {"x264-params": "intra-refresh=1:keyint=12", "bf": "0"}},
    "refresh_late.ts": X264 | {"options": {"x264-params": "intra-refresh=1:keyint=12"}, "change": cut_transport(0.3)},
    "mbaff.mts": X264 | {"options": {"bf": "2", "flags": "+ildct+ilme", "x264-params": "tff=1"}},
    "mbaff.mp4": X264 | {"options": {"bf": "2", "flags": "+ildct+ilme", "x264-params": "tff=1"}},
    "old_444.mp4": X264 | {"pixel_format": "yuv444p", "change": say_old_build, "unnoticed": True},
    "old_444.mkv": X264 | {"pixel_format": "yuv444p", "change": say_old_build, "unnoticed": True},
    "old_444.ts": X264 | {"pixel_format": "yuv444p", "change": say_old_build, "unnoticed": True},
    "cra.mp4": X265 | {"options": {"x265-params": OPEN_265}},
    "cra.mkv": X265 | {"options": {"x265-params": OPEN_265}},
    "bla.mkv": X265 | {"options": {"x265-params": OPEN_265}, "change": break_links},
    "bla.mp4": X265 | {"options": {"x265-params": OPEN_265}, "change": break_links},
    "cra.ts": X265 | {"options": {"x265-params": OPEN_265}},
    "cra_late.ts": X265 | {"options": {"x265-params": OPEN_265}, "change": cut_transport(0.3)},
    "hevc_refresh.mkv": X265 | {"options": {"x265-params": f"intra-refresh=1:keyint=12:{QUIET}"}},
    "idr.mp4": X265 | {"options": {"x265-params": f"keyint=6:{QUIET}"}},
    "altref.webm": {"codec": "libvpx", "gop": 20, "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "vp9_altref.webm": {"codec": "libvpx-vp9", "gop": 20, "options": {"lag-in-frames": "16", "deadline": "realtime"}},
    "vp9.mp4": {"codec": "libvpx-vp9", "gop": 15, "options": {"deadline": "realtime"}},
    "av1.mp4": {"codec": "libsvtav1", "gop": 16, "crf": 8, "options": {"preset": "12"}},
    "av1.mkv": {"codec": "libsvtav1", "gop": 16, "crf": 8, "options": {"preset": "12"}},
    "asp.avi": {"codec": "mpeg4", "gop": 12, "options": B_FRAMES},
    "asp.mp4": {"codec": "mpeg4", "gop": 12, "options": B_FRAMES},
    "asp.mkv": {"codec": "mpeg4", "gop": 12, "options": B_FRAMES},
    "mpeg2.ts": {"codec": "mpeg2video", "fps": 25, "gop": 12, "options": B_FRAMES},
    "mpeg2.mpg": {"codec": "mpeg2video", "fps": 25, "gop": 12, "options": B_FRAMES},
    "mpeg2.mkv": {"codec": "mpeg2video", "fps": 25, "gop": 12, "options": B_FRAMES},
    "mpeg2_late.ts": {
        "codec": "mpeg2video", "fps": 25, "gop": 12, "options": B_FRAMES, "change": cut_transport(0.3),
    },
    "mpeg1.mpg": {"codec": "mpeg1video", "fps": 25, "gop": 12},
    "wmv2.wmv": {"codec": "wmv2", "gop": 12},
    "wmv1.avi": {"codec": "wmv1", "gop": 12},
    "msmpeg4.avi": {"codec": "msmpeg4", "gop": 12},
    "flv1.flv": {"codec": "flv", "gop": 12},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "ffv1.mkv": {"codec": "ffv1", "gop": 12},
    "turning.gif": {"codec": "gif", "pixel_format": "rgb8"},
    "bare.h264": X264 | {"fps": 25, "options": B_FRAMES},
    "joined.mts": X264 | {"options": B_FRAMES, "join": True},
    "joined_open.ts": X264 | {"options": {"bf": "3", "x264-params": "open-gop=1"}, "join": True},
    "joined_mpeg2.ts": {"codec": "mpeg2video", "fps": 25, "gop": 12, "options": B_FRAMES, "join": True},
    "bad.avi": X264 | {"options": B_FRAMES, "change": zero_packet(30)},
    "bad_asp.avi": {"codec": "mpeg4", "gop": 12, "options": B_FRAMES, "change": zero_packet(30)},
    "bad_asp.mkv": {"codec": "mpeg4", "gop": 12, "options": B_FRAMES, "change": zero_packet(30)},
    "bad_b_asp.avi": {"codec": "mpeg4", "gop": 12, "options": B_FRAMES, "change": zero_packet(24)},
    "bad_key_asp.avi": {"codec": "mpeg4", "gop": 12, "options": B_FRAMES, "change": zero_key(20)},
    "lost.avi": {"codec": "msmpeg4", "gop": 12, "change": lose_packet(16), "unnoticed": True},
    "lost_wmv.avi": {"codec": "wmv2", "gop": 12, "change": lose_packet(16), "unnoticed": True},
    "bad_mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p", "change": flip_in_packet(16)},
    "bad_wmv.avi": {"codec": "wmv2", "gop": 12, "change": flip_in_packet(30)},
    "bad.mkv": X264 | {"options": B_FRAMES, "change": zero_packet(31)},
    "bad_key.mp4": X264 | {"options": B_FRAMES, "change": zero_key(20)},
    "bad_key.avi": X264 | {"options": B_FRAMES, "change": zero_key(20)},
    "bad_key.webm": {"codec": "libvpx", "gop": 15, "change": zero_key(20)},
    "flipped.mp4": X264 | {"options": B_FRAMES, "change": flip_in_packet(29)},
    "flipped_hevc.mkv": X265 | {"options": {"x265-params": OPEN_265}, "change": flip_in_packet(29)},
    "flipped_vp9.webm": {
        "codec": "libvpx-vp9", "gop": 15, "options": {"deadline": "realtime"}, "change": flip_in_packet(20),
        "unnoticed": True,
    },
    "bad_joined.mts": X264 | {"options": B_FRAMES, "join": True, "change": zero_bytes(0.3, 900)},
    "bad_mpeg2.ts": {
        "codec": "mpeg2video", "fps": 25, "gop": 12, "options": B_FRAMES, "change": zero_bytes(0.4, 1200),
    },
    "bad_cra.ts": X265 | {"options": {"x265-params": OPEN_265}, "change": zero_bytes(0.4, 900)},
    "cut.mkv": X264 | {"options": B_FRAMES, "change": cut_end(0.6)},
    "cut.avi": X264 | {"options": B_FRAMES, "change": cut_end(0.6)},
}  # fmt: skip
HOLED: dict[str, dict[str, Any]] = {
    "h264.mp4": X264 | {"options": B_FRAMES},
    "h264.mkv": X264 | {"options": B_FRAMES},
    "h264.ts": X264 | {"options": B_FRAMES},
    "h264.flv": X264 | {"options": B_FRAMES},
    "h264.avi": X264 | {"options": B_FRAMES},
    "hevc.mkv": X265 | {"options": {"x265-params": OPEN_265}},
    "hevc.ts": X265 | {"options": {"x265-params": OPEN_265}},
    "vp8.webm": {"codec": "libvpx", "gop": 15},
    "vp9.webm": {"codec": "libvpx-vp9", "gop": 15, "options": {"deadline": "realtime"}},
    "vp8.ogv": {"codec": "libvpx", "gop": 15},
    "av1.mkv": {"codec": "libsvtav1", "gop": 16, "crf": 8, "options": {"preset": "12"}},
    "wmv2.wmv": {"codec": "wmv2", "gop": 12},
    "asp.avi": {"codec": "mpeg4", "gop": 12, "options": B_FRAMES},
    "msmpeg4.avi": {"codec": "msmpeg4", "gop": 12},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "mpeg2.ts": {"codec": "mpeg2video", "fps": 25, "gop": 12, "options": B_FRAMES},
    "mpeg2.mpg": {"codec": "mpeg2video", "fps": 25, "gop": 12, "options": B_FRAMES},
}
MADE |= {
    f"{kind}_{name}": settings | {"count": 150, "change": make_hole(kind)}
    for name, settings in HOLED.items()
    for kind in ("zeroed", "random", "deleted")
    if (name, kind) != ("h264.mp4", "deleted")  # its header points past what is gone, to nothing
}
"""Containers x codecs x B-frames x open groups x intra refresh x damage, and then with a hole.

Where decoders take damage for content (``unnoticed``), nothing can be asked but to equal the sequential decode.
"""


def make(folder: Path, name: str) -> Path:
    """Write one of the made files."""
    settings = {"fps": FPS, "crf": 20, **MADE[name]}
    change, join, fps = settings.pop("change", None), settings.pop("join", False), settings.pop("fps")
    settings.pop("unnoticed", None)
    count = settings.pop("count", COUNT)
    if settings["codec"] not in {"libx264", "libx265", "libvpx-vp9", "libsvtav1", "gif", "prores_ks", "ffv1"}:
        settings["options"] = {"b": "4000000", **settings.get("options", {})}
    path = write_video(folder / name, pictures(COUNT // 2 if join else count), fps, **settings)
    if join:
        second = write_video(folder / f"second_{name}", pictures(COUNT // 2, COUNT // 2), fps, **settings)
        path.write_bytes(path.read_bytes() + second.read_bytes())
        second.unlink()
    if change is not None:
        change(path)
    return path


def sequential(path: Path, wanted: Container[int], *, by_packet: bool) -> dict[int, bytes]:
    """Digests of pictures of a decode from the beginning that reads on past damage, as FFmpeg does.

    Args:
        path: the file.
        wanted: which pictures.
        by_packet: name pictures by the number of their packet rather than by their timestamp.
    """
    found: dict[int, bytes] = {}
    reformatter = VideoReformatter()
    with open_container(path) as container:
        stream = choose_stream(container, None, path)
        decoder = stream.codec_context
        decoder.options = decoder_options(decoder.codec.canonical_name)
        decoder.thread_type, decoder.thread_count = "SLICE", 1
        packets = packets_of(container, stream)
        for number, packet in enumerate(chain(packets, [None])):
            if packet is not None and by_packet:
                packet.pts = number
            try:
                pictures = decoder.decode(packet)
            except av.error.FFmpegError:
                continue
            for picture in pictures:
                if picture.pts in wanted and not picture.is_corrupt:
                    found[picture.pts] = _digest(to_image(picture, None, "short", reformatter))
    return found


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()


def check(path: Path, *, step: float = 0.5, rows: int = 8, fps: int | None = None) -> Tally:
    """Read every window of a file and compare it.

    Args:
        path: the file.
        step: seconds from one window to the next.
        rows: frames read of each window.
        fps: of a made file, whose pictures carry their number.
    """
    tally = Tally(path.name)
    try:
        with VideoReader(path) as video:
            index, timeline = video.index, video.timeline
    except VideoError as error:
        tally.unreadable = 1
        tally.examples.append(str(error))
        return tally
    shift = 0
    read: list[tuple[str, int, bytes]] = []
    for start in np.arange(0, max(timeline.duration, step), step):
        found = read_clip(path, float(start), float(start) + WINDOW, rows)
        moments = frame_times(float(start), float(start) + WINDOW, rows)
        tally.windows += 1
        tally.nothing += found.status == "none"
        tally.stand_ins += len(found.stand_ins)
        for row in sorted(set(range(len(found))) - set(found.stand_ins)):
            frame = int(np.argmin(np.abs(timeline.times - found.times[row])))
            read.append((f"{start:.2f} s, row {row}", int(index.pts[frame]), _digest(found.images[row])))
            if fps is not None:
                written, expected = written_number(found.images[row]), round(float(found.times[row]) * fps) + shift
                is_inside = start + WINDOW <= timeline.duration
                if is_inside and found.times[row] < moments[row] - (1 + ROUNDED) / fps:
                    tally.misplaced += 1
                    tally.examples.append(f"{start:.2f} s, row {row}: from {moments[row] - found.times[row]:.2f} s ago")
                if "late" in path.name and len(read) == 1:  # the first picture there is has a number of its own
                    shift, expected = shift + (written or 0) - expected, written or 0
                if written != expected:
                    tally.misplaced += 1
                    tally.examples.append(f"{start:.2f} s, row {row}: shows {written}, expected {expected}")
    truth = sequential(path, {picture for _, picture, _ in read}, by_packet=index.by_order)
    tally.frames = len(read)
    for place, picture, digest in read:
        if truth.get(picture) != digest:
            tally.differing += 1
            tally.examples.append(f"{place}: differs")
    return tally


def made_fps(name: str) -> int | None:
    """Frames per second of a made file whose pictures can be told by their numbers."""
    return None if MADE[name].get("unnoticed") else int(MADE[name].get("fps", FPS))


def total(tallies: list[Tally]) -> Tally:
    """The sum over files."""
    everything = Tally("all", files=len(tallies))
    for name in COLUMNS:
        setattr(everything, name, sum(getattr(tally, name) for tally in tallies))
    return everything


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of further files.")
@click.option("--step", default=0.5, help="Seconds from one window to the next.", show_default=True)
@click.option("--only", help="Made files whose name holds this text.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(clips: Path | None, step: float, only: str | None, as_json: bool) -> None:
    """Make the files, read every window, print the counts."""
    tallies = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MADE:
            if only is None or only in name:
                path = make(Path(folder), name)
                tallies.append(check(path, step=step, rows=MADE_ROWS, fps=made_fps(name)))
    for path in sorted(clips.rglob("*")) if clips else []:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            tallies.append(check(path, step=step))
    tallies.append(total(tallies))
    if as_json:
        click.echo(json.dumps([asdict(tally) for tally in tallies], indent=1))
    else:
        click.echo(f"{'file':42}" + "".join(f"{column:>11}" for column in COLUMNS))
        for tally in tallies:
            note = f"  {tally.examples[0]}" if tally.examples else ""
            click.echo(f"{tally.name[:41]:42}" + "".join(f"{getattr(tally, c):>11}" for c in COLUMNS) + note)
        click.echo(f"{tallies[-1].files} files")
    sys.exit(1 if tallies[-1].differing or tallies[-1].misplaced or tallies[-1].unreadable else 0)


if __name__ == "__main__":
    main()
