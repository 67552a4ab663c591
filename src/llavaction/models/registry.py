"""Our model types, without importing transformers."""

from __future__ import annotations

from importlib import import_module

_LLAVA_VIDEO, _BACKBONES = "llavaction.models.llava_video", "llavaction.models.action_backbones"

MODELS = {
    "llava_video": (_LLAVA_VIDEO, "LlavaVideoConfig", "LlavaVideoForConditionalGeneration"),
    "llava_onevision_action": (
        _BACKBONES,
        "LlavaOnevisionActionConfig",
        "LlavaOnevisionActionForConditionalGeneration",
    ),
    "qwen2_5_vl_action": (_BACKBONES, "Qwen25VLActionConfig", "Qwen25VLActionForConditionalGeneration"),
    "qwen3_vl_action": (_BACKBONES, "Qwen3VLActionConfig", "Qwen3VLActionForConditionalGeneration"),
}
"""Our model types: module, configuration and model of each."""


def register() -> None:
    """Make ``AutoModelForImageTextToText`` and the other Auto classes of transformers know our model types.

    Each module enters its classes at its foot; all are imported here.
    """
    for module in dict.fromkeys(module for module, _, _ in MODELS.values()):
        import_module(module)
