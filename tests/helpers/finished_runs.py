"""Finished runs made up in memory: who is right where is given, nothing is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llavaction.base.seeding import hashed_rng
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.predictions import Prediction


def finished(
    name: str, right: Sequence[bool], videos: Sequence[str] | None = None, benchmark: str = "bench"
) -> FinishedRun:
    """A run whose question ``i`` is right where ``right[i]`` is; by default of videos of five questions."""
    predictions = [
        Prediction(
            question_id=f"{benchmark}-{i}",
            video_id=videos[i] if videos is not None else f"v{i // 5}",
            answer=0,
            choice=0 if is_right else 1,
            parse_status="scored",
            decision_rule="option letters",
        )
        for i, is_right in enumerate(right)
    ]
    metrics = {"benchmark": {"name": benchmark}, "counts": {"answered": len(predictions)}}
    return FinishedRun(Path(f"/runs/{name}-{benchmark}"), {"backend": name}, predictions, metrics)


def clustered_answers(
    seed: int, accuracy: float, videos: int, per_video: int, spread: float
) -> tuple[np.ndarray, list[str]]:
    """Right answers whose chance differs from video to video: beta-distributed, with ``spread`` as correlation within.

    Returns:
        [questions] of 0 and 1, and the video of each.
    """
    rng = hashed_rng("clustered answers", seed)
    total = (1 - spread) / spread
    chance = rng.beta(accuracy * total, (1 - accuracy) * total, size=videos)
    right = rng.random((videos, per_video)) < chance[:, None]
    return right.reshape(-1).astype(float), [f"v{i}" for i in range(videos) for _ in range(per_video)]
