"""A small made-up day in a kitchen for the tests of curation."""

from __future__ import annotations

from pathlib import Path

from helpers.annotation_files import random_rows, segment_row, write_annotations
from llavaction.curation.material import Material
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.specialists.predictions import SpecialistPrediction

TAKE, PUT, WASH, CUT = 0, 1, 3, 6
PLATE, KNIFE, PAN, ONION = 0, 2, 5, 8


def day(folder: Path) -> EpicKitchens:
    """One training video with known times, and others at random for the frequencies of classes."""
    rows = [
        segment_row(0, "P09_01", 1.0, 2.0, TAKE, KNIFE, text="grab knife"),
        segment_row(1, "P09_01", 2.5, 4.0, CUT, ONION, nouns=(KNIFE,), text="slice onion with knife"),
        segment_row(2, "P09_01", 6.0, 9.0, PUT, KNIFE),
        segment_row(3, "P09_01", 9.5, 12.0, WASH, PAN),  # overlaps the next, which ends first
        segment_row(4, "P09_01", 10.0, 11.0, TAKE, PLATE),
        segment_row(5, "P09_01", 30.0, 31.0, PUT, PLATE),
    ]
    return EpicKitchens(
        write_annotations(folder, {"train": rows + random_rows(6, 40, 1), "validation": random_rows(2, 40, 2)})
    )


def predictions(dataset: EpicKitchens, folds: int = 3) -> dict[str, SpecialistPrediction]:
    """All classes for each training segment, the right one second."""
    found = {}
    for number, segment in enumerate(dataset.segments("train")):
        others = [action for action in dataset.vocabulary.actions if action != segment.action]
        ranked = [others[0], segment.action, *others[1:]]
        found[segment.segment_id] = SpecialistPrediction(
            segment_id=segment.segment_id,
            actions=tuple(ranked),
            scores=tuple(-float(i) for i in range(len(ranked))),
            fold=number % folds,
            clip=segment.clip,
        )
    return found


def material(dataset: EpicKitchens, seed: int = 0, **changes: object) -> Material:
    """What tasks are given."""
    values = {"predictions": predictions(dataset)} | changes
    return Material(dataset.segments("train"), dataset.vocabulary, "train", seed, **values)
