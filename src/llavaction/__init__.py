"""LLaVAction: evaluate and train multimodal language models that understand actions in video.

The functions of :mod:`llavaction.api` can be had from here: ``from llavaction import ask, evaluate``. They are
imported when they are first used, so that ``import llavaction`` takes no time.
"""

from typing import TYPE_CHECKING, Any

from llavaction.base.version import __version__

if TYPE_CHECKING:
    from llavaction.api import (
        Answer,
        ask,
        audit,
        build_benchmark,
        evaluate,
        fuse,
        load_model,
        multi_label,
        recognise,
        train,
    )

__all__ = [
    "Answer",
    "__version__",
    "ask",
    "audit",
    "build_benchmark",
    "evaluate",
    "fuse",
    "load_model",
    "multi_label",
    "recognise",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'llavaction' has no attribute '{name}'")
    from llavaction import api

    return getattr(api, name)
