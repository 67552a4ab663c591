"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.annotation_files import random_rows, write_annotations

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models, several test processes: threads only get in the way

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of caches that is not the user's."""
    folder = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real annotations, clips and golden numbers; they may not be redistributed, so most checkouts lack them."""
    if not (_SHARED / "data").is_dir():
        pytest.skip("needs ../shared (real annotations and clips that may not be redistributed)")
    return _SHARED


@pytest.fixture(scope="session")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up annotation folder: 12 validation videos of 60 segments, 7 verbs, 10 nouns, and a training split."""
    rows = {"validation": random_rows(12, 60, 0), "train": random_rows(9, 80, 1)}
    return write_annotations(tmp_path_factory.mktemp("annotations"), rows)
