"""The published format (model_type "llava_qwen"): its configuration and its tensor names.

Everything that must be known to read a checkpoint of LLaVA-OneVision, LLaVA-Video or LLaVAction as ours and to write it
back stands here; moving the bytes is ``models/convert.py``. Source: published implementation, vision and checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from pydantic import ConfigDict, Field

from llavaction.base.errors import InputError
from llavaction.base.records import Strict
from llavaction.models.action_token import TOKENS, ActionTokenConfig
from llavaction.models.llava_video import (
    LlavaVideoConfig,
    LlavaVideoForConditionalGeneration,
    NewlinePosition,
    Pooling,
)
from llavaction.models.towers import TowerConfig

MODEL_TYPE = "llava_qwen"
PUBLISHED_TOWER = "model.vision_tower.vision_tower.vision_model."
"""What the names of the tower's tensors begin with."""

_PREFIXES = (  # ours, published; the first that fits counts
    ("model.vision_tower.", PUBLISHED_TOWER),
    ("model.multi_modal_projector.linear_1.", "model.mm_projector.0."),
    ("model.multi_modal_projector.linear_2.", "model.mm_projector.2."),
    ("model.language_model.embed_tokens.action_token.weight", "model.action_supervision"),
    ("model.language_model.", "model."),
)
IMAGE_NEWLINE = "model.image_newline"
LM_HEAD = "lm_head.weight"
WORD_TABLE = "model.language_model.embed_tokens.weight"
"""Our name of it, as of the two before, which are the same in both formats."""

_TRAININGS = get_args(ActionTokenConfig.model_fields["training"].annotation)


class PublishedConfig(Strict):
    """The fields of a published ``config.json`` that say what is computed; the others are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    # no default: without these there is no model
    vocab_size: int = Field(ge=1, description="Rows of the word table.")
    hidden_size: int = Field(ge=1, description="Width of the language model.")
    intermediate_size: int = Field(ge=1, description="Width inside the language model's MLPs.")
    num_hidden_layers: int = Field(ge=1, description="Number of layers of the language model.")
    num_attention_heads: int = Field(ge=1, description="Number of attention heads of the language model.")
    num_key_value_heads: int = Field(ge=1, description="Number of heads of keys and values of the language model.")
    mm_vision_tower: str = Field(description="Name of the vision tower.")
    mm_projector_type: Literal["mlp2x_gelu"] = Field(description="Kind of projector; the only one that is supported.")
    # defaults are those of the published code
    hidden_act: str = Field(default="silu", description="Activation inside the language model's MLPs.")
    max_position_embeddings: int = Field(default=32768, ge=1, description="Longest sequence in tokens.")
    initializer_range: float = Field(default=0.02, description="Spread of freshly drawn weights.")
    rms_norm_eps: float = Field(default=1e-6, gt=0, description="Epsilon of the norms.")
    use_cache: bool = Field(default=True, description="Whether keys and values are cached by default.")
    tie_word_embeddings: bool = Field(default=False, description="Whether the output layer is the word table.")
    rope_theta: float = Field(default=10000.0, gt=0, description="Base of the rotary positions.")
    use_sliding_window: bool = Field(default=False, description="Whether late layers see a window only.")
    sliding_window: int | None = Field(default=4096, description="Size of that window in tokens.")
    max_window_layers: int = Field(default=28, description="First layer with a window.")
    attention_dropout: float = Field(default=0.0, ge=0, description="Dropout of the attention weights in training.")
    bos_token_id: int | None = Field(default=None, description="Id of the first token.")
    eos_token_id: int | list[int] | None = Field(
        default=None, description="Id of the token, or tokens, that end a turn."
    )
    pad_token_id: int | None = Field(default=None, description="Id of the padding token.")
    torch_dtype: str | None = Field(default=None, description="Data type of the weights.")
    mm_patch_merge_type: str = Field(
        default="flat",
        pattern="^(flat|spatial.*)$",
        description="How the patches are merged: 'flat', or 'spatial...', with newlines where 'unpad' is in it.",
    )
    mm_newline_position: Literal["grid", "frame", "one_token", "no_token"] = Field(
        default="one_token", description="Where newlines go in videos."
    )
    mm_spatial_pool_mode: Literal["bilinear", "average", "max"] | None = Field(
        default=None, description="How 2 x 2 patches of a video become one, bilinear where the folder does not say."
    )
    mm_resampler_type: None = Field(default=None, description="A resampler, which is not supported.")
    add_faster_video: Literal[False] = Field(
        default=False, description="A second stream of frames, which is not supported."
    )
    vision_supervision: Literal["one_token", "three_tokens", "newline"] | None = Field(
        default=None, description="What the action heads read; null where there are none."
    )
    vision_token_training: str | None = Field(
        default=None,
        description="Hidden states that are supervised; anything unknown means all of them, as in the published code.",
    )
    action_types: str | None = Field(
        default=None,
        pattern=r"^\d+,\d+,\d+$",
        description="Numbers of verb, noun and action classes, such as '97,300,3806'.",
    )

    @property
    def pooling(self) -> Pooling:
        """How 2 x 2 patches of a video become one; the stride is always 2."""
        return self.mm_spatial_pool_mode or "bilinear"

    @property
    def action_tokens(self) -> tuple[str, ...]:
        """The tokens that follow a video."""
        return () if self.vision_supervision is None else TOKENS[self.vision_supervision]

    @property
    def has_newline_vector(self) -> bool:
        """Whether the checkpoint holds ``model.image_newline``."""
        return "unpad" in self.mm_patch_merge_type

    @property
    def newlines(self) -> tuple[NewlinePosition, bool]:
        """Our ``newline_position`` and ``still_newline``.

        Raises:
            InputError: newlines are asked for, but the merge type has no newline vector.
        """
        if self.mm_patch_merge_type == "flat":
            return "none", False
        if self.has_newline_vector:
            return "none" if self.mm_newline_position == "no_token" else self.mm_newline_position, True
        if self.mm_newline_position in ("grid", "frame"):
            raise InputError(
                f"mm_newline_position '{self.mm_newline_position}' needs 'unpad' in mm_patch_merge_type, "
                f"which is '{self.mm_patch_merge_type}'"
            )
        return "none", False

    def action(self, token_ids: tuple[int, ...]) -> dict[str, Any] | None:
        """Our ``action`` field with the given ids, or None where the model has no heads.

        Raises:
            InputError: the heads' sizes are not given, or the action token would never be shown to the model.
        """
        if self.vision_supervision is None:
            return None
        if self.action_types is None:
            raise InputError("vision_supervision is set, but not action_types")
        if self.mm_patch_merge_type == "flat" and self.vision_supervision != "newline":
            raise InputError("vision_supervision is set, but mm_patch_merge_type 'flat' leaves the action token out")
        verbs, nouns, actions = map(int, self.action_types.split(","))
        training = self.vision_token_training if self.vision_token_training in _TRAININGS else "all_layers"
        return {
            "supervision": self.vision_supervision,
            "training": training,
            "verbs": verbs,
            "nouns": nouns,
            "actions": actions,
            "token_ids": token_ids,
        }


_SAME = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "use_cache",
    "attention_dropout",
    "use_sliding_window",
    "sliding_window",
    "max_window_layers",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
"""Fields of the language model that have the same name in both formats."""

_NEWLINE_KEYS = {"mm_newline_position", "mm_patch_merge_type"}
"""These two say together where newlines go: what one of them means depends on the other."""

_FIXED = {
    "architectures": ["LlavaQwenForCausalLM"],
    "delay_load": True,
    "image_aspect_ratio": "pad",
    "mm_projector_type": "mlp2x_gelu",
    "mm_spatial_pool_stride": 2,
    "mm_tunable_parts": "mm_vision_tower,mm_mlp_adapter,mm_language_model",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "model_type": MODEL_TYPE,
    "tokenizer_padding_side": "right",
    "use_mm_proj": True,
}
"""What a published configuration says besides, for a model that was never published."""


def our_config(stored: Mapping[str, Any], tower: TowerConfig, ids: Sequence[int] | None = None) -> LlavaVideoConfig:
    """Translate a published configuration.

    Args:
        stored: its ``config.json``.
        tower: the vision tower.
        ids: ids of the placeholders for image and video and of the action tokens, in this order; from ``vocab_size``
            on where there is no tokenizer to ask.

    Raises:
        InputError: a field is missing or has a value that is not supported.
    """
    published = PublishedConfig.from_mapping(stored)
    beyond = range(published.vocab_size, published.vocab_size + 2 + len(published.action_tokens))
    image, video, *actions = beyond if ids is None else ids
    newline, still = published.newlines
    tied = published.tie_word_embeddings
    text = {name: getattr(published, name) for name in _SAME}
    rope = {"rope_type": "default", "rope_theta": published.rope_theta}
    return LlavaVideoConfig(
        architectures=[LlavaVideoForConditionalGeneration.__name__],
        vision_config=tower.as_run(),
        text_config={"model_type": "qwen2", "tie_word_embeddings": tied, "rope_parameters": rope} | text,
        tie_word_embeddings=tied,
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=[[tower.image_size, tower.image_size]],
        newline_position=newline,
        still_newline=still,
        pooling=published.pooling,
        action=published.action(tuple(actions)),
        published=dict(stored),
        dtype=published.torch_dtype,
    )


def published_config(config: LlavaVideoConfig) -> dict[str, Any]:
    """The published ``config.json`` of one of our models.

    A configuration that was converted before comes back as it was, but for what has been changed since. The weights
    of the heads' loss and of the distillation have no words in it; they are 0.1 there.

    Raises:
        InputError: the model has something else the published format has no words for.
    """
    tower = TowerConfig.of_model(config)
    current = _translated(config, tower)
    if config.published is None:
        return _FIXED | {"mm_vision_tower": f"siglip-patch{tower.patch_size}-{tower.image_size}"} | current
    before = _translated(our_config(config.published, tower), tower)
    changed = {name for name in current.keys() | before.keys() if current.get(name) != before.get(name)}
    changed |= _NEWLINE_KEYS if changed & _NEWLINE_KEYS else set()
    unchanged = {name: value for name, value in config.published.items() if name not in changed}
    return unchanged | {name: value for name, value in current.items() if name in changed}


def _translated(config: LlavaVideoConfig, tower: TowerConfig) -> dict[str, Any]:
    """Everything of our configuration in published words."""
    text: Any = config.text_config
    rope = text.rope_parameters
    if rope["rope_type"] != "default":
        raise InputError(f"the published format has no rotary positions of type '{rope['rope_type']}'")
    if config.newline_position != "none" and not config.still_newline:
        raise InputError("the published format has no newlines in videos without one behind still images")
    values = {name: getattr(text, name) for name in _SAME}
    values |= {
        "tie_word_embeddings": config.tie_word_embeddings,
        "rope_theta": rope["rope_theta"],
        "mm_hidden_size": tower.hidden_size,
        "mm_newline_position": config.newline_position.replace("none", "no_token"),
        "mm_patch_merge_type": "spatial_unpad" if config.still_newline else "spatial" if config.action else "flat",
        "mm_spatial_pool_mode": config.pooling,
    }
    if config.dtype is not None:
        values["torch_dtype"] = str(config.dtype).removeprefix("torch.")
    if config.action is not None:
        action = ActionTokenConfig.from_mapping(config.action)
        values |= {
            "vision_supervision": action.supervision,
            "vision_token_training": action.training,
            "action_types": ",".join(map(str, action.sizes)),
        }
    return values


def published_name(name: str) -> str:
    """The published name of one of our tensors."""
    for ours, published in _PREFIXES:
        if name.startswith(ours):
            return published + name.removeprefix(ours)
    return name


def tensor_shapes(config: LlavaVideoConfig) -> dict[str, tuple[int, ...]]:
    """Our name and shape of every tensor a checkpoint of this configuration stores, in the order of the model."""
    with torch.device("meta"):
        model = LlavaVideoForConditionalGeneration(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        del shapes[LM_HEAD]
    return shapes
