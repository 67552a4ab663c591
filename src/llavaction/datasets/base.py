"""What every reader of annotations offers, whatever form they have on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from llavaction.actions.segments import SegmentTable
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.base.text import shown


@dataclass(frozen=True)
class Remark:
    """Something noteworthy about one row of a file; ``refused`` rows are not in the table."""

    file: str
    line: int
    what: str
    refused: bool

    def __str__(self) -> str:
        return shown(f"{self.file}:{self.line}: {self.what}" + (" (row left out)" if self.refused else ""))


@dataclass(frozen=True)
class VideoFacts:
    """A row of EPIC_100_video_info.csv. ``duration`` in seconds, ``fps`` in frames per second."""

    duration: float
    fps: float
    resolution: str


class AnnotatedDataset(Protocol):
    """Annotated segments of videos: what questions, training records, specialists and recognition are made from.

    Attributes:
        folder: where they are.
        name, licence: of the data.
        notes: how the files were understood, and what is lost for want of some.
        remarks: rows that could not be used, or only with a remark, each with file and line.
    """

    folder: Path
    name: str
    licence: str
    notes: list[str]
    remarks: list[Remark]

    @property
    def splits(self) -> tuple[str, ...]:
        """The labelled splits that are there, train first."""

    @property
    def vocabulary(self) -> ActionVocabulary:
        """Classes and narrations."""

    @property
    def videos(self) -> Mapping[str, VideoFacts]:
        """Length and rate of each video, where they are known."""

    def segments(self, split: str, *, unlabelled: bool = False) -> SegmentTable:
        """The segments of a split in file order.

        Args:
            split: its name.
            unlabelled: where the split's classes are not known, take its list of segments without them; the classes are
                -1 then.

        Raises:
            InputError: there is no such split, or it has no usable row.
        """

    def files(self, split: str) -> tuple[Path, ...]:
        """The tables with a split's rows; one may hold those of other splits, too."""

    def refused(self, split: str) -> tuple[Sequence[Remark], int]:
        """The rows left out of the tables with a split's rows, once these are read, and how many rows they all have."""

    def sources(self, *splits: str) -> dict[str, str]:
        """Names and sha256 of the files that decide classes and the given splits."""

    def groups(self, split: str) -> Mapping[str, set[str]]:
        """Named subsets of a split's segment ids, for breakdowns."""
