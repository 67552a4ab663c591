"""Mixtures: which tasks, how much of each, and the folder of records that comes out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import joined_sources
from llavaction.base.progress import progress
from llavaction.base.records import Record, Strict, write_json, write_records
from llavaction.base.seeding import hashed_seed
from llavaction.base.version import __version__
from llavaction.curation.material import Material
from llavaction.curation.out_of_fold import load_out_of_fold
from llavaction.curation.records import TrainingRecord
from llavaction.curation.tasks import Task, TaskSettings, task_class, task_settings
from llavaction.datasets.base import AnnotatedDataset
from llavaction.runs.identity import hold_to_card

RECORDS, CARD = "records.jsonl", "card.json"
MOST_RECORDS = 2_000_000
"""Of one task; EPIC-KITCHENS-100 has 67,217 training segments."""


class MixtureConfig(Strict):
    """A mixture file. What comes out depends on it, the annotations and the predictions alone."""

    split: str = Field("train", description="Split to make records of.")
    seed: int = Field(0, description="Seed of every random choice.")
    tasks: tuple[Mapping[str, Any], ...] = Field(
        min_length=1, description="The tasks, each with its 'task' and that task's settings; see curation/tasks.py."
    )


class MixtureCard(Record):
    """What a folder of records is and how it was made."""

    name: str
    split: str
    seed: int
    licence: str
    made_by: str
    sources: Mapping[str, str] = Field(description="file name to sha256 of its bytes")
    counts: Mapping[str, int] = Field(description="records by the task's name in the mixture")
    left_out: Mapping[str, Mapping[str, int]] = Field(
        default_factory=dict, description="by the task's name: segments of which no record was made, by reason"
    )
    tasks: tuple[Mapping[str, Any], ...] = Field(description="the complete settings")
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Share:
    """A task with the segments it is applied to.

    Attributes:
        task: what makes the records.
        turns: (segment, number of the record among the segment's) in the order of the annotations.
        left_out: how many segments were refused, by reason.
    """

    task: Task
    turns: Sequence[tuple[Segment, int]]
    left_out: Mapping[str, int]


def load_mixture(path: str | Path) -> tuple[MixtureConfig, list[TaskSettings]]:
    """Read a mixture file and the settings of its tasks.

    Raises:
        InputError: the file is missing, is not YAML, has no tasks, or a key or a task is unknown (names the nearest).
    """
    path = Path(path)
    values = read_yaml(path)
    if not isinstance(values, dict) or not values.get("tasks"):
        raise InputError("the mixture is empty", file=path, hint="list tasks: 'tasks: [{task: direct_narration}]'")
    config = MixtureConfig.from_mapping(values, file=path)
    settings = [task_settings(entry, path) for entry in config.tasks]
    twice = [name for name, count in Counter(entry.name for entry in settings).items() if count > 1]
    if twice:
        raise InputError(f"two tasks are called '{twice[0]}'", file=path, hint="give each a 'name' of its own")
    return config, settings


def curate(
    dataset: AnnotatedDataset,
    mixture: str | Path,
    output: str | Path,
    *,
    split: str | None = None,
    predictions: Sequence[Path] = (),
) -> MixtureCard:
    """Make the records of a mixture and write them to a folder: ``records.jsonl`` and, last, ``card.json``.

    Records are written one at a time and the file appears when it is complete, so memory does not grow with their
    number and a killed run leaves no half folder.

    Args:
        dataset: the annotations.
        mixture: the mixture file.
        output: the folder.
        split: takes the place of the mixture's.
        predictions: out-of-fold predictions of a specialist, see :func:`load_out_of_fold`.

    Raises:
        InputError: the mixture is not valid, a task lacks what it needs, or no record at all can be made; or the
            folder holds records made otherwise.
    """
    config, settings = load_mixture(mixture)
    split = split or config.split
    table, vocabulary = dataset.segments(split), dataset.vocabulary
    foretold, notes = load_out_of_fold(predictions, table, vocabulary) if predictions else (None, [])
    durations = {video: facts.duration for video, facts in dataset.videos.items()}
    material = Material(table, vocabulary, split, config.seed, durations, foretold)
    shares = [take_share(task_class(entry.task)(entry, material)) for entry in settings]
    if not any(share.turns for share in shares):
        reasons = {share.task.settings.name: dict(share.left_out) for share in shares}
        raise InputError(f"the mixture is empty: no record can be made of split '{split}' ({reasons})", file=mixture)
    card = MixtureCard(
        name=f"{dataset.name} {Path(mixture).stem}",
        split=split,
        seed=config.seed,
        licence=dataset.licence,
        made_by=f"llavaction {__version__}",
        sources=joined_sources(
            joined_sources(dataset.sources(*dict.fromkeys(("train", split))), [Path(mixture)]), predictions
        ),
        counts={share.task.settings.name: len(share.turns) for share in shares},
        left_out={share.task.settings.name: share.left_out for share in shares if share.left_out},
        tasks=tuple(entry.model_dump(mode="json") for entry in settings),
        notes=(*dataset.notes, *notes),
    )
    folder = Path(output)
    hold_to_card(folder, card.model_dump(mode="json"))
    (folder / CARD).unlink(missing_ok=True)
    write_records(folder / RECORDS, (record for share in shares for record in records_of(share)))
    write_json(folder / CARD, card.model_dump(mode="json"))
    return card


def records_of(share: Share) -> Iterator[TrainingRecord]:
    """The records of a share, one at a time."""
    for segment, turn in progress(share.turns, share.task.settings.name):
        yield share.task.record(segment, turn)


def take_share(task: Task) -> Share:
    """Decide which segments a task is applied to, and how often, by its weight and its cap.

    A weight of 2.5 makes two records of every segment and a third of half of them. Which half, and which are kept under
    a cap, is drawn by hashing the segments' ids. No segment gets a second record before all have their first.
    """
    settings, seed = task.settings, task.material.seed
    left_out: Counter[str] = Counter()
    usable = []
    for segment in task.material.table:
        reason = task.refusal(segment)
        if reason is None:
            usable.append(segment)
        else:
            left_out[reason] += 1
    order = sorted(range(len(usable)), key=lambda i: hashed_seed("share", seed, settings.name, usable[i].segment_id))
    record_count = settings.weight * len(usable)
    record_count = round(record_count if settings.cap is None else min(record_count, settings.cap))
    if record_count > MOST_RECORDS:
        raise InputError(
            f"task '{settings.name}' would make {record_count:,} records of {len(usable):,} segments, more than "
            f"{MOST_RECORDS:,}",
            hint="give it a smaller weight or cap",
        )
    every = ((place, turn) for turn in range(math.ceil(settings.weight)) for place in order)
    turns = list(islice(every, record_count))
    skipped = len(usable) - len({place for place, _ in turns})
    if skipped:
        left_out["weight or cap"] = skipped
    return Share(task, [(usable[place], turn) for place, turn in sorted(turns)], dict(left_out))
