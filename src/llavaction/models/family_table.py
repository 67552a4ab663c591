"""The families of models: how each takes a clip here, what it needs, which are refused (``docs/families.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ClipAs = Literal["video", "images", "refused"]

PixelRule = Literal["official", "qwen-vl-utils"]
"""Whose limits decide how large a frame is.

``official``: the checkpoint's, as transformers' own processor reads them. ``qwen-vl-utils``: those of the package that
the makers of Qwen-VL put before that processor.
"""


@dataclass(frozen=True)
class FamilyFacts:
    """What is known of a family.

    Attributes:
        model: its name.
        clip_as: "video": as the model's own processor lays one out; "images": each frame is an image of its own;
            "refused": transformers cannot load it as an image-text-to-text model.
        takes_video: whether its own processor takes videos.
        needs_torchvision: whether its processor does not load without torchvision.
        remark: what else there is to know; of a refused family, what to use instead.
    """

    model: str
    clip_as: ClipAs
    takes_video: bool = False
    needs_torchvision: bool = False
    remark: str = ""


_ALONE = "option letters in one order only"

FAMILIES: Mapping[str, FamilyFacts] = {
    "llava_video": FamilyFacts("LLaVA-Video, LLaVAction", "video", True, False, "published checkpoints: convert first"),
    "llava_onevision": FamilyFacts("LLaVA-OneVision", "video", True),
    "qwen2_vl": FamilyFacts("Qwen2-VL", "video", True, False, "`pixels` chooses its limits"),
    "qwen2_5_vl": FamilyFacts("Qwen2.5-VL", "video", True, False, "`pixels` chooses its limits"),
    "qwen3_vl": FamilyFacts("Qwen3-VL", "video", True, False, "`pixels` chooses its limits"),
    "qwen3_vl_moe": FamilyFacts("Qwen3-VL, mixture of experts", "video", True, False, "`pixels` chooses its limits"),
    "internvl": FamilyFacts("InternVL 2.5, 3 and 3.5 (-HF)", "video", True),
    "llava": FamilyFacts("LLaVA 1.5", "images"),
    "llava_next": FamilyFacts("LLaVA-NeXT", "images"),
    "gemma3": FamilyFacts("Gemma 3", "images"),
    "idefics3": FamilyFacts("Idefics 3", "images"),
    "mistral3": FamilyFacts("Mistral Small 3", "images"),
    "ovis2": FamilyFacts("Ovis 2 (-hf)", "images"),
    "lfm2_vl": FamilyFacts("LFM2-VL", "images", False, True),
    "llama4": FamilyFacts("Llama 4", "images", False, True, _ALONE),
    "ernie4_5_vl_moe": FamilyFacts("ERNIE 4.5 VL", "images", True, True),
    "gemma4": FamilyFacts("Gemma 4", "images", True, True, f"where its logits are capped: {_ALONE}"),
    "glm4v": FamilyFacts("GLM-4.1V", "images", True, True),
    "kimi_k25": FamilyFacts("Kimi K2.5", "images", True, True),
    "llava_next_video": FamilyFacts("LLaVA-NeXT-Video", "images", True, True),
    "minicpmv4_6": FamilyFacts("MiniCPM-V 4.6", "images", True, True),
    "molmo2": FamilyFacts("Molmo 2", "images", True, True),
    "perception_lm": FamilyFacts("PerceptionLM", "images", True, True, "its vision tower also needs timm"),
    "qwen3_5": FamilyFacts("Qwen3.5", "images", True, True),
    "qwen3_5_moe": FamilyFacts("Qwen3.5, mixture of experts", "images", True, True),
    "qwen4_exp": FamilyFacts("Qwen4 (experimental)", "images", True, True, _ALONE),
    "smolvlm": FamilyFacts("SmolVLM 2", "images", True, True, "its processor also needs num2words"),
    "video_llama_3": FamilyFacts("VideoLLaMA 3", "images", True, True),
    "llava_qwen": FamilyFacts(
        "LLaVA-Video and LLaVAction as published", "refused", True, remark="llavaction convert FOLDER NEW_FOLDER"
    ),
    "internvl_chat": FamilyFacts(
        "InternVL with code of its own", "refused", True, remark="the checkpoint of the same name with -HF at its end"
    ),
    "llavaonevision1_5": FamilyFacts(
        "LLaVA-OneVision 1.5", "refused", True, remark="LLaVA-OneVision (llava_onevision) or Qwen2.5-VL"
    ),
    "minicpmv": FamilyFacts("MiniCPM-V up to 4.5", "refused", True, remark="MiniCPM-V 4.6 (minicpmv4_6)"),
    "molmo": FamilyFacts("Molmo", "refused", remark="Molmo 2 (molmo2)"),
    "ovis2_5": FamilyFacts("Ovis 2.5", "refused", True, remark="Ovis 2 (ovis2), whose name ends in -hf"),
    "videollama3_qwen2": FamilyFacts(
        "VideoLLaMA 3 with code of its own", "refused", True, remark="the checkpoint of model_type video_llama_3"
    ),
    "qwen2_5_omni": FamilyFacts(
        "Qwen2.5-Omni", "refused", True, remark="its thinker alone (qwen2_5_omni_thinker), or Qwen2.5-VL"
    ),
    "qwen3_omni_moe": FamilyFacts(
        "Qwen3-Omni", "refused", True, remark="its thinker alone (qwen3_omni_moe_thinker), or Qwen3-VL"
    ),
    "phi4_multimodal": FamilyFacts("Phi-4-multimodal", "refused", remark="another family of this table"),
}
"""Hugging Face ``model_type`` to what is known of it, for transformers 5.23. Other types that its
``AutoModelForImageTextToText`` loads are shown images."""


def remark_on_images(config: Any) -> str | None:
    """What to tell a user whose model could take a video but is shown images; None if it takes none."""
    kind = str(config.model_type)
    facts = FAMILIES.get(kind)
    keys = ("video_token_id", "video_token_index")
    takes = facts.takes_video if facts else any(getattr(config, name, None) is not None for name in keys)
    if not takes:
        return None
    return (
        f"models of type '{kind}' take videos, but are shown every frame as an image of its own here: that costs more "
        "tokens, and they do not learn the frames' times (docs/families.md)"
    )


def table() -> str:
    """The table of ``docs/families.md``, in Markdown."""
    lines = ["| model_type | models | a clip is shown as | needs torchvision | remark |", "|---|---|---|---|---|"]
    for kind, facts in FAMILIES.items():
        shown = facts.clip_as + (", though it takes videos" if facts.clip_as == "images" and facts.takes_video else "")
        remark = f"use {facts.remark}" if facts.clip_as == "refused" else facts.remark
        needs = "yes" if facts.needs_torchvision else ""
        lines.append(f"| `{kind}` | {facts.model} | {shown} | {needs} | {remark} |")
    return "\n".join(lines) + "\n"
