"""The folder of a finished evaluation, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.base.run_folder import METRICS, read_config
from llavaction.evaluation.predictions import Prediction, read_predictions


@dataclass(frozen=True)
class FinishedRun:
    """A run folder whose every question has been dealt with.

    Attributes:
        folder: where it is.
        config: ``config.yaml``.
        predictions: in the benchmark's order.
        metrics: ``metrics.json``.
    """

    folder: Path
    config: Mapping[str, Any]
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the run's backend calls itself."""
        return str(self.config.get("resolved", {}).get("backend", self.config.get("backend", self.folder.name)))

    @property
    def questions_sha256(self) -> str:
        """Hash of the questions asked, options and answers included."""
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
                "not a run folder: it has no config.yaml", file=folder, hint="make one with: llavaction eval ..."
            )
        if not (folder / METRICS).is_file():
            raise InputError(
                "the run is not finished: it has no metrics.json",
                file=folder,
                hint="start it again with the same command; it does the rest",
            )
        return cls(folder, read_config(folder), read_predictions(folder), read_json(folder / METRICS))
