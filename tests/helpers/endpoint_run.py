"""An evaluation of a small benchmark behind a server; run as a script it is a run that can be killed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from helpers.evaluation_fakes import FakeLibrary, make_benchmark
from llavaction.backends.registry import make_backend
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.runner import RunResult, run


def evaluated(url: str, folder: Path, questions: int = 40, decision: str = "likelihood", **options: Any) -> RunResult:
    """Ask about two frames of each clip."""
    values = {"frames": 2, "backoff": 0.004, "concurrency": 4, "letters": "vllm", **options}
    spec = f"endpoint:{url}"
    config = RunConfig.from_mapping(
        {"benchmark": "bench", "backend": spec, "backend_options": values, "decision": decision}
    )
    return run(config, make_benchmark(questions), make_backend(spec, **values), FakeLibrary(), folder)


if __name__ == "__main__":
    evaluated(sys.argv[1], Path(sys.argv[2]), **json.loads(sys.argv[3]))
