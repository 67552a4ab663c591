"""Clips as files of their own, for trainers that have no word for a span of a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import Field

from llavaction.actions.segments import Clip
from llavaction.base.byte_budget import ByteBudget
from llavaction.base.errors import InputError
from llavaction.base.progress import progress
from llavaction.base.records import Record, read_json, write_json
from llavaction.curation.messages import FPS, SHORT_SIDE
from llavaction.runs.folder import RunFolder
from llavaction.video.errors import ShortVideoError
from llavaction.video.frames import Frames
from llavaction.video.library import VideoLibrary
from llavaction.video.rates import exact_rate
from llavaction.video.write import write_video

MOST_FRAMES = 256
SETTINGS, CUTS = "cut.json", "cuts.jsonl"
"""Say how a folder's clips were cut, and what became of each."""
WORKERS = 8
"""At most; each holds the frames of a clip."""


class CutClip(Record):
    """A clip that was cut."""

    file: str
    source: str = Field(description="digest of the video it was cut from")
    frames: int = Field(ge=1)
    stand_ins: tuple[int, ...] = Field(default=(), description="places of frames that stand in for missing ones")
    problem: str | None = Field(default=None, description="what kept the clip from being complete")


@dataclass(frozen=True)
class Cut:
    """What came of cutting clips.

    Attributes:
        written: how many files were written.
        present: how many were there already.
        partial: file name to what is missing in it, for clips that could be decoded only in part.
        failed: file name to what is wrong with its video.
    """

    written: int
    present: int
    partial: Mapping[str, CutClip] = field(default_factory=dict)
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
    longer clip has fewer a second. They are turned the way they are meant to be seen, and larger ones made smaller. A
    clip that goes past the video's end is as long as what is there of it; where frames are damaged, others stand in for
    them. Both are noted in ``cuts.jsonl``. A clip whose video has changed since is cut again.

    Args:
        clips: file name to the clip, and the segment by whose name its video may be kept.
        library: the videos.
        folder: where the files go.
        fps: frames per second of the files.
        short_side: most pixels of the shorter side.

    Raises:
        InputError: the folder's clips were cut otherwise, a file cannot be written, or the library has frame folders of
            unknown rate.
        RunLockedError: another process cuts clips into the folder.
    """
    settings = {"fps": fps, "short_side": short_side}
    note = folder / SETTINGS
    if note.is_file() and read_json(note) != settings:
        raise InputError(
            f"holds clips that were cut with {read_json(note)}, not {settings}",
            file=folder,
            hint="give another output folder, or delete this one to cut them again",
        )

    def one(name: str) -> CutClip | str:
        clip, segment_id = clips[name]
        try:
            read = partial(library.read, segment_id=segment_id)
            return _cut(clip, read, folder / name, fps, short_side, sources[name], budget)
        except InputError:
            raise
        except Exception as error:  # a decoder may raise anything on a damaged file
            return f"{type(error).__name__}: {error}"

    clip_count, failed, budget = 0, {}, ByteBudget()
    with RunFolder(folder) as home:
        journal = home.journal(CUTS, CutClip, "file")
        write_json(note, settings)
        sources = _sources(clips, library)
        todo = [
            name
            for name in clips
            if name not in journal.done or journal.done[name].source != sources[name] or not (folder / name).is_file()
        ]
        with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:
            results = progress(pool.map(one, todo), "cutting clips", total=len(todo))
            for name, result in zip(todo, results, strict=True):
                if isinstance(result, CutClip):
                    journal.append([result])
                    clip_count += 1
                else:
                    failed[name] = result
        cut = {name: journal.done[name] for name in clips if name in journal.done and name not in failed}
        journal.rewrite(journal.done.values())
    incomplete = {name: clip_entry for name, clip_entry in cut.items() if clip_entry.problem is not None}
    return Cut(clip_count, len(clips) - len(todo), incomplete, failed)


def _sources(clips: Mapping[str, tuple[Clip, str | None]], library: VideoLibrary) -> dict[str, str]:
    """Digest of each clip's video; empty where there is none."""
    ids = {name: (clip.video_id, segment_id) for name, (clip, segment_id) in clips.items()}
    digests = {}
    for key in set(ids.values()):
        facts = library.facts([key])
        digests[key] = next((fact["sha256_of_parts"] for fact in facts.values()), "")
    return {name: digests[key] for name, key in ids.items()}


def _cut(
    clip: Clip, read: Callable[..., Frames], path: Path, fps: float, short_side: int, source: str, budget: ByteBudget
) -> CutClip | str:
    """Write one; what is wrong where there is no frame of it."""
    first = read(clip, 1)
    if not len(first):
        return str(first.error)
    height, width = first.images.shape[1:3]
    scale = min(1.0, short_side / min(height, width))
    size = _even(height * scale), _even(width * scale)
    count = min(max(2, round(clip.duration * fps)), MOST_FRAMES)
    rate = count / clip.duration
    with budget.room(2 * count * size[0] * size[1] * 3):  # a second time where the clip is shorter than it was to be
        frames = read(clip, count, size=size)
        problem = None if frames.error is None else frames.error.problem
        present = max(1, count - _past_the_end(frames))
        if present < count:  # the file is shorter, not slower
            until = Clip(video_id=clip.video_id, start=clip.start, stop=clip.start + present / rate)
            frames = read(until, present, size=size)
        if not len(frames):
            return str(frames.error)
        write_video(path, frames.images, exact_rate(rate))
        return CutClip(file=path.name, source=source, frames=len(frames), stand_ins=frames.stand_ins, problem=problem)


def _past_the_end(frames: Frames) -> int:
    """Frames at the end of a clip whose moments lie past the video's end."""
    if not isinstance(frames.error, ShortVideoError):
        return 0
    missing, row = set(frames.stand_ins), len(frames) - 1
    while row in missing:
        row -= 1
    return len(frames) - 1 - row


def _even(length: float) -> int:
    """The nearest even length: most players take no other."""
    return max(2, 2 * round(length / 2))
