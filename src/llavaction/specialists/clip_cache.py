"""The frames of a table of segments: decoded in worker processes, kept in memory where they fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from llavaction.actions.segments import Segment
from llavaction.base.byte_budget import loader_workers
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import FileFacts
from llavaction.base.loaders import Loader
from llavaction.base.progress import progress
from llavaction.specialists.config import SpecialistConfig
from llavaction.video.library import VideoLibrary
from llavaction.video.rates import Rates

DECODED_AT_ONCE = 16


@dataclass
class Faults:
    """What was wrong with videos, by segment id.

    Attributes:
        skipped: no frame could be decoded; the segment is left out.
        incomplete: other frames stand in for some that could not be.
    """

    skipped: dict[str, str] = field(default_factory=dict)
    incomplete: dict[str, str] = field(default_factory=dict)

    def summary(self, of: int) -> str:
        """A sentence for a person; empty where nothing was wrong."""
        parts = []
        for label, problems in (("left out", self.skipped), ("incomplete", self.incomplete)):
            if problems:
                name, problem = next(iter(problems.items()))
                parts.append(f"{len(problems)} of {of} segments {label} (first: {name}: {problem.splitlines()[0]})")
        return "; ".join(parts)


class ClipCache:
    """Frames of segments as bytes [frames, height, width, 3], by their place in the table.

    Args:
        segments: the table.
        videos: folder of the videos, in any layout that :class:`VideoLibrary` reads.
        config: frames, size, and how much memory may be used for keeping them.
        workers: processes that decode; 0 decodes here. The result does not depend on it.
        fps: frame rate of folders of extracted frames, where there are such; see :class:`VideoLibrary`.

    Raises:
        InputError: there is no such folder of videos, or it has none of the segments' videos.

    Attributes:
        segments: the table.
        config: the settings.
        faults: what was wrong so far.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        videos: str | Path,
        config: SpecialistConfig,
        workers: int = 0,
        fps: Rates | None = None,
    ) -> None:
        self.segments, self.config, self.faults = list(segments), config, Faults()
        self._library, self._workers = VideoLibrary(videos, fps=fps), workers
        self._shape = (config.frames, config.height, config.width, 3)
        names = {segment.video_id for segment in self.segments}
        separate = [segment.segment_id for segment in self.segments]
        if len(self._library.missing(names)) == len(names) and len(self._library.missing(separate)) == len(separate):
            raise InputError(
                f"has none of the {len(names)} videos of the segments", file=videos, hint="is it the right folder?"
            )
        keeps = len(self.segments) * int(np.prod(self._shape)) <= config.cache_gb * 1e9
        self._clip_of: dict[int, Tensor] | None = {} if keeps else None

    def facts(self, places: Iterable[int]) -> dict[str, FileFacts]:
        """What the videos of segments, given by their places, are known by."""
        segments = [self.segments[place] for place in places]
        return self._library.facts({(segment.video_id, segment.segment_id) for segment in segments})

    def batches(self, plan: Sequence[Sequence[int]], what: str = "") -> Iterator[tuple[list[int], Tensor]]:
        """Batches of the given segments, without those that cannot be decoded.

        Args:
            plan: places of each batch's segments.
            what: label of the progress bar.

        Yields:
            Places that could be decoded, and their frames [segments, frames, height, width, 3] as bytes. A batch
            of which nothing is left is yielded too.
        """
        if self._clip_of is not None:
            missing = sorted({place for batch in plan for place in batch} - self._clip_of.keys())
            if missing:
                chunks = [missing[i : i + DECODED_AT_ONCE] for i in range(0, len(missing), DECODED_AT_ONCE)]
                for places, frames in progress(self._decoded(chunks), f"{what} (decoding)", total=len(chunks)):
                    self._clip_of.update(zip(places, frames, strict=True))
                nothing = torch.zeros((0, *self._shape), dtype=torch.uint8)
                self._clip_of.update({place: nothing for place in missing if place not in self._clip_of})
            recalled = (self._recalled(batch, self._clip_of) for batch in plan)
            yield from progress(recalled, what, total=len(plan))
        else:
            yield from progress(self._decoded(plan), what, total=len(plan))

    def _recalled(self, batch: Sequence[int], clip_of: dict[int, Tensor]) -> tuple[list[int], Tensor]:
        places = [place for place in batch if len(clip_of[place])]
        return places, self._stack([clip_of[place] for place in places])

    def _stack(self, clips: list[Tensor]) -> Tensor:
        return torch.stack(clips) if clips else torch.zeros((0, *self._shape), dtype=torch.uint8)

    def _decoded(self, plan: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Tensor]]:
        clip, most = int(np.prod(self._shape)), max((len(batch) for batch in plan), default=1)
        workers, prefetch = loader_workers(min(self._workers, len(plan)), most * clip)
        loader = Loader(
            _Clips(self.segments, self._library, self._shape),
            workers,
            batch_sampler=[list(batch) for batch in plan],
            prefetch_factor=prefetch,
            collate_fn=list,
            generator=torch.Generator(),  # the global one is left alone
        )
        for batch in loader:
            for item in batch:
                if item.refused is not None:
                    raise item.refused
                name = self.segments[item.place].segment_id
                if item.problem:
                    (self.faults.skipped if item.frames is None else self.faults.incomplete)[name] = item.problem
            good = [(item.place, item.frames) for item in batch if item.frames is not None]
            yield [place for place, _ in good], self._stack([frames for _, frames in good])


@dataclass(frozen=True)
class _Decoded:
    place: int
    frames: Tensor | None
    problem: str
    refused: InputError | None = None


class _Clips(Dataset[_Decoded]):
    def __init__(self, segments: list[Segment], library: VideoLibrary, shape: tuple[int, ...]) -> None:
        self._segments, self._library, self._shape = segments, library, shape

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, place: int) -> _Decoded:
        segment = self._segments[place]
        count, height, width, _ = self._shape
        try:
            frames = self._library.read(segment.clip, count, segment_id=segment.segment_id, size=(height, width))
        except InputError as error:  # of the library, not of this video
            return _Decoded(place, None, "", error)
        except Exception as error:  # a decoder may raise anything on a damaged file
            return _Decoded(place, None, f"{type(error).__name__}: {error}")
        problem = str(frames.error) if frames.error is not None else ""
        return _Decoded(place, torch.from_numpy(frames.images) if len(frames) else None, problem)
