"""The folder of a finished evaluation or recognition, read back."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.records import read_json, read_records
from llavaction.evaluation.predictions import Prediction, read_predictions
from llavaction.recognition.records import RECOGNITIONS, Recognition
from llavaction.runs.folder import METRICS
from llavaction.runs.identity import read_config

BASELINES = ("prior", "chance", "oracle")
"""Backends that are there to compare with; they are shown behind the others."""


@dataclass(frozen=True)
class FinishedRun:
    """A run folder whose every question has been dealt with.

    Attributes:
        folder: where it is.
        config: ``config.yaml``.
        predictions: in the benchmark's order, those whose answer is known; of a recognition one per segment with known
            classes.
        metrics: ``metrics.json``.
        recognitions: of a recognition, in the order of the segments; empty for an evaluation.
        options: texts of the options by question id, where the run itself holds them; else empty.
        foreign: the program whose results these are, where it is not ours.
    """

    folder: Path
    config: Mapping[str, Any]
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Any]
    recognitions: Sequence[Recognition] = ()
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    foreign: str | None = None

    @property
    def name(self) -> str:
        """What the run's backend calls itself."""
        return str(self.config.get("resolved", {}).get("backend", self.config.get("backend", self.folder.name)))

    @property
    def is_baseline(self) -> bool:
        """Whether the backend is there to compare with."""
        return self.name.partition(":")[0] in BASELINES

    @property
    def questions_sha256(self) -> str:
        """Hash of the questions asked, options and answers included; of a recognition that of segments and classes.

        Recognitions are comparable whatever candidates each was offered: the question is which of all actions is seen.
        """
        if self.recognitions:
            lines = "".join(f"{item.segment_id} {item.clip} {item.truth}\n" for item in self.recognitions)
            return hashlib.sha256(lines.encode()).hexdigest()
        return str(self.config.get("resolved", {}).get("questions_sha256", ""))

    @classmethod
    def load(cls, folder: str | Path) -> FinishedRun:
        """Read a run folder.

        Raises:
            InputError: it is not a run folder, the run is not finished, or a file is damaged.
        """
        folder = Path(folder)
        if not (folder / "config.yaml").is_file():
            raise InputError(
                "not a run folder: it has no config.yaml",
                file=folder,
                hint="make one with: llavaction eval ... or llavaction recognise ...",
            )
        if not (folder / METRICS).is_file():
            raise InputError(
                "the run is not finished: it has no metrics.json",
                file=folder,
                hint="start it again with the same command; it does the rest",
            )
        config, metrics = read_config(folder), read_json(folder / METRICS)
        if not isinstance(metrics, dict) or not isinstance(metrics.get("counts"), dict):
            raise InputError("expected the metrics of a run", file=folder / METRICS)
        if not isinstance(config.get("resolved", {}), dict):
            raise InputError("'resolved' is no mapping of settings", file=folder / "config.yaml")
        if (folder / RECOGNITIONS).is_file():
            recognitions = tuple(read_records(folder / RECOGNITIONS, Recognition, journal=True))
            predictions = [as_prediction(recognition) for recognition in recognitions if recognition.truth is not None]
            return cls(folder, config, predictions, metrics, recognitions)
        known = [prediction for prediction in read_predictions(folder) if prediction.answer is not None]
        return cls(folder, config, known, metrics)


def as_prediction(recognition: Recognition) -> Prediction:
    """A recognition as an answer to "which of all actions?", for comparisons.

    The options are the candidates and, behind them, the right action where it is none of them.

    Raises:
        InputError: the right action is not known.
    """
    if recognition.truth is None:
        raise InputError(f"the action of segment '{recognition.segment_id}' is not known, so nothing can be compared")
    is_candidate = recognition.truth in recognition.candidates
    return Prediction(
        question_id=recognition.segment_id,
        video_id=recognition.clip.video_id,
        answer=recognition.candidates.index(recognition.truth) if is_candidate else len(recognition.candidates),
        choice=None if recognition.action is None else recognition.candidates.index(recognition.action),
        parse_status="failed" if recognition.action is None else "scored",
        decision_rule=recognition.decision_rule,
        error=recognition.error,
        note=recognition.note,
        stand_ins=recognition.stand_ins,
    )


def labels(runs: Sequence[FinishedRun]) -> list[str]:
    """Names of runs that tell them apart: the backend's, with the folder's name, or its whole path, where needed."""
    often = Counter(run.name for run in runs)
    folders = Counter((run.name, run.folder.name) for run in runs)

    def label(run: FinishedRun) -> str:
        if often[run.name] == 1:
            return run.name
        place = run.folder.name if folders[run.name, run.folder.name] == 1 else run.folder
        return f"{run.name} ({place})"

    return [label(run) for run in runs]
