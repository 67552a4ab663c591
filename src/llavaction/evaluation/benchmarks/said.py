"""Subtitles of the videos that questions are about, found in a folder while the questions are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks.nesting import cell, text
from llavaction.evaluation.benchmarks.protocol import Protocol
from llavaction.questions.subtitle_files import parse_subtitles, subtitle_file
from llavaction.questions.subtitles import Subtitle


class SaidInVideos:
    """What is said in each video of a benchmark.

    Args:
        protocol: with its folder of subtitles, if there is one.

    Attributes:
        by_video: lines by video, of those that have some.
        missing: videos without a file of subtitles.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._folder, self._columns = protocol.subtitles, protocol.columns
        if self._folder is not None and not self._folder.is_dir():
            raise InputError("no such folder of subtitles", file=self._folder)
        self.by_video: dict[str, Sequence[Subtitle]] = {}
        self._seen: set[str] = set()
        self.missing = 0

    def add(self, video_id: str, cells: Mapping[str, Any]) -> None:
        """Read the subtitles of a row's video, unless they were read already.

        Raises:
            InputError: the file is of no known form.
        """
        if self._folder is None or video_id in self._seen:
            return
        self._seen.add(video_id)
        told = text(cell(cells, self._columns.subtitles)) if self._columns.subtitles else ""
        names = [told] if told else list(dict.fromkeys((video_id, PurePosixPath(video_id).name)))
        file = next((found for name in names if (found := subtitle_file(self._folder, name))), None)
        if file is None:
            self.missing += 1
            return
        begin = text(cell(cells, self._columns.subtitles_begin)) if self._columns.subtitles_begin else ""
        try:
            self.by_video[video_id] = parse_subtitles(file, float(begin or 0))
        except ValueError:
            raise InputError(f"the subtitles' beginning '{begin:.40}' is no number of seconds") from None
