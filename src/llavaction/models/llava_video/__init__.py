"""LLaVA-Video (SigLIP and Qwen2): the backbone of the published checkpoints. Importing it registers its classes."""

from llavaction.models.llava_video.configuration import LlavaVideoConfig, NewlinePosition, Pooling
from llavaction.models.llava_video.modeling import (
    LlavaVideoForConditionalGeneration,
    LlavaVideoModel,
    Span,
    visual_spans,
)
from llavaction.models.llava_video.processing import LlavaVideoProcessor, Row, add_visual_tokens

__all__ = [
    "LlavaVideoConfig",
    "LlavaVideoForConditionalGeneration",
    "LlavaVideoModel",
    "LlavaVideoProcessor",
    "NewlinePosition",
    "Pooling",
    "Row",
    "Span",
    "add_visual_tokens",
    "visual_spans",
]
