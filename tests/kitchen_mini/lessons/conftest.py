"""What the tests of the lessons share with those of training and of curation."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.kitchen_days import day
from helpers.kitchenette import film_colours, write_benchmark, write_mixture
from llavaction.datasets.epic_kitchens import EpicKitchens


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``videos``, ``records.jsonl`` and ``benchmark``."""
    folder = tmp_path_factory.mktemp("kitchenette")
    film_colours(folder / "videos")
    write_mixture(folder / "records.jsonl")
    write_benchmark(folder / "benchmark")
    return folder


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> EpicKitchens:
    """The made-up day."""
    return day(tmp_path_factory.mktemp("day") / "annotations")
