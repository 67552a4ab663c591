"""The settings of a Hugging Face checkpoint; without PyTorch, so that they can be listed and checked at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from llavaction.base.records import Strict
from llavaction.models.family_table import PixelRule

Normalisation = Literal["raw", "length", "prior"]
"""``raw``: log-likelihood; ``length``: divided by the tokens, the closing one counted; ``prior``: minus the same text's
log-likelihood behind the same prompt without the video."""

Branching = Literal["auto", "mask", "rows"]
"""How the branches of a token tree are kept apart.

``mask``: all nodes behind one another in one row, a mask showing each its ancestors only. ``rows``: each branch in a
row of its own behind its own copy of the prefix's keys and values. ``auto``: a mask where attention takes one.
"""


class HuggingFaceConfig(Strict):
    """How a checkpoint folder is asked."""

    path: Path = Field(description="Checkpoint folder with config.json, safetensors weights and a tokenizer.")
    frames: int | None = Field(
        default=None,
        ge=0,
        description="Frames per clip; 0 asks without the video. By default they are as many as the checkpoint was "
        "trained with (trained_frames in its config.json, which llavaction train writes), else 16 as in the "
        "paper.",
    )
    device: str = Field(
        default="auto", description="Device: auto (a GPU if there is one), cpu, cuda, or one of several as cuda:1."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Data type of the weights; auto is bfloat16 on a GPU and float32 elsewhere."
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto", description="Attention kernel; auto leaves the choice to transformers."
    )
    chat: Literal["checkpoint", "plain"] = Field(
        default="checkpoint", description="Chat format: the checkpoint's own, or the plain 'USER: ... ASSISTANT:'."
    )
    pixels: PixelRule = Field(
        default="official",
        description="Whose limits decide how large Qwen-VL models see a frame. The official ones are stored in the "
        "checkpoint, as transformers' own processor applies them: ids and pixels are then what a user of "
        "transformers gets, and a frame at 1080p takes about 1,350 tokens. Those of qwen-vl-utils, the package "
        "of the makers of Qwen-VL, are 64 to 384 tokens a frame.",
    )
    rule: Literal["letters", "texts"] = Field(
        default="letters",
        description="What the options are compared by: the probabilities of their letters, or those of their texts "
        "as whole answers. Texts need a prompt that does not list the options, such as open.",
    )
    normalisation: Normalisation = Field(
        default="length",
        description="What becomes of texts' log-likelihoods: raw leaves them; length divides them by the tokens, so "
        "that long texts are not at a disadvantage; prior subtracts that of the same text without the video.",
    )
    shared_passes: bool = Field(
        default=False,
        description="Whether the questions of one call go through the model together, padded on the left, the video "
        "of several questions on one clip only once. That is faster but moves scores: by 2e-5 at most in "
        "float32, in half precision by as much as close options differ. By default a question's scores are the "
        "same on one machine, to the last bit, whatever it is asked with.",
    )
    pass_tokens: int = Field(
        default=32768,
        ge=1,
        description="The most tokens of a shared pass, padding and copied prefixes counted; bounds memory.",
    )
    nodes_per_pass: int = Field(
        default=2048,
        ge=1,
        description="The most tokens of label texts that are read at once behind a prefix; bounds memory.",
    )
    branching: Branching = Field(
        default="auto",
        description="How texts behind one prefix are kept apart: by an attention mask, in rows with a copy of the "
        "prefix each, or auto, a mask where attention takes one, which flash attention and sliding windows do "
        "not.",
    )
    max_new_tokens: int = Field(default=32, ge=1, description="Longest generated answer in tokens.")

    @model_validator(mode="after")
    def _prior_needs_video(self) -> HuggingFaceConfig:
        if self.frames == 0 and self.normalisation == "prior":
            raise ValueError("normalisation 'prior' compares with and without video, but frames is 0")
        return self
