"""Segments of 48 action classes, a specialist of them, and a pretended model that reads each clip once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action, ActionVocabulary, LabelClass
from llavaction.backends.base import CAPABILITIES, Capability, HeadScores, OptionScores, Query
from llavaction.base.seeding import hashed_rng
from llavaction.recognition.config import RecognitionConfig
from llavaction.specialists.predictions import SpecialistPrediction

VERBS = ("take", "put", "open", "close", "wash", "cut", "mix", "pour")
NOUNS = ("plate", "cup", "drawer", "knife", "onion", "tap")
SECRET = "the clip's own narration"
PAIRS = [(verb, noun) for verb in range(len(VERBS)) for noun in range(len(NOUNS))]


def segment(number: int, video: str, action: Action, narration: str = "", start: float | None = None) -> Segment:
    start = 2.0 * number if start is None else start
    return Segment(
        segment_id=f"{video}_{number}", video_id=video, participant_id=video[:3], start=start, stop=start + 1.5,
        narration=narration, verb_class=action[0], noun_class=action[1],
    )  # fmt: skip


TRAIN = [segment(number, "P09_01", action, f"says {number}") for number, action in enumerate(PAIRS)]
SEGMENTS = [
    segment(number, f"P0{video}_01", PAIRS[(7 * number + 11 * video) % 48], SECRET)
    for video in (1, 2, 3, 4)
    for number in range(6)
]
VOCABULARY = ActionVocabulary.from_segments(
    [LabelClass(id=i, key=key) for i, key in enumerate(VERBS)],
    [LabelClass(id=i, key=key) for i, key in enumerate(NOUNS)],
    {"train": TRAIN, "validation": SEGMENTS},
)


def prediction(of: Segment, listed: int = 48, seed: int = 0) -> SpecialistPrediction:
    """Probabilities of the best actions, the right one somewhere among them."""
    rng = hashed_rng("specialist", seed, of.segment_id)
    values = rng.normal(0, 1.5, 48)
    if of.labelled:
        values[PAIRS.index(of.action)] += 2
    shares = np.exp(values - np.logaddexp.reduce(values))
    best = np.argsort(-shares, kind="stable")[:listed]
    return SpecialistPrediction(
        segment_id=of.segment_id, actions=tuple(PAIRS[place] for place in best), scores=tuple(shares[best].tolist())
    )


PREDICTIONS = {item.segment_id: prediction(item) for item in SEGMENTS}


def config(**values: Any) -> RecognitionConfig:
    """Settings of a recognition by the pretended model."""
    base = {"annotations": "a", "split": "validation", "predictions": "p.jsonl", "backend": "reads", "batch_size": 3}
    return RecognitionConfig.from_mapping({**base, **values})


def log_shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values - np.logaddexp.reduce(values))


@dataclass
class FakeTexts:
    raw: NDArray[np.float64]

    @property
    def per_token(self) -> NDArray[np.float64]:
        return self.raw / 3

    @property
    def prior_corrected(self) -> NDArray[np.float64]:
        return self.raw[::-1].copy()


@dataclass
class FakeReading:
    """Scores hang on the clip, the prompt and each text."""

    backend: ReadingBackend
    query: Query

    @property
    def heads(self) -> HeadScores | None:
        return self.backend.heads_of(self.query)

    def letters(self, queries: Sequence[Query]) -> list[OptionScores]:
        self.backend.prompts += queries
        values = [self._values(query.prompt, query.options) for query in queries]
        return [OptionScores(found if np.isnan(found).all() else log_shares(found), 0.5) for found in values]

    def texts(self, query: Query, texts: Sequence[str]) -> FakeTexts:
        self.backend.prompts.append(query)
        self.backend.texts.append(tuple(texts))
        return FakeTexts(self._values(query.prompt, texts) - 5)

    def _values(self, prompt: str, texts: Sequence[str]) -> NDArray[np.float64]:
        if self.query.query_id in self.backend.broken:
            return np.full(len(texts), np.nan)
        light = 0 if self.query.clip is None else int(self.query.clip.frames.sum())
        return np.array([hashed_rng("says", self.query.query_id, prompt, text, light).normal() for text in texts])


@dataclass
class ReadingBackend:
    """Reads clips; asking it any other way is an error."""

    name: str = "reads"
    needs_frames: int = 2
    decision_rule: str = "option letters"
    capabilities: frozenset[Capability] = CAPABILITIES | {"read"}
    head_sizes: tuple[int, int, int] | None = (8, 6, 48)
    broken: frozenset[str] = frozenset()
    last: Mapping[str, Action] = field(default_factory=dict)
    stop_after: int | None = None
    reads: list[str] = field(default_factory=list)
    prompts: list[Query] = field(default_factory=list)
    texts: list[tuple[str, ...]] = field(default_factory=list)

    def read(self, query: Query) -> FakeReading:
        if self.stop_after is not None and len(self.reads) >= self.stop_after:
            raise KeyboardInterrupt
        self.reads.append(query.query_id)
        return FakeReading(self, query)

    def heads_of(self, query: Query) -> HeadScores | None:
        """As the light of the clip decides; the verb and noun of ``last`` are the least likely."""
        if self.head_sizes is None:
            return None
        light = 0 if query.clip is None else int(query.clip.frames.sum())
        values = [hashed_rng("head", query.query_id, light, size).normal(size=size) for size in self.head_sizes]
        if query.query_id in self.last:
            verb, noun = self.last[query.query_id]
            values[0][verb] = values[1][noun] = -50.0
        return HeadScores(*map(log_shares, values))

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        raise AssertionError("a clip that was read is asked about by its reading")

    def generate(self, queries: Sequence[Query]) -> list[str]:
        raise NotImplementedError
