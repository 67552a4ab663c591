"""Scores of a prediction that is under way: on disk batch by batch, so that a killed one goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.base.files import clear_away
from llavaction.runs.folder import RunFolder
from llavaction.runs.locks import PATIENCE
from llavaction.specialists.classifier import read_notes, read_tensors, write_tensors
from llavaction.specialists.clip_cache import ClipCache

RUN, PARTS = ".run", "scores"
"""What is put behind the name of the output for the folder beside it, and that folder's folder of parts."""
HEADS = ("verbs", "nouns", "actions")

_USED = {"segment_id", "video_id", "start", "stop"}


class ScoreParts:
    """A folder with one file of scores per batch.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, batch: int, cache: ClipCache) -> tuple[list[str], list[NDArray[np.float32]]] | None:
        """Ids and scores [segments, classes] per head of a batch, faults added to the clip cache's.

        Returns:
            None for a batch that is to be made: it is not there, or one of its segments could not be decoded, whose
            video may have come since.

        Raises:
            InputError: the file is damaged.
        """
        path = self._path(batch)
        if not path.is_file():
            return None
        tensors, notes = read_tensors(path), read_notes(path)
        names, incomplete = notes.get("segments"), notes.get("incomplete")
        if not isinstance(names, list) or not isinstance(incomplete, dict):
            raise InputError("is no part of a prediction", file=path, hint="delete it: it is made again")
        cache.faults.incomplete.update(incomplete)
        return names, [tensors[head].numpy() for head in HEADS if head in tensors]

    def save(self, batch: int, names: Sequence[str], columns: Sequence[NDArray[np.float32]], cache: ClipCache) -> None:
        """Keep a batch of whose segments every one could be decoded.

        Args:
            batch: its number.
            names: ids of its segments.
            columns: their scores [segments, classes] per head.
            cache: has their faults.

        Raises:
            InputError: the disk does not take it.
        """
        tensors = dict(zip(HEADS, map(torch.from_numpy, columns), strict=False))
        faults = cache.faults.incomplete
        incomplete = {name: faults[name] for name in names if name in faults}
        write_tensors(self._path(batch), tensors, {"segments": list(names), "incomplete": incomplete})

    def _path(self, batch: int) -> Path:
        return self._folder / f"{batch:06d}.safetensors"


@contextmanager
def score_parts(output: Path, cache: ClipCache, config: Mapping[str, Any]) -> Iterator[ScoreParts]:
    """The parts of the prediction that ``output`` is to hold, for the block that makes it; gone once it is made.

    Beside the output stays a folder that says how it was made: ``config.yaml``, ``videos.json``, ``environment.json``.

    Args:
        output: the file of predictions.
        cache: the segments and their videos.
        config: everything else that decides what is predicted; see :meth:`RunFolder.settle`.

    Raises:
        InputError: the output, or what there is of it, was made with other settings, segments or videos.
        RunLockedError: another process makes it.
    """
    folder = output.with_name(output.name + RUN)
    parts = folder / PARTS
    if output.exists() and not (folder / "config.yaml").is_file():
        raise InputError(
            "exists, and nothing beside it says how it was made",
            file=output,
            hint="delete it, or give another --output",
        )
    lines = "".join(segment.model_dump_json(include=_USED) + "\n" for segment in cache.segments)
    settings = {**config, "segments_sha256": hashlib.sha256(lines.encode()).hexdigest()}
    with RunFolder(folder, PATIENCE) as home:
        started = output.exists() or parts.is_dir()
        videos = cache.facts(range(len(cache.segments)))
        home.settle({"schema_version": 1, **settings}, started=started, videos=videos)
        yield ScoreParts(parts)
        clear_away(parts)
