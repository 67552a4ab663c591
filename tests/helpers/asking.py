"""Questions, frames and queries for the backend tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from llavaction.actions.segments import Clip
from llavaction.backends.asking import query
from llavaction.backends.base import Backend, Query
from llavaction.base.seeding import hashed_rng
from llavaction.questions.asked import Asked
from llavaction.questions.prompts import PromptStyle, multiple_choice_prompt
from llavaction.questions.schema import Option, Provenance, Question
from llavaction.video.decoded import DecodedClip

VERBS = ("take", "put", "open", "close", "wash", "cut", "mix", "pour", "move", "turn-on")
NOUNS = ("plate", "knife", "door", "tap", "onion")


def make_question(
    number: int, options: int = 5, *, words: str = "What is the person doing?", answer: int = 0
) -> Question:
    """A question whose options are all different (verb, noun) classes."""
    return Question(
        question_id=f"q{number}",
        clip=Clip(video_id="P01_01", start=1.0, stop=3.0),
        question=words,
        options=tuple(
            Option(text=f"{VERBS[i % 10]} {NOUNS[i // 10 + number % 2]}", action=(i % 10, i // 10 + number % 2))
            for i in range(options)
        ),
        answer=answer,
        provenance=Provenance(miner="random", text_pool="clean"),
    )


def make_frames(seed: int, count: int, height: int = 90, width: int = 160) -> np.ndarray:
    """Random pictures: a few coarse blocks of colour each, so that scaling does not wash them out."""
    blocks = hashed_rng("frames", seed).integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    return np.ascontiguousarray(blocks.repeat(-(-height // 6), 1).repeat(-(-width // 8), 2)[:, :height, :width])


def make_query(number: int, options: int = 5, frames: np.ndarray | None = None, words: str = "What happens?") -> Query:
    """A query with our own prompt, on a clip of two seconds."""
    return as_query(make_question(number, options, words=words).asked, frames)


def as_query(asked: Asked, frames: np.ndarray | None = None, style: PromptStyle = "letters") -> Query:
    """A query as :func:`llavaction.backends.asking.query` makes it."""
    clip = None if frames is None else DecodedClip.evenly(frames, asked.clip.duration)
    return query(asked, clip, style)


def scores_of(backend: Backend, queries: Sequence[Query]) -> list[np.ndarray]:
    """Log-probabilities of the options of each query."""
    return [found.log_probabilities for found in backend.score_options(queries)]


def in_orders(one: Query, count: int) -> list[Query]:
    """A query of :func:`make_query` with its options in several orders."""
    first = one.prompt.partition("\n")[0]
    orders = [one.options[turn:] + one.options[:turn] for turn in range(count)]
    made = [Asked(one.query_id, make_question(0).clip, first, options) for options in orders]
    return [replace(one, options=asked.options, prompt=multiple_choice_prompt(asked)) for asked in made]
