"""Mutated files give what can be read and a clear error: nothing else is raised, no memory or time is lost on them."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.filming import film, pictures
from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.video.decode import read_all, read_clip
from llavaction.video.errors import CorruptVideoError, VideoError
from llavaction.video.library import VideoLibrary
from llavaction.video.probe import probe

B_FRAMES = {"bf": "2"}
SEEDS: dict[str, dict[str, Any]] = {
    "a.mp4": {"gop": 6},
    "a.mov": {"gop": 6, "codec": "mpeg4", "options": B_FRAMES},
    "a.mkv": {"gop": 6},
    "a.webm": {"codec": "libvpx-vp9", "gop": 6, "options": {"deadline": "realtime"}},
    "b.webm": {"codec": "libvpx", "gop": 6},
    "a.avi": {"codec": "mpeg4", "gop": 6, "options": B_FRAMES},
    "b.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "a.ts": {"gop": 6},
    "b.ts": {"codec": "mpeg2video", "gop": 6, "fps": 25, "options": B_FRAMES},
    "a.mpg": {"codec": "mpeg2video", "gop": 6, "fps": 25},
    "a.flv": {"gop": 6},
    "a.wmv": {"codec": "wmv2", "gop": 6},
    "a.gif": {"codec": "gif", "pixel_format": "rgb8", "fps": 10},
    "hevc.mp4": {"codec": "libx265", "preset": "ultrafast", "gop": 6, "options": {"x265-params": "log-level=none"}},
    "av1.mp4": {"codec": "libsvtav1", "gop": 8, "options": {"preset": "12"}},
    "a.h264": {"gop": 6},
}
ROUNDS = 60
SLOWEST = 20.0
MOST_MEMORY = 1 << 30


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Truncate, flip, zero, splice, duplicate or claim the largest number; often near the header, several at once."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        reach = len(changed) if rng.random() < 0.5 else min(len(changed), 1500)
        at = int(rng.integers(0, max(reach, 1)))
        length = int(rng.integers(1, max(len(changed) // 4, 2)))
        kind = int(rng.integers(0, 7))
        if kind == 0:
            del changed[max(at, 16) :]
        elif kind == 1:
            for place in rng.integers(0, max(reach, 1), int(rng.integers(1, 20))):
                changed[min(int(place), len(changed) - 1)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        elif kind == 3:
            begin = int(rng.integers(0, len(changed)))
            changed[at:at] = changed[begin : begin + length]
        elif kind == 4:
            changed += changed[at:]
        elif kind == 5:
            changed[at : at + 4] = bytes(rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x0f\xff\xff"]))
        else:
            del changed[at : at + length]
        if not changed:
            return b"\x00"
    return bytes(changed)


def look_at(path: Path) -> None:
    """Read a file in every way; whatever is wrong has to be said by a VideoError."""
    for span in ((0.0, 1.0), (0.4, 0.9)):
        found = read_clip(path, *span, 6)
        assert len(found) == len(found.times) and len(found) in (0, 6)
        assert len(found) == 6 or isinstance(found.error, VideoError)
    for read in (probe, lambda file: sum(1 for _ in zip(read_all(file), range(60), strict=False))):
        try:
            read(path)
        except VideoError as error:
            assert path.name in str(error)


def mutate_and_look(folder: Path, seed: Path, number: int, rounds: int) -> None:
    """Look at mutations of one file, each within its time."""
    data = seed.read_bytes()
    for turn in range(rounds):
        path = folder / f"{turn}{seed.suffix}"
        path.write_bytes(mutated(data, np.random.default_rng([number, turn])))
        begun = time.process_time()
        try:
            look_at(path)
        except Exception as error:
            raise AssertionError(f"mutation {turn} of {seed.name}: {type(error).__name__}: {error}") from error
        took = time.process_time() - begun
        assert took < SLOWEST, f"mutation {turn} of {seed.name} took {took:.1f} s of computing"
        path.unlink()


def test_mutated_videos_give_clear_errors_in_little_memory(tmp_path: Path) -> None:
    """In a process that may not have 1 GB more than it begins with."""
    for name, settings in SEEDS.items():
        film(tmp_path / name, **{"count": 24, "fps": 24, "height": 48, "width": 64, **settings})
    here = Path(__file__)
    paths = ":".join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, str(here), str(tmp_path), str(ROUNDS)],
        env={"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith(f"{len(SEEDS) * ROUNDS} mutations")
    assert "huge.gif none" in done.stdout and "huge.avi none" in done.stdout


def claim_huge_pictures(folder: Path) -> list[Path]:
    """Copies of files whose pictures claim 65535 x 65535 pixels, 12 GB each."""
    gif, avi = (bytearray((folder / name).read_bytes()) for name in ("a.gif", "b.avi"))
    gif[6:10] = b"\xff" * 4
    at = gif.index(b"\x2c", 13 + 3 * 256)
    gif[at + 5 : at + 9] = b"\xff" * 4
    at = -1
    while (at := avi.find(b"\xff\xc0\x00\x11", at + 1)) >= 0:
        avi[at + 5 : at + 9] = b"\xff" * 4
    paths = [folder / "huge.gif", folder / "huge.avi"]
    for path, data in zip(paths, (gif, avi), strict=True):
        path.write_bytes(data)
    return paths


def test_mutated_images_give_clear_errors(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    (image,) = pictures(1)
    for number, suffix in enumerate(["jpg", "png", "bmp", "webp", "tiff", "ppm"]):
        path = folder / f"{number}.{suffix}"
        Image.fromarray(image).save(path)
        data = path.read_bytes()
        for turn in range(25):
            path.write_bytes(mutated(data, np.random.default_rng([number, turn])))
            found = VideoLibrary(tmp_path, fps=1).read(Clip(video_id="v", start=0, stop=1), 2, size=32)
            assert found.error is None or isinstance(found.error, VideoError)
        path.unlink()


def test_a_transport_stream_without_packets(tmp_path: Path) -> None:
    """Its tables announce a video of which no packet follows."""
    whole = film(tmp_path / "a.ts", count=10).read_bytes()
    packets = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    announced = b"".join(p for p in packets if (p[1] & 31) << 8 | p[2] in (0, 17, 4096))
    for name, data in (("b.ts", announced * 20), ("c.ts", announced), ("d.ts", packets[0] * 40)):
        path = tmp_path / name
        path.write_bytes(data)
        assert isinstance(read_clip(path, 0, 1, 4).error, CorruptVideoError), name
        with pytest.raises(CorruptVideoError):
            probe(path)


def test_faults_are_no_plain_value_errors() -> None:
    assert issubclass(VideoError, InputError)


if __name__ == "__main__":
    from llavaction.base.errors import LlavactionError  # noqa: F401 (all that is read is loaded before the limit)

    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MOST_MEMORY, in_use + MOST_MEMORY))
    work = Path(sys.argv[1])
    (work / "mutated").mkdir()
    for claiming in claim_huge_pictures(work):
        look_at(claiming)
        print(claiming.name, read_clip(claiming, 0, 1, 4).status)
    for place, seed_name in enumerate(SEEDS):
        mutate_and_look(work / "mutated", work / seed_name, place, int(sys.argv[2]))
    print(f"{len(SEEDS) * int(sys.argv[2])} mutations")
