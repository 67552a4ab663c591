"""The settings of a run on questions without options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from llavaction.backends.asking_config import AskingConfig
from llavaction.questions.prompts import PromptStyle

if TYPE_CHECKING:
    from llavaction.backends.base import Backend


class OpenRunConfig(AskingConfig):
    """How questions without options are asked."""

    benchmark: str = Field(description="The benchmark's description, a YAML file.")
    prompt: PromptStyle = Field(
        default="official",
        description="How the question is put: in the benchmark's own words (official; where it has none, as open), or "
        "open, which asks for a few words.",
    )

    def decision_rule(self, backend: Backend) -> str:
        """How answers come about."""
        return "generated text"
