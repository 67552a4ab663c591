"""LLaVAction: evaluate and train multimodal language models that understand actions in video."""

from llavaction.models.auto import register_with_transformers

__version__ = "0.1.0"

register_with_transformers()
