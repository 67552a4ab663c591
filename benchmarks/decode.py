"""How fast clips are read out of a longer video, against decord, torchcodec and plain PyAV in the same run.

The claim: reading 8, 16 or 32 frames of a 2-second clip is as fast as in the fastest of the others, whatever the
distance of keyframes, and gives exactly the frames of a full decode.

    python benchmarks/decode.py            # a table
    python benchmarks/decode.py --json     # for machines

A video is rendered and written once for each keyframe distance. Every reader opens the file for every clip, as a
loader of shuffled questions does, uses the same number of threads, and returns uint8 RGB at full size. Readers take
turns on each clip, so that whatever else the machine does hits all alike. decord and torchcodec are measured where
they can be imported. Their colours may differ from ours by the arithmetic of YUV to RGB, so for them it is checked that
every picture resembles the right frame more than any frame up to two before or after it.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
from numpy.typing import NDArray

from llavaction.base.seeding import hashed_rng
from llavaction.video.decode import read_all, read_clip
from llavaction.video.sampling import frame_indices
from llavaction.video.write import write_video

CLIP_SECONDS = 2.0
NEIGHBOURS = 2

Reader = Callable[[Path, float, Sequence[int]], NDArray[np.uint8]]


def render(count: int, height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """A textured background that drifts, with two boxes crossing it: motion everywhere, as with a head-worn camera."""
    rng = hashed_rng("decode benchmark", height, width)
    coarse = rng.integers(40, 216, size=(height // 16 + 16, width // 16 + 16, 3), dtype=np.uint8)
    canvas: NDArray[Any] = np.kron(coarse, np.ones((16, 16, 1), dtype=np.uint8)).astype(np.float32)
    for axis in (0, 1):
        for shift in (1, 2, 4):
            canvas = (canvas + np.roll(canvas, shift, axis)) / 2
    texture = canvas.astype(np.uint8)
    for number in range(count):
        y, x = (round(64 + 60 * wave) for wave in (np.sin(number / 37), np.cos(number / 23)))
        image = texture[y : y + height, x : x + width].copy()
        side = height // 6
        for speed, colour in ((7, (220, 40, 40)), (11, (40, 40, 220))):
            top, left = speed * number % (height - side), 2 * speed * number % (width - side)
            image[top : top + side, left : left + side] = colour
        yield image


def ours(threads: int) -> Reader:
    """The reader of llavaction.video."""

    def read(path: Path, start: float, frames: Sequence[int]) -> NDArray[np.uint8]:
        return read_clip(path, start, start + CLIP_SECONDS, len(frames), threads=threads, strict=True).images

    return read


def plain(threads: int, *, seek: bool) -> Reader:
    """PyAV as it is commonly used: seek once (or not at all), then decode until the last frame is there."""

    def read(path: Path, start: float, frames: Sequence[int]) -> NDArray[np.uint8]:
        found: dict[int, NDArray[Any]] = {}
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_type, stream.codec_context.thread_count = "SLICE", threads
            period = 1 / (float(stream.average_rate or 0) * float(stream.time_base or 0))  # in ticks
            if seek:
                container.seek(round(frames[0] * period), stream=stream)
            for picture in container.decode(stream):
                number = round((picture.pts or 0) / period)
                if number in frames:
                    found[number] = picture.to_ndarray(format="rgb24")
                if number >= frames[-1]:
                    break
        return np.stack([found[number] for number in frames])

    return read


def by_decord(threads: int) -> Reader:
    """Read with the VideoReader of decord."""
    decord = importlib.import_module("decord")

    def read(path: Path, start: float, frames: Sequence[int]) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = decord.VideoReader(str(path), num_threads=threads).get_batch(frames).asnumpy()
        return images

    return read


def by_torchcodec(threads: int, *, seek_mode: str) -> Reader:
    """Read with the VideoDecoder of torchcodec; "exact" reads all packets first, "approximate" trusts the header."""
    decoders = importlib.import_module("torchcodec.decoders")

    def read(path: Path, start: float, frames: Sequence[int]) -> NDArray[np.uint8]:
        decoder = decoders.VideoDecoder(
            str(path), num_ffmpeg_threads=threads, dimension_order="NHWC", seek_mode=seek_mode
        )
        images: NDArray[np.uint8] = decoder.get_frames_at(list(frames)).data.numpy()
        return images

    return read


def available(threads: int) -> tuple[dict[str, Reader], dict[str, str]]:
    """Readers by name, and why the others cannot be measured here."""
    makers: dict[str, Callable[[], Reader]] = {
        "llavaction": lambda: ours(threads),
        "pyav one seek": lambda: plain(threads, seek=True),
        "pyav from start": lambda: plain(threads, seek=False),
        "decord": lambda: by_decord(threads),
        "torchcodec exact": lambda: by_torchcodec(threads, seek_mode="exact"),
        "torchcodec approximate": lambda: by_torchcodec(threads, seek_mode="approximate"),
    }
    readers, absent = {}, {}
    for name, make in makers.items():
        try:
            readers[name] = make()
        except Exception as error:  # a broken install fails in many ways; each is reported, none stops the run
            absent[name] = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return readers, absent


def check(images: NDArray[np.uint8], frames: Sequence[int], video: NDArray[np.uint8]) -> dict[str, Any]:
    """Whether pictures are the frames asked for: exactly, or else by likeness, and by how much they differ."""
    gap = np.abs(images.astype(np.int16) - video[frames])
    if not gap.any():
        return {"exact": True, "right_frames": True, "largest_difference": 0}
    right = True
    for image, frame in zip(images, frames, strict=True):
        around = range(max(frame - NEIGHBOURS, 0), min(frame + NEIGHBOURS + 1, len(video)))
        distance = [float(np.abs(image.astype(np.int16) - video[other]).mean()) for other in around]
        right &= around[int(np.argmin(distance))] == frame
    return {"exact": False, "right_frames": right, "largest_difference": int(gap.max())}


def measure(
    path: Path, readers: dict[str, Reader], *, fps: int, counts: Sequence[int], clips: int
) -> list[dict[str, Any]]:
    """Time every reader on the same clips, each clip once; the first clip, which warms up, is checked, not timed."""
    video = np.stack([image for _, image in read_all(path)])
    rows = []
    for count in counts:
        rng = hashed_rng("decode benchmark clips", count)
        starts = rng.uniform(0, len(video) / fps - CLIP_SECONDS, size=clips + 1)
        seconds: dict[str, list[float]] = {name: [] for name in readers}
        checks: dict[str, dict[str, Any]] = {}
        for turn, start in enumerate(starts):
            ends = [int(np.round(second * fps)) for second in (start, start + CLIP_SECONDS)]
            frames = [int(number) for number in frame_indices(ends[0], ends[1], count)]
            for name in sorted(readers, key=lambda name: (turn + list(readers).index(name)) % len(readers)):
                begin = time.perf_counter()
                images = readers[name](path, float(start), frames)
                elapsed = time.perf_counter() - begin
                if turn == 0:
                    checks[name] = check(images, frames, video)
                else:
                    seconds[name].append(elapsed)
        for name, spent in seconds.items():
            low, middle, high = (1 / value for value in np.percentile(spent, [75, 50, 25]))
            rate = {"clips_per_second": middle, "lower_quartile": low, "upper_quartile": high}
            rows.append({"reader": name, "frames": count, "clips": clips, **rate, **checks[name]})
    return rows


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.option("--height", default=540, show_default=True, help="Height of the video; it is 16:9.")
@click.option("--seconds", default=16, show_default=True, help="Length of the video.")
@click.option("--fps", default=30, show_default=True, help="Frames per second.")
@click.option("--gop", "gops", multiple=True, type=int, default=(12, 50, 250), show_default=True)
@click.option("--frames", "counts", multiple=True, type=int, default=(8, 16, 32), show_default=True)
@click.option("--clips", default=5, show_default=True, help="Clips timed per row.")
@click.option("--threads", default=1, show_default=True, help="Decoding threads of every reader.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def main(
    *,
    height: int,
    seconds: int,
    fps: int,
    gops: tuple[int, ...],
    counts: tuple[int, ...],
    clips: int,
    threads: int,
    as_json: bool,
) -> None:
    """Render, write, measure, print."""
    width = height * 16 // 9 // 2 * 2
    readers, absent = available(threads)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for gop in gops:
            path = Path(folder) / f"gop{gop}.mp4"
            pictures = render(seconds * fps, height, width)
            options = {"keyint_min": str(gop), "sc_threshold": "0"}
            write_video(path, pictures, fps, gop=gop, crf=23, threads=os.cpu_count() or 1, options=options)
            found = measure(path, readers, fps=fps, counts=counts, clips=clips)
            results += [{"gop": gop, "megabytes": round(path.stat().st_size / 1e6, 1), **row} for row in found]
    report = {
        "video": f"{width}x{height}, {fps} fps, {seconds} s, H.264, clips of {CLIP_SECONDS:g} s",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "threads": threads,
        "results": results,
        "not_measured": absent,
    }
    click.echo(json.dumps(report, indent=1) if as_json else as_table(report))


def as_table(report: dict[str, Any]) -> str:
    """The report for a person."""
    lines = [f"{report['video']}; {report['threads']} thread(s); {report['machine']}", ""]
    lines.append(f"{'GOP':>4} {'frames':>6}  {'reader':<24}{'clips/s':>8}  {'quartiles':<14} frames are")
    for row in report["results"]:
        alike = f"right, colours differ by up to {row['largest_difference']}" if row["right_frames"] else "WRONG"
        quartiles = f"{row['lower_quartile']:.1f}-{row['upper_quartile']:.1f}"
        lines.append(
            f"{row['gop']:>4} {row['frames']:>6}  {row['reader']:<24}{row['clips_per_second']:>8.1f}  "
            f"{quartiles:<14} {'exact' if row['exact'] else alike}"
        )
    lines += [f"not measured: {name} ({why})" for name, why in report["not_measured"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
