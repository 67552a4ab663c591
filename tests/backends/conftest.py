"""Tiny checkpoints and backends on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.asking import make_frames, make_query
from llavaction.backends.base import Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.testing.tiny import FAMILIES, write_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tiny checkpoint folder per family."""
    return {family: write_tiny(tmp_path_factory.mktemp("tiny") / family, family) for family in FAMILIES}


@pytest.fixture(scope="session")
def make(tiny: dict[str, Path]) -> Callable[..., HuggingFaceBackend]:
    """Make a backend on a tiny checkpoint; equal calls get the same one."""
    made: dict[object, HuggingFaceBackend] = {}

    def one(family: str = "llava_onevision", **options: object) -> HuggingFaceBackend:
        key = (family, *sorted(options.items()))
        if key not in made:
            values = {"path": tiny[family], "frames": 4, "device": "cpu", **options}
            made[key] = HuggingFaceBackend(HuggingFaceConfig.from_mapping(values))
        return made[key]

    return one


@pytest.fixture
def mixed() -> list[Query]:
    """Four questions of different length, number of options, number of frames and frame size."""
    return [
        make_query(0, 5, make_frames(0, 4)),
        make_query(1, 3, make_frames(1, 4, 120, 96), words="What is the person in the kitchen doing right now?"),
        make_query(2, 26, make_frames(2, 3, 64, 64)),
        make_query(3, 7, make_frames(3, 6, 200, 90), words="Which?"),
    ]
