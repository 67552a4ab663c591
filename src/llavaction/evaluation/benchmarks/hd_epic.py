"""Reads the questions of HD-EPIC that are about one video.

Each names its inputs, ``{"video 1": {"id", "start_time"?, "end_time"?}}`` or ``{"image 1": {"id", "time"}}``. Those
with several, or with an image, are left out and counted. Tags such as ``<TIME 00:00:01.0 video 1>`` and
``<BBOX y x y x>`` stay as they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks.multiple_choice import read_benchmark
from llavaction.evaluation.benchmarks.protocol import Protocol
from llavaction.questions.schema import Benchmark

SEVERAL, IMAGE = "several videos or images", "an image, not a video"
"""Why a row is left out."""


def read_hd_epic(protocol: Protocol, path: Path, videos: Path | None) -> Benchmark:
    """As :func:`read_benchmark`; the columns ``video``, ``start`` and ``stop`` are those of the one input."""
    return read_benchmark(protocol, path, videos, prepare=_one_input)


def _one_input(cells: Mapping[str, Any]) -> Mapping[str, Any] | str:
    inputs = cells.get("inputs")
    if not isinstance(inputs, dict) or not inputs or not all(isinstance(shown, dict) for shown in inputs.values()):
        raise InputError(f"its inputs are no mapping of videos, found {inputs!r:.80}")
    if len(inputs) > 1:
        return SEVERAL
    (label, shown), *_ = inputs.items()
    if not label.startswith("video"):
        return IMAGE
    return {**cells, "video": shown.get("id"), "start": shown.get("start_time"), "stop": shown.get("end_time")}
