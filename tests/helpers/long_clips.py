"""Questions about clips of any length, and the answer's log-probability without any sharing."""

from __future__ import annotations

from dataclasses import replace

import torch

from helpers.asking import make_frames, make_query
from llavaction.backends.base import Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.video.decoded import DecodedClip

BOUND = 1e-5


def long_query(seconds: float, frames: int, number: int = 0, words: str = "What happens?") -> Query:
    clip = DecodedClip.evenly(make_frames(7, frames, 60, 106), seconds)
    return replace(make_query(number, 5, words=words), clip=clip)


def alone(backend: HuggingFaceBackend, query: Query, answer: tuple[int, ...]) -> float:
    """Log-probability of an answer by one plain forward pass over prompt and answer."""
    prompt = backend.inputs(query)
    with torch.no_grad():
        logits = backend.model(**backend._inputs([prompt.followed_by(answer)]), use_cache=False).logits[0].double()
    values = logits.log_softmax(-1)[len(prompt.ids) - 1 : -1]
    return float(sum(values[step, token] for step, token in enumerate(answer)))
