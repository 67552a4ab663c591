"""The mixture: records of several files, each with its weight and its cap, and what cannot be used of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256, read_records
from llavaction.base.seeding import hashed_rng
from llavaction.curation.records import TrainingRecord
from llavaction.models.action_config import CLASSES
from llavaction.training.config import RecordsConfig, StageConfig
from llavaction.video.library import VideoLibrary

MOST_IN_PASS = 20_000_000
"""Records in one pass; their order is held in memory."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """The records of a stage, with everything known before a video is decoded.

    Attributes:
        records: of all files, in order.
        frames: frames to take of each record's clip; 0 where there is none.
        shares: (first record, one past the last, weight) of every file.
        seed: decides which records a fraction of a pass holds.
        missing: videos that are not there, with how many records went with them.
    """

    records: Sequence[TrainingRecord]
    frames: Sequence[int]
    shares: Sequence[tuple[int, int, float]]
    seed: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)

    @property
    def pass_length(self) -> int:
        """Records in one pass, the repeated ones counted as often."""
        return sum(round(weight * (stop - first)) for first, stop, weight in self.shares)

    def known_by(self, stage: StageConfig, library: VideoLibrary | None) -> dict[str, Any]:
        """What tells these records from others: digests of their files, of which can be used, and of their videos."""
        names = "\n".join(record.record_id for record in self.records)
        facts_by_name = {**files_of_records(stage), "usable records": f"{len(self.records)} ({_digest(names)})"}
        if library is not None:
            facts = library.facts({(r.clip.video_id, r.segment_id) for r in self.records if r.clip is not None})
            contents = "\n".join(f"{name} {fact['sha256_of_parts']}" for name, fact in facts.items())
            facts_by_name["videos"] = f"{len(facts)} ({_digest(contents)})"
        return facts_by_name

    def one_pass(self, turn: int) -> NDArray[np.int64]:
        """The records of pass number ``turn``, shuffled, by index.

        A weight of 2.5 takes every record twice and half of them, other ones in every pass, a third time.
        """
        rng = hashed_rng("pass", self.seed, turn)
        parts = []
        for first, stop, weight in self.shares:
            indices = np.arange(first, stop)
            repeats = math.floor(weight)
            remainder = round(weight * len(indices)) - repeats * len(indices)
            parts += [np.tile(indices, repeats), rng.permutation(indices)[:remainder]]
        return rng.permutation(np.concatenate(parts)).astype(np.int64)


def files_of_records(stage: StageConfig) -> dict[str, str]:
    """Digests of a stage's files of records, those that are there."""
    return {
        f"{number}. file of records": file_sha256(of.path)[:16]
        for number, of in enumerate(stage.records, 1)
        if of.path.is_file()
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def load_mixture(stage: StageConfig, library: VideoLibrary | None, seed: int, sizes: Sequence[int] | None) -> Mixture:
    """Read the records of a stage.

    Records whose video is not in the library are left out and counted.

    Args:
        stage: its files, frames and caps.
        library: the videos, or None where there are none.
        seed: decides which records a cap keeps.
        sizes: classes of the model's verb, noun and action head; None for a model without, where labels have no effect.

    Raises:
        InputError: a file is missing, damaged or empty; a record needs videos and there are none, or is labelled with a
            class the heads do not have; no record at all can be used.
    """
    records: list[TrainingRecord] = []
    frames: list[int] = []
    shares: list[tuple[int, int, float]] = []
    missing: dict[str, int] = {}
    for config in stage.records:
        part = _capped(_read(config, library, sizes), config, seed)
        ids = {name for record in part if record.clip for name in (record.clip.video_id, record.segment_id) if name}
        absent = set() if library is None else set(library.missing(ids))
        first = len(records)
        for record in part:
            if record.clip is not None and record.clip.video_id in absent and record.segment_id in {None, *absent}:
                missing[record.clip.video_id] = missing.get(record.clip.video_id, 0) + 1
                continue
            records.append(record)
            frames.append(frames_of(record, config.num_frames or stage.num_frames, stage.frames_per_second))
        shares.append((first, len(records), config.weight))
    mixture = Mixture(records, frames, shares, seed, missing)
    if mixture.pass_length > MOST_IN_PASS:
        raise InputError(
            f"a pass over the mixture of stage '{stage.name}' has {mixture.pass_length:,} records, "
            f"more than {MOST_IN_PASS:,}",
            hint="give its files smaller weights",
        )
    if not mixture.pass_length:
        missing_count = sum(missing.values())
        left_out = f"; {missing_count} records of {len(missing)} missing videos were left out" if missing else ""
        raise InputError(
            f"the mixture of stage '{stage.name}' is empty{left_out}",
            file=stage.records[0].path if not missing else stage.videos,
            hint=f"the first missing video is '{min(missing)}'" if missing else "weights may round it down to nothing",
        )
    return mixture


def frames_of(record: TrainingRecord, most: int, per_second: float | None) -> int:
    """Frames to take of a record's clip."""
    if record.clip is None:
        return 0
    if per_second is None:
        return most
    return max(1, min(most, math.ceil(record.clip.duration * per_second)))


def _read(config: RecordsConfig, library: VideoLibrary | None, sizes: Sequence[int] | None) -> list[TrainingRecord]:
    records = []
    for record in read_records(config.path, TrainingRecord):
        name = f"record '{record.record_id}'"
        if record.clip is not None and library is None:
            raise InputError(f"{name} shows a clip, but there is no folder of videos", file=config.path, hint="videos=")
        if record.labels is not None and sizes is not None:
            values: dict[str, Any] = record.labels.model_dump()
            for kind, size in zip(CLASSES, sizes, strict=True):
                if values[kind] >= size:
                    raise InputError(
                        f"{name} is labelled {kind} class {values[kind]}, the model's {kind} head has {size} classes",
                        file=config.path,
                        hint="records and model must come from the same vocabulary",
                    )
        records.append(record)
    if not records:
        raise InputError("holds no training records", file=config.path)
    return records


def _capped(records: list[TrainingRecord], config: RecordsConfig, seed: int) -> list[TrainingRecord]:
    if config.cap is None or len(records) <= config.cap:
        return records
    indices = hashed_rng("cap", seed, config.path.name).permutation(len(records))[: config.cap]
    return [records[index] for index in sorted(indices)]
