"""The mini model a training starts from: its words are those of the records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kitchen_mini.model.config import MiniConfig
from kitchen_mini.model.mini import write_mini
from llavaction.base.records import read_records
from llavaction.curation.records import TrainingRecord
from llavaction.training.config import TrainConfig


def write(folder: Path, config: TrainConfig) -> None:
    """Write a mini model of the shape that a recipe's ``start`` says."""
    write_mini(folder, _texts(config), MiniConfig.from_mapping(config.start), config.seed)


def _texts(config: TrainConfig) -> Iterator[str]:
    """What is said in the records of all stages; files that several stages share are read once."""
    for path in dict.fromkeys(records.path for stage in config.resolved() for records in stage.records):
        for record in read_records(path, TrainingRecord):
            yield from (message.content for message in record.messages)
            if record.words is not None:
                yield f" {record.words}"
