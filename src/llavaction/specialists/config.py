"""Settings of a specialist: what it looks at, what it is made of, how it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from llavaction.base.records import Strict

TUBELET = 2
"""Frames per token of a VideoMAE that is trained from nothing."""


class SpecialistConfig(Strict):
    """A specialist and its training. The defaults suit kitchen_mini on a CPU."""

    architecture: Literal["cnn", "videomae"] = Field(
        default="cnn",
        description="Network: cnn is convolutions over frames and their differences, videomae is VideoMAE of "
        "transformers.",
    )
    checkpoint: Path | None = Field(
        default=None,
        description="Local VideoMAE folder to start from, which decides frames, picture size and shape. By default "
        "the weights are new.",
    )
    frames: int = Field(default=8, ge=2, le=128, description="Frames per segment; an even number for VideoMAE.")
    height: int = Field(
        default=72,
        ge=16,
        le=1024,
        description="Height in pixels to which pictures are brought; their shape is not kept.",
    )
    width: int = Field(default=96, ge=16, le=1024, description="Width in pixels to which pictures are brought.")
    channels: int = Field(
        default=32, ge=8, le=1024, description="Channels of the first stage of a cnn; a multiple of 8."
    )
    patch: int = Field(
        default=12, ge=2, le=256, description="Pixels per side of a token of VideoMAE; divides height and width."
    )
    hidden: int = Field(
        default=192,
        ge=8,
        le=4096,
        description="Width of VideoMAE's encoder; a multiple of its attention heads, of which there is one for each "
        "48.",
    )
    layers: int = Field(default=4, ge=1, le=64, description="Encoder layers of VideoMAE.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Probability of dropout before the heads, in training.")
    action_share: float = Field(
        default=0.5, ge=0, le=1, description="Weight of the action head in a pair's score; 0 leaves the head out."
    )
    epochs: int = Field(default=12, ge=1, le=100000, description="Passes over the segments.")
    batch_size: int = Field(default=32, ge=1, le=65536, description="Segments per step.")
    learning_rate: float = Field(
        default=2e-3, gt=0, description="AdamW's highest learning rate, which falls to 0 as a cosine."
    )
    warmup: float = Field(default=0.1, ge=0, le=1, description="Share of the steps in which the learning rate rises.")
    weight_decay: float = Field(default=0.05, ge=0, description="AdamW's weight decay, on matrices and kernels.")
    label_smoothing: float = Field(default=0.1, ge=0, lt=1, description="Label smoothing of all heads' targets.")
    shift: float = Field(
        default=0.08, ge=0, le=0.5, description="Largest share of its size by which a picture is moved, in training."
    )
    brightness: float = Field(
        default=0.2, ge=0, lt=1, description="Largest share by which colour channels are scaled, in training."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Data type that is computed in. On CPUs with avx512_bf16 or amx bfloat16 is twice as fast; the "
        "heads stay in float32.",
    )
    cache_gb: float = Field(
        default=2.0, ge=0, description="Gigabytes of memory in which frames are kept where all of them fit."
    )
    seed: int = Field(default=0, ge=0, description="Seed of weights, order and augmentation.")

    @model_validator(mode="after")
    def _fits_together(self) -> SpecialistConfig:
        if self.channels % 8:
            raise ValueError(f"channels must be a multiple of 8, found {self.channels}")
        if self.checkpoint is not None and self.architecture != "videomae":
            raise ValueError("a checkpoint needs architecture=videomae")
        if self.architecture == "videomae" and self.checkpoint is None:
            if self.frames % TUBELET:
                raise ValueError(f"VideoMAE takes {TUBELET} frames a token: frames must be even, found {self.frames}")
            if self.height % self.patch or self.width % self.patch:
                raise ValueError(f"patch ({self.patch}) must divide height and width ({self.height} x {self.width})")
            if self.hidden % self.heads:
                raise ValueError(f"hidden ({self.hidden}) must be a multiple of {self.heads}, its number of heads")
        return self

    @property
    def heads(self) -> int:
        """Attention heads of a VideoMAE that is trained from nothing: about 48 values each."""
        return max(1, self.hidden // 48)
