"""Model families by the ``model_type`` of their checkpoints, without importing transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llavaction.base.registry import resolve

if TYPE_CHECKING:
    from llavaction.models.families.base import Family

FAMILIES: dict[str, str] = {
    "internvl": "llavaction.models.families.internvl:InternVLFamily",
    "llava_onevision": "llavaction.models.families.llava_onevision:LlavaOnevisionFamily",
    "llava_video": "llavaction.models.families.llava_video:LlavaVideoFamily",
    "qwen2_vl": "llavaction.models.families.qwen_vl:Qwen2VLFamily",
    "qwen2_5_vl": "llavaction.models.families.qwen_vl:Qwen25VLFamily",
    "qwen3_vl": "llavaction.models.families.qwen_vl:Qwen3VLFamily",
    "qwen3_vl_moe": "llavaction.models.families.qwen_vl:Qwen3VLMoeFamily",
}
"""Hugging Face ``model_type`` to adapter; a backbone is this line and the adapter's file. Every other type gets its
frames as so many images."""

_ANY_OTHER = "llavaction.models.families.images:ImagesFamily"


def family_class(model_type: str) -> type[Family]:
    """The adapter of a model type; one with an action token ("qwen3_vl_action") has that of its backbone."""
    kind = model_type.removesuffix("_action")
    adapter: type[Family] = resolve({kind: FAMILIES.get(kind, _ANY_OTHER)}, kind, "model family")
    return adapter


def register() -> frozenset[str]:
    """Make ``AutoModelForImageTextToText`` and the other Auto classes of transformers know our model types.

    Each family's module enters its classes at its foot; all are imported here.

    Returns:
        Our model types.
    """
    models = [family_class(kind).action_model for kind in FAMILIES]
    return frozenset(str(model.config_class.model_type) for model in models if model is not None)
