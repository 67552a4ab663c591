from __future__ import annotations

import pytest

from helpers.evaluation_fakes import make_benchmark
from llavaction.questions.schema import Benchmark


@pytest.fixture
def benchmark() -> Benchmark:
    return make_benchmark()
