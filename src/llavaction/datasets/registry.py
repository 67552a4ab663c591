"""Readers of annotations by the form of the folder."""

from __future__ import annotations

from pathlib import Path

from llavaction.base.registry import resolve
from llavaction.datasets.base import AnnotatedDataset

DATASETS: dict[str, str] = {
    "epic_kitchens": "llavaction.datasets.epic_kitchens:EpicKitchens",
    "epfl_smart_kitchen": "llavaction.datasets.epfl_smart_kitchen:EpflSmartKitchen",
    "meccano": "llavaction.datasets.meccano:Meccano",
    "label_table": "llavaction.datasets.label_table:LabelTable",
}
"""Name of a form to its reader, in the order tried; a reader says by ``recognises`` whether a folder is of its form."""


def open_annotations(folder: str | Path, form: str | None = None) -> AnnotatedDataset:
    """The annotations in a folder.

    Args:
        folder: holds the files.
        form: one of DATASETS; None takes the first that recognises the folder.

    Raises:
        InputError: the folder is missing, is of none of the forms, or its files cannot be read.
    """
    names = DATASETS if form is None else (form,)
    readers = [resolve(DATASETS, name, "form of annotations") for name in names]
    path = Path(folder)
    fitting = [reader for reader in readers if path.is_dir() and reader.recognises(path)]
    reader = (fitting or readers)[0]
    dataset: AnnotatedDataset = reader(path)
    return dataset
