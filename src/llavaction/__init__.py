"""LLaVAction: evaluate and train multimodal language models that understand actions in video."""

__version__ = "0.1.0"
