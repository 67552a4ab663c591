"""Reads the questions of Vinoground: four to a pair of captions and videos, in a file of text and one of video scores.

``vinoground_textscore.json`` asks which of two captions a video shows, ``vinoground_videoscore.json`` which of two
videos, one behind the other, a caption tells of. Both have ``{idx: "0_pos", question, GT, video_name}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks.multiple_choice import read_benchmark
from llavaction.evaluation.benchmarks.protocol import Protocol
from llavaction.questions.schema import Benchmark


def read_vinoground(protocol: Protocol, path: Path, videos: Path | None) -> Benchmark:
    """As :func:`read_benchmark`; adds the columns ``pair`` ("0"), ``side`` ("pos") and ``kind`` ("text", "video")."""
    return read_benchmark(protocol, path, videos, prepare=_paired)


def _paired(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    pair, _, side = str(cells.get("idx", "")).partition("_")
    kind = next((kind for kind in ("text", "video") if f"{kind}score" in str(cells.get("stem", ""))), None)
    if not pair or side not in ("pos", "neg") or kind is None:
        raise InputError(
            f"idx '{cells.get('idx')}' of '{cells.get('stem')}' is no side of a pair; expected '0_pos' or '0_neg', in "
            "files called as they are published (vinoground_textscore.json, vinoground_videoscore.json)"
        )
    return {**cells, "pair": pair, "side": side, "kind": kind}
