"""Clips as files of their own, for trainers that have no word for a span of a video."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.progress import progress
from llavaction.base.records import read_json, write_json
from llavaction.video.library import VideoLibrary
from llavaction.video.write import write_video

FPS, SHORT_SIDE, MOST_FRAMES = 8.0, 480, 256
SETTINGS = "cut.json"
"""Says how a folder's clips were cut."""
WORKERS = 8
"""At most; each holds the frames of a clip."""


@dataclass(frozen=True)
class Cut:
    """What came of cutting clips.

    Attributes:
        made: how many files were written.
        kept: how many were there already.
        failed: file name to what is wrong with its video.
    """

    made: int
    kept: int
    failed: Mapping[str, str] = field(default_factory=dict)


def cut_clips(
    clips: Mapping[str, tuple[Clip, str | None]],
    library: VideoLibrary,
    folder: Path,
    *,
    fps: float = FPS,
    short_side: int = SHORT_SIDE,
) -> Cut:
    """Write clips as H.264 files without sound; those that are there are left alone, so that a killed call goes on.

    Whatever the video's own rate, a clip's frames are taken evenly, ``fps`` a second, at least 2 and at most 256: a
    longer clip has fewer a second. They are turned the way they are meant to be seen, and larger ones made smaller. Of
    a clip that can be decoded in part, what is missing is stood in for as in training.

    Args:
        clips: file name to the clip, and the segment by whose name its video may be kept.
        library: the videos.
        folder: where the files go.
        fps: frames per second of the files.
        short_side: most pixels of the shorter side.

    Raises:
        InputError: the folder's clips were cut otherwise, a file cannot be written, or the library has frame folders of
            unknown rate.
    """
    settings = {"fps": fps, "short_side": short_side}
    note = folder / SETTINGS
    if note.is_file() and read_json(note) != settings:
        raise InputError(
            f"holds clips that were cut with {read_json(note)}, not {settings}",
            file=folder,
            hint="give another output folder, or delete this one to cut them again",
        )
    write_json(note, settings)
    todo = [name for name in clips if not (folder / name).is_file()]

    def one(name: str) -> str | None:
        clip, segment_id = clips[name]
        try:
            return _cut(clip, segment_id, library, folder / name, fps, short_side)
        except InputError:
            raise
        except Exception as error:  # a decoder may raise anything on a damaged file
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:
        problems = list(progress(pool.map(one, todo), "cutting clips", total=len(todo)))
    failed = {name: problem for name, problem in zip(todo, problems, strict=True) if problem is not None}
    return Cut(len(todo) - len(failed), len(clips) - len(todo), failed)


def _cut(
    clip: Clip, segment_id: str | None, library: VideoLibrary, path: Path, fps: float, short_side: int
) -> str | None:
    """Write one; what is wrong where there is no frame of it."""
    first = library.read(clip, 1, segment_id=segment_id)
    if not len(first):
        return str(first.error)
    height, width = first.images.shape[1:3]
    scale = min(1.0, short_side / min(height, width))
    count = min(max(2, round(clip.duration * fps)), MOST_FRAMES)
    frames = library.read(clip, count, segment_id=segment_id, size=(_even(height * scale), _even(width * scale)))
    if not len(frames):
        return str(frames.error)
    write_video(path, frames.images, Fraction(len(frames) / clip.duration).limit_denominator(1001))
    return None


def _even(length: float) -> int:
    """The nearest even length: most players take no other."""
    return max(2, 2 * round(length / 2))
