"""Shape of the mini model, see mini.py; light, for every recipe is checked by it."""

from __future__ import annotations

from pydantic import Field, model_validator

from llavaction.base.records import Strict
from llavaction.training.kinds import ModelStart


class MiniConfig(Strict):
    """Shape of a mini model. The defaults are those of the bundled one before its language model grows."""

    verbs: int = Field(default=14, ge=1, description="Number of classes of the verb head; kitchen_mini has 14.")
    nouns: int = Field(default=22, ge=1, description="Number of classes of the noun head; kitchen_mini has 22.")
    actions: int = Field(
        default=150, ge=1, description="Number of classes of the action head; kitchen_mini has fewer than the default."
    )
    side: int = Field(default=96, ge=8, description="Width and height of a frame in pixels; a multiple of patch.")
    patch: int = Field(default=12, ge=2, description="Pixels per side of a patch.")
    tower_width: int = Field(
        default=192, ge=32, multiple_of=32, description="Width of SigLIP, 32 for each attention head."
    )
    tower_layers: int = Field(default=4, ge=1, description="Number of layers of SigLIP.")
    width: int = Field(
        default=192, ge=32, multiple_of=32, description="Width of the language model, 32 for each attention head."
    )
    layers: int = Field(default=4, ge=1, description="Number of layers of the language model.")
    entries: int = Field(
        default=1024, ge=300, description="Number of entries of the tokenizer, special ones not counted."
    )
    context: int = Field(default=2048, ge=64, description="Longest sequence in tokens.")

    @model_validator(mode="after")
    def _patches_fit(self) -> MiniConfig:
        if self.side % self.patch:
            raise ValueError(f"side ({self.side}) must be a multiple of patch ({self.patch})")
        return self


class Mini(ModelStart):
    """``mini``: the mini model with new weights, which learns something without a GPU."""

    settings = MiniConfig
    write = "kitchen_mini.model.start:write"
