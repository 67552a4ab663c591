"""What the tests of curation share."""

from __future__ import annotations

import pytest

from helpers.kitchen_days import day
from llavaction.datasets.epic_kitchens import EpicKitchens


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> EpicKitchens:
    """The made-up day."""
    return day(tmp_path_factory.mktemp("day") / "annotations")
