"""The videos of a data set: one folder, whatever its layout, read by video id."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import FileFacts, path_facts, with_setting
from llavaction.video.chunks import chunks_length, images_length, read_chunks, read_images
from llavaction.video.decode import read_clip
from llavaction.video.errors import MissingVideoError, VideoError
from llavaction.video.frames import Frames, Side, Size
from llavaction.video.layouts import Kind, Source, find_sources
from llavaction.video.rates import FILE_NAME, Rate, Rates, rate_of, read_rates
from llavaction.video.reader import VideoReader
from llavaction.video.sampling import Draws
from llavaction.video.sequences import image_sequence

PREFERENCE = (Kind.VIDEO, Kind.CHUNKS, Kind.FRAMES)
"""Which to read where a video is kept in several ways."""

NAMES_COMPARED = 2000
"""Known ids a mistyped one is compared with; a data set may have a hundred thousand."""


class VideoLibrary:
    """Videos under one folder.

    Whole videos, folders of chunks (``P01/P01_01.MP4/0.MP4``, ``15.MP4``), folders of extracted frames and one file
    per segment are told apart by themselves, and may be mixed; the folder is searched once, here. A video is found by
    its name without suffix, by its name, or by its path under the root with or without suffix, in upper or lower case.
    Where one is kept in several ways, whole files are preferred to chunks, and chunks to frames.

    Args:
        root: the folder.
        fps: frames per second at which frame folders were extracted: one number, or one per video id, see
            :mod:`llavaction.video.rates`. None takes the file ``fps.json`` of the folder, if there is one. Image files
            do not tell it, so it has no other default; the other layouts do not use it.

    Raises:
        MissingVideoError: there is no such folder, or it holds no video.
        InputError: the folder's ``fps.json`` cannot be read.
    """

    def __init__(self, root: str | Path, fps: Rates | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise MissingVideoError("no such folder of videos", file=self.root)
        listed = self.root / FILE_NAME
        self._rates: Rates | None = read_rates(listed) if fps is None and listed.is_file() else fps
        self._sources = find_sources(self.root)
        if not self._sources:
            raise MissingVideoError(
                "holds no videos: expected files such as P01_01.MP4, P01/P01_01.MP4, P01/P01_01.MP4/0.MP4, "
                "or folders of numbered images",
                file=self.root,
            )
        self._by_name: dict[str, list[Source]] = {}
        for source in self._sources:
            suffix = source.path.suffix if source.kind is Kind.VIDEO else ""
            for name in {source.name, source.video_id, source.name + suffix, source.video_id + suffix}:
                self._by_name.setdefault(name.casefold(), []).append(source)

    @property
    def layout(self) -> str:
        """How the videos are kept: "videos", "chunks", "frames" or "mixed"."""
        kinds = {source.kind for source in self._sources}
        return str(kinds.pop()) if len(kinds) == 1 else "mixed"

    @property
    def known_by(self) -> str:
        """What decides which pictures a clip has, but for the files themselves."""
        return f"{self.root} {self._rates!r}"

    @property
    def video_ids(self) -> list[str]:
        """Ids of all videos there are, sorted."""
        return sorted({source.video_id for source in self._sources})

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Those of the video (or segment) ids for which nothing is found, sorted, each once."""
        return sorted({name for name in ids if name.casefold() not in self._by_name})

    def path(self, video_id: str, segment_id: str | None = None) -> Path:
        """The file of a video, or its folder of chunks or frames; the segment's where only that is there.

        Raises:
            MissingVideoError: there is none, or there are several and the id does not tell which.
        """
        return self._find(video_id, segment_id)[0].path

    def length(self, video_id: str, segment_id: str | None = None) -> float:
        """Seconds from a video's beginning to the end of its last frame; nothing is decoded to know it.

        Args:
            video_id: the video.
            segment_id: name of the segment's own file, whose length it is where the video is not there.

        Raises:
            MissingVideoError: there is none, or there are several and the id does not tell which.
            VideoError: it cannot be opened, or is a folder of images at an unknown rate.
            InputError: it is a folder of images and no rate is given.
        """
        source = self._find(video_id, segment_id)[0]
        if source.kind is Kind.CHUNKS:
            return chunks_length(source)
        if source.kind is Kind.FRAMES:
            return images_length(source, self._frame_rate(source))
        with VideoReader(source.path) as video:
            return video.timeline.duration

    def facts(self, ids: Iterable[tuple[str, str | None]]) -> dict[str, FileFacts]:
        """What the videos of (video id, segment id or None) are known by, by that id, sorted.

        A video of another suffix or layout under the same id is another one, and so is a folder of images at another
        frame rate. Videos that are not there, or whose id does not tell which of several is meant, are left out.
        """
        sources: dict[str, Source] = {}
        for video_id, segment_id in ids:
            with contextlib.suppress(MissingVideoError):
                source, is_segment = self._find(video_id, segment_id)
                sources[segment_id if is_segment and segment_id else video_id] = source
        return {name: self._facts(sources[name]) for name in sorted(sources)}

    def _facts(self, source: Source) -> FileFacts:
        facts = path_facts(source.path)
        rate = rate_of(self._rates, (source.video_id, source.name)) if source.kind is Kind.FRAMES else None
        return facts if rate is None else with_setting(facts, repr(rate))

    def read(
        self,
        clip: Clip,
        count: int,
        *,
        segment_id: str | None = None,
        size: Size = None,
        side: Side = "short",
        jitter: Draws | None = None,
        strict: bool = False,
    ) -> Frames:
        """Read ``count`` frames of a clip.

        Args:
            clip: video and span.
            count: how many frames.
            segment_id: name of the segment's own file, if segments have one each and the video is not there. It is
                read from beginning to end, and ``times`` count on from ``clip.start``.
            size: as for :func:`llavaction.video.decode.read_clip`.
            side: as there.
            jitter: as there.
            strict: raise what is wrong instead of returning it.

        Returns:
            As :func:`llavaction.video.decode.read_clip`; a video that is not there gives no frames and a
            MissingVideoError.

        Raises:
            VideoError: ``strict`` is set and something is wrong with the video.
            InputError: a frame folder but no ``fps``; ``count`` or ``size`` is less than 1; or the clip goes to the end
                of a video whose length was not read.
        """
        if clip.ends_with_video:
            raise InputError(
                f"where the clip of '{clip.video_id}' stops is not known, for the questions were read without videos",
                hint="give --videos, or the key 'videos' in the benchmark's description, and a new run folder",
            )
        try:
            source, is_segment = self._find(clip.video_id, segment_id)
            start, stop = (0.0, None) if is_segment else (clip.start, clip.stop)
            frames = self._read(source, start, stop, count, size=size, side=side, jitter=jitter)
            if is_segment:
                frames = replace(frames, times=frames.times + clip.start)
        except VideoError as error:
            frames = Frames.nothing(error)
        return frames.checked(strict)

    def _read(self, source: Source, start: float, stop: float | None, count: int, **picture: Any) -> Frames:
        if source.kind is Kind.VIDEO:
            return read_clip(source.path, start, stop, count, **picture)
        if source.kind is Kind.CHUNKS:
            return read_chunks(source, start, stop, count, **picture)
        return read_images(source, start, stop, count, rate=self._frame_rate(source), **picture)

    def _frame_rate(self, source: Source) -> Rate:
        rate = rate_of(self._rates, (source.video_id, source.name))
        if rate is not None:
            return rate
        if image_sequence(source.path, source.path.stat().st_mtime_ns, None, None).times is not None:
            return Rate()  # the images' names tell their times
        if self._rates is not None:
            raise VideoError(f"no frame rate is known for video '{source.video_id}'", file=source.path)
        raise InputError(
            "is a folder of images, which do not tell their frame rate",
            file=source.path,
            hint="give fps, the frames per second at which they were extracted: one number, or one per video in a file "
            f"such as {FILE_NAME} beside the videos",
        )

    def _find(self, video_id: str, segment_id: str | None) -> tuple[Source, bool]:
        """Where a video is kept, or else its segment; and whether it is the segment."""
        for name, is_segment in ((video_id, False), (segment_id, True)):
            sources = self._by_name.get(name.casefold(), []) if name else []
            if sources and name:
                return self._best(name, sources), is_segment
        either = f"'{video_id}'" + (f" or segment '{segment_id}'" if segment_id else "")
        problem = f"no video {either} among the {len(self._sources)} videos below (layout: {self.layout})"
        raise MissingVideoError(problem, file=self.root, hint=self._nearest(video_id))

    def _best(self, name: str, sources: list[Source]) -> Source:
        spelled = [source for source in sources if name in (source.name, source.video_id, source.path.name)]
        best = min(spelled or sources, key=lambda source: PREFERENCE.index(source.kind))
        alike = [source for source in spelled or sources if source.kind is best.kind]
        rivals = list({_identity(source.path): source for source in reversed(alike)}.values())[::-1]
        if len(rivals) > 1:
            places = ", ".join(str(source.path.relative_to(self.root)) for source in rivals[:4])
            problem = f"{len(rivals)} videos are called '{name}': {places}"
            raise MissingVideoError(problem, file=self.root, hint="name it by its path under this folder")
        return best

    def _nearest(self, video_id: str) -> str:
        video_ids = self.video_ids
        alike = [name for name in video_ids if name[:3].casefold() == video_id[:3].casefold()] or video_ids
        near = difflib.get_close_matches(video_id, alike[:NAMES_COMPARED], n=1)
        return f"did you mean '{near[0]}'?" if near else f"there are, for example: {', '.join(video_ids[:3])}"


def _identity(path: Path) -> object:
    """What tells a file or folder from others whatever it is called: links lead to the same one."""
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino
