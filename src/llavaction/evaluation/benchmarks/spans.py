"""Which span of which video a row of a file of questions is about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llavaction.actions.segments import END_OF_VIDEO, Clip
from llavaction.base.errors import InputError
from llavaction.datasets.cells import CellReader, no_value
from llavaction.evaluation.benchmarks.nesting import cell, filled, text
from llavaction.evaluation.benchmarks.protocol import Protocol
from llavaction.video.errors import MissingVideoError, VideoError
from llavaction.video.library import VideoLibrary
from llavaction.video.probe import probe


class Spans:
    """The clips of a file's rows.

    Args:
        protocol: how times and videos are told.
        videos: folder of the videos, for the lengths of those whose end is not told; None where there is none.

    Attributes:
        to_the_end: clips that go to the end of a video whose length is not known.
    """

    def __init__(self, protocol: Protocol, videos: Path | None) -> None:
        self._protocol, self._videos = protocol, videos
        self._library: VideoLibrary | None = None
        self._lengths: dict[str, float | None] = {}
        self.to_the_end = 0

    def clip(self, cells: Mapping[str, Any], reader: CellReader, line: int) -> Clip | None:
        """The clip of a row; None where the video's length is needed and cannot be read.

        Raises:
            InputError: it names no video, its times cannot be read, or it does not stop behind its start.
        """
        columns, video = self._protocol.columns, self._video(cells)
        if no_value(video):
            raise InputError("names no video")
        start = self._seconds(cells, columns.start or "start", reader, line)
        stop = self._seconds(cells, columns.stop or "stop", reader, line, is_stop=True)
        if stop is None:
            stop = END_OF_VIDEO if self._videos is None else self._length(video, self._videos)
            self.to_the_end += self._videos is None
        values = {"video_id": video, "start": start or 0.0, "stop": stop}
        return None if stop is None else Clip.from_mapping(values, file=reader.path, line=line)

    def missing(self, videos: set[str]) -> list[str]:
        """Those of the videos that are not in the folder, sorted; none where there is no folder to look in."""
        if self._videos is None:
            return []
        try:
            return self._opened(self._videos).missing(videos)
        except MissingVideoError:
            return []

    def _video(self, cells: Mapping[str, Any]) -> str:
        named = self._protocol.columns.video
        names = (named,) if isinstance(named, str) else named
        return next((video for video in (filled(name, cells) for name in names) if not no_value(video)), "")

    def _seconds(
        self, cells: Mapping[str, Any], column: str, reader: CellReader, line: int, is_stop: bool = False
    ) -> float | None:
        told, frames = text(cell(cells, column)), self._protocol.frames
        if no_value(told):
            return None
        if frames is None:
            return reader.seconds(told, column, line)
        rate = frames.fps if not isinstance(frames.fps, str) else text(cell(cells, frames.fps))
        fps = reader.number(str(rate), "frames per second")
        try:
            frame = float(told)
        except ValueError:
            raise InputError(f"{column} '{told:.60}' is no number of a frame") from None
        return round((frame + (is_stop and frames.stop_included)) / fps, 6)

    def _length(self, video: str, videos: Path) -> float | None:
        """Seconds of a video; None where it cannot be read."""
        library = self._opened(videos)
        if video not in self._lengths:
            try:
                self._lengths[video] = round(probe(library.path(video)).duration, 6)
            except VideoError:
                self._lengths[video] = None
        return self._lengths[video]

    def _opened(self, videos: Path) -> VideoLibrary:
        self._library = self._library or VideoLibrary(videos)
        return self._library
