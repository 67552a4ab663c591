"""Families by the ``model_type`` of their checkpoints."""

from __future__ import annotations

import inspect
from typing import Any

from llavaction.base.registry import resolve
from llavaction.models.checkpoint import Checkpoint
from llavaction.models.families.base import Family
from llavaction.models.families.chat import Chat
from llavaction.models.families.table import PixelRule
from llavaction.models.tokenisation import TokenisationConfig

FAMILIES: dict[str, str] = {
    "internvl": "llavaction.models.families.internvl:InternVLFamily",
    "llava_onevision": "llavaction.models.families.llava_onevision:LlavaOnevisionFamily",
    "llava_video": "llavaction.models.families.llava_video:LlavaVideoFamily",
    "qwen2_vl": "llavaction.models.families.qwen_vl:Qwen2VLFamily",
    "qwen2_5_vl": "llavaction.models.families.qwen_vl:Qwen2VLFamily",
    "qwen3_vl": "llavaction.models.families.qwen_vl:Qwen3VLFamily",
    "qwen3_vl_moe": "llavaction.models.families.qwen_vl:Qwen3VLFamily",
}
"""Hugging Face ``model_type`` to adapter; every other type gets its frames as so many images."""

_ANY_OTHER = "llavaction.models.families.images:ImagesFamily"


def family_of(
    checkpoint: Checkpoint,
    chat: Chat,
    model: Any,
    rule: PixelRule = "official",
    tokenisation: TokenisationConfig | None = None,
) -> Family:
    """The adapter for a loaded model; see :class:`Family` for the arguments.

    Raises:
        InputError: the family does not know the pixel limits of ``rule``.
    """
    kind = checkpoint.config.model_type.removesuffix("_action")  # a backbone with an action token looks as it does
    name = FAMILIES.get(kind, _ANY_OTHER)
    accepted = frozenset(inspect.signature(model.forward).parameters)
    adapter: type[Family] = resolve({kind: name}, kind, "model family")
    return adapter(checkpoint, chat, accepted, rule, tokenisation)
