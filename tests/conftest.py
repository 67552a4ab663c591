"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real annotations, clips and golden numbers; they may not be redistributed, so most checkouts lack them."""
    if not (_SHARED / "data").is_dir():
        pytest.skip("needs ../shared (real annotations and clips that may not be redistributed)")
    return _SHARED
