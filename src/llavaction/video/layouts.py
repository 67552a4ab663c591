"""Finding the videos under a folder, however they are laid out.

=================  ======================================================  ==================================
kind               looks like                                              video id
=================  ======================================================  ==================================
``VIDEO``          ``P01_01.mp4``, ``P01/P01_01.MP4``, ``P01/videos/...``  the file's name without its suffix
``CHUNKS``         ``P01/P01_01.MP4/0.MP4``, ``15.MP4``, ``30.MP4``, ...   the folder's name, same
``FRAMES``         ``P01/rgb_frames/P01_01/frame_0000000001.jpg``, ...     the folder's name
=================  ======================================================  ==================================

One file per segment looks like whole videos; the names tell (see :class:`llavaction.video.library.VideoLibrary`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from llavaction.video.sequences import is_image

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".gif",
    ".3gp", ".ogv",
}  # fmt: skip
PLAIN_FOLDERS = {"rgb_frames", "frames", "rgb", "images", "img"}
"""Names of frame folders that say nothing; the video is then named by the folder above."""

LEFT_OUT = {"flow_frames", "flow", "flow_x", "flow_y", "depth", "masks"}
"""Folders that hold something else than pictures of the video."""

DEEPEST = 6
"""Levels of folders that are searched."""

LOOKED_AT = 64
"""Entries of a folder by which it is judged to hold the frames of a video; it may hold a million."""


class Kind(StrEnum):
    """How a video is kept."""

    VIDEO = "videos"
    CHUNKS = "chunks"
    FRAMES = "frames"


@dataclass(frozen=True)
class Source:
    """Where a video is kept.

    Attributes:
        kind: how it is kept.
        path: the file, or the folder of chunks or frames.
        name: its place under the root without suffix, "/" between folders.
        chunks: of a chunk folder, (first second, file) by time.
    """

    kind: Kind
    path: Path
    name: str
    chunks: tuple[tuple[int, Path], ...] = ()

    @property
    def video_id(self) -> str:
        """The last part of ``name``, by which annotations call it."""
        return PurePosixPath(self.name).name


def find_sources(root: Path) -> list[Source]:
    """Every video under ``root``, by name; hidden files and folders are left out.

    Links are followed, but no folder is entered by more than one of them: a link back up leads nowhere new.
    """
    linked = {os.path.realpath(root)}
    return sorted(_search(root, root, DEEPEST, linked), key=lambda source: (source.name, source.kind, source.path))


def _search(folder: Path, root: Path, depth: int, linked: set[str]) -> Iterator[Source]:
    if folder != root and _holds_frames(folder):
        video_folder = folder.parent if folder.name.lower() in PLAIN_FOLDERS and folder.parent != root else folder
        yield Source(Kind.FRAMES, folder, video_folder.relative_to(root).as_posix())
        return
    folders, videos = [], []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                target = os.path.realpath(entry.path) if entry.is_symlink() else None
                if target not in linked:
                    folders.append(Path(entry.path))
                    linked.update([target] if target else [])
            elif _suffix(entry.name) in VIDEO_SUFFIXES:
                videos.append(Path(entry.path))
    chunks = _chunks(folder, videos) if folder != root else ()
    if chunks:
        yield Source(Kind.CHUNKS, folder, _without_suffix(folder.relative_to(root).as_posix()), chunks)
    else:
        for video in videos:
            yield Source(Kind.VIDEO, video, _without_suffix(video.relative_to(root).as_posix()))
    for inner in sorted(folders):
        if depth > 1 and inner.name.lower() not in LEFT_OUT:
            yield from _search(inner, root, depth - 1, linked)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _without_suffix(name: str) -> str:
    return name[: -len(_suffix(name))] if _suffix(name) in VIDEO_SUFFIXES else name


def _holds_frames(folder: Path) -> bool:
    numbered = 0
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count >= LOOKED_AT:
                break
            if _suffix(entry.name) in VIDEO_SUFFIXES:
                return False
            numbered += is_image(entry.name)
    return numbered > 0


def _chunks(folder: Path, videos: list[Path]) -> tuple[tuple[int, Path], ...]:
    """The chunks of a folder that holds nothing but videos named by their first second, one step apart.

    A folder named like a video file needs no second chunk to be one; otherwise the numbers have to be multiples of a
    step of at least 2 beginning at 0 (videos may be numbered 0, 1, 2, ... as well).
    """
    if not videos or not all(video.stem.isdecimal() for video in videos):
        return ()
    chunks = tuple(sorted((int(video.stem), video) for video in videos))
    starts = [start for start, _ in chunks]
    if len(set(starts)) < len(starts):
        return ()
    step = chunk_length(starts)
    even = step is not None and step >= 2 and all(start % step == 0 for start in starts)
    has_suffix = folder.suffix.lower() in VIDEO_SUFFIXES
    return chunks if (even and (has_suffix or starts[0] == 0)) or (has_suffix and step is None) else ()


def chunk_length(starts: list[int]) -> int | None:
    """Seconds per chunk by the chunks' first seconds; None where there is only one that begins at 0."""
    steps = [later - earlier for earlier, later in zip([0, *starts], starts, strict=False) if later > earlier]
    return min(steps) if steps else None
