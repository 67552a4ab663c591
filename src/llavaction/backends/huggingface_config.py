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

    path: Path = Field(description="checkpoint folder with config.json, safetensors weights and a tokenizer")
    frames: int | None = Field(
        default=None,
        ge=0,
        description="frames per clip; None: as many as the checkpoint was trained with (trained_frames in its "
        "config.json, which llavaction train writes), else 16 as in the paper; 0 asks without video",
    )
    device: str = Field(default="auto", description="'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:1'")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="precision of the weights; 'auto' is bfloat16 on a GPU and float32 elsewhere"
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto", description="attention kernel; 'auto' leaves the choice to transformers"
    )
    chat: Literal["checkpoint", "plain"] = Field(
        default="checkpoint", description="chat format: the checkpoint's own, or 'USER: ... ASSISTANT:'"
    )
    pixels: PixelRule = Field(
        default="official",
        description="whose limits decide how large Qwen-VL models see a frame: 'official', those stored in the "
        "checkpoint, as transformers' own processor applies them (the default: ids and pixels are then what a user of "
        "transformers gets; at 1080p a frame takes about 1,350 tokens), or 'qwen-vl-utils', 64 to 384 tokens a frame, "
        "as in the package that the makers of Qwen-VL used",
    )
    rule: Literal["letters", "texts"] = Field(
        default="letters",
        description="what score_options compares: the probabilities of the option letters, or those of the option "
        "texts as whole answers (ask with a prompt that does not list the options, such as 'open')",
    )
    normalisation: Normalisation = Field(
        default="length",
        description="of texts' log-likelihoods: 'raw', 'length' (per token, so that long texts are not at a "
        "disadvantage) or 'prior' (minus the same text's without the video)",
    )
    shared_passes: bool = Field(
        default=False,
        description="put the questions of one call through the model together, padded on the left, and the video of "
        "several questions on one clip only once: faster, but it moves scores (by 2e-5 at most in float32; in "
        "half precision by as much as close options differ); alone, a question's scores are the same on one machine, "
        "to the last bit, whatever it is asked with",
    )
    pass_tokens: int = Field(
        default=32768, ge=1, description="most tokens of a shared pass, padding and copied prefixes counted"
    )
    nodes_per_pass: int = Field(
        default=2048, ge=1, description="most tokens of label texts read at once behind a prefix; bounds memory"
    )
    branching: Branching = Field(
        default="auto",
        description="how texts behind one prefix are kept apart: by an attention 'mask', in 'rows' with a copy of the "
        "prefix each, or 'auto', a mask where attention takes one (not in flash attention or sliding windows)",
    )
    max_new_tokens: int = Field(default=32, ge=1, description="longest generated answer in tokens")

    @model_validator(mode="after")
    def _prior_needs_video(self) -> HuggingFaceConfig:
        if self.frames == 0 and self.normalisation == "prior":
            raise ValueError("normalisation 'prior' compares with and without video, but frames is 0")
        return self
