"""Functions of exported tasks, for lmms-eval: an export copies this file, so that it needs nothing of this package."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

VARIABLE = "LLAVACTION_VIDEOS"
"""Environment variable that names the folder of the videos, in any layout."""

LETTER = re.compile(r"\s*\(?([A-Z])(?:[).:,]|\s*$)")
"""A letter that stands alone at the beginning of an answer; not the article of "A plate"."""

LOSS = re.compile(r"\((\S+), (?:True|False)\)")
"""A loss as text, which lmms-eval 0.7.3 makes of pairs (``api/instance.py: unwrap_generation_output``)."""


@cache
def _videos(folder: str) -> Mapping[str, Path]:
    """Files and folders by their names without suffix; files before folders of images."""
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).rglob("*"), key=lambda path: (path.is_dir(), path)):
        found.setdefault(path.stem, path)
    return found


def _path(doc: Mapping[str, Any]) -> str:
    folder, name = os.environ.get(VARIABLE), doc["video_id"]
    if not folder:
        raise FileNotFoundError(f"set the environment variable {VARIABLE} to the folder of the videos")
    path = _videos(folder).get(name)
    if path is None:
        raise FileNotFoundError(f"{folder} ({VARIABLE}) holds no video '{name}'")
    return str(path)


def doc_to_visual(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The span of video to look at, in seconds, for models that lmms-eval calls simple.

    Raises:
        FileNotFoundError: the variable is not set, or there is no such video.
    """
    span = {"video_start": doc["start"], "video_end": doc["stop"]}
    return [{"type": "video", "url": _path(doc), "video_id": doc["video_id"], **span}]


def doc_to_messages(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same with the prompt, in lmms-eval's chat protocol (``protocol.py``), which hands spans to its chat models.

    Raises:
        FileNotFoundError: as :func:`doc_to_visual`.
    """
    video = {"type": "video", "url": _path(doc), "start_time": doc["start"], "end_time": doc["stop"]}
    return [{"role": "user", "content": [video, {"type": "text", "text": doc["prompt"]}]}]


def chosen(letters: Sequence[str], results: Sequence[Any]) -> str | None:
    """The letter of the smallest loss, or that which a text begins with; None where there is none."""
    if len(results) < len(letters):
        found = LETTER.match(results[0])
        return found[1] if found and found[1] in letters else None
    losses = [_loss(result) for result in results]
    return None if any(map(math.isnan, losses)) else letters[losses.index(min(losses))]


def _loss(result: Any) -> float:
    if not isinstance(result, str):
        return float(result[0])
    found = LOSS.fullmatch(result)
    return float(found[1]) if found else math.nan


def process_results(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
    """1 for the right letter and 0 otherwise, with what names the question: sample files do not keep the document."""
    letter = chosen(doc["letters"], results)
    told = {name: doc[name] for name in ("question_id", "video_id", "options")}
    score = float(letter == doc["answer_letter"])
    return {"mqa_score": {**told, "pred": letter, "answer": doc["answer_letter"], "score": score}}


def mean_score(items: Sequence[Mapping[str, Any]]) -> float:
    """The share of right answers."""
    return float(sum(item["score"] for item in items) / len(items))
