"""The settings of a benchmark, and what they may name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from llavaction.base.records import Strict
from llavaction.questions.asked import LETTERS

MINERS = {
    "random": "llavaction.questions.miners:RandomMiner",
    "specialist": "llavaction.questions.miners:SpecialistMiner",
    "exchangeable": "llavaction.questions.miners:ExchangeableMiner",
}
"""Miners by name."""
TEXTS = {
    "clean": "llavaction.questions.texts:ClassLabels",
    "clean-narrations": "llavaction.questions.texts:TrainNarrations",
    "paper": "llavaction.questions.texts:PaperNarrations",
}
"""Text protocols by name. Both clean ones take every option, the right one included, from the same pool."""


class BuildConfig(Strict):
    """How a benchmark is made. The result depends on nothing else but the annotation files."""

    split: str = Field(description="Split to make questions of, such as validation.")
    miner: str = Field(
        "exchangeable",
        description=f"Miner that finds the distractors, one of {', '.join(MINERS)}. The default needs no specialist, "
        "and draws sets of which any member could be the answer.",
    )
    options: int = Field(5, ge=2, le=len(LETTERS), description="Options per question, the right one included.")
    text: str = Field(
        "clean",
        description=f"Text protocol of the options, one of {', '.join(TEXTS)}. The clean ones take all options from "
        "the same pool; paper takes the right one from the clip's narration, as published.",
    )
    seed: int = Field(0, description="Seed of every random choice.")
    predictions: Path | None = Field(
        None, description="Specialist predictions (.jsonl, .json, .zip, .npz, .pt), for the miner specialist."
    )
    settings: Mapping[str, Any] = Field(
        default_factory=dict, description="The miner's own settings; its defaults where none are given."
    )
