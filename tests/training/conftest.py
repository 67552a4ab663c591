"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.kitchenette import film_colours, write_benchmark, write_mixture


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``videos``, ``records.jsonl`` and ``benchmark``."""
    folder = tmp_path_factory.mktemp("kitchenette")
    film_colours(folder / "videos")
    write_mixture(folder / "records.jsonl")
    write_benchmark(folder / "benchmark")
    return folder
