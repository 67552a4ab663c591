"""A small benchmark and pretenders to answer it; run as a script it is a run that can be killed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Clip
from llavaction.backends.base import CAPABILITIES, Capability, OptionScores, Query
from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.runner import run
from llavaction.questions.asked import LETTERS
from llavaction.questions.schema import Benchmark, BenchmarkCard, Option, Provenance, Question

KEY: dict[tuple[str, frozenset[str]], str] = {}
"""The right answers to what was made here, by id and options: queries do not tell them."""

VERBS = ("take", "put", "open", "close", "wash")
NOUNS = ("plate", "cup", "drawer", "knife")


def make_question(number: int, video: str, actions: Sequence[tuple[int, int]], answer: int) -> Question:
    made = Question(
        question_id=f"{video}_{number}",
        clip=Clip(video_id=video, start=float(number), stop=number + 1.5),
        question="What is the person doing?",
        options=tuple(Option(text=f"{VERBS[v]} {NOUNS[n]}", action=(v, n)) for v, n in actions),
        answer=answer,
        provenance=Provenance(miner="random", text_pool="clean"),
    )
    KEY[made.question_id, frozenset(made.asked.options)] = made.asked.options[answer]
    return made


def right(query: Query) -> int:
    """The place of the right option; 0 of options that were changed since."""
    answer = KEY.get((query.query_id, frozenset(query.options)), query.options[0])
    return query.options.index(answer)


def card(options: int, name: str = "kitchen-mqa") -> BenchmarkCard:
    return BenchmarkCard(
        name=name,
        split="validation",
        miner="random",
        text="clean",
        options=options,
        seed=0,
        licence="CC0-1.0",
        made_by="tests",
        sources={},
    )


def make_benchmark(questions: int = 24, videos: int = 4, options: int = 4) -> Benchmark:
    made = []
    for number in range(questions):
        rng = hashed_rng("tests", number)
        picks = rng.choice(len(VERBS) * len(NOUNS), size=options, replace=False)
        actions = [(int(pick) // len(NOUNS), int(pick) % len(NOUNS)) for pick in picks]
        made.append(
            make_question(number, f"P0{number * videos // questions + 1}_01", actions, int(rng.integers(options)))
        )
    return Benchmark(made, card(options))


@dataclass
class FakeBackend:
    """Scores hang on the whole batch, so that a run resumed in other batches would show."""

    name: str = "fake"
    needs_frames: int = 0
    decision_rule: str = "option letters"
    capabilities: frozenset[Capability] = CAPABILITIES
    delay: float = 0.0
    texts: dict[str, str] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        time.sleep(self.delay)
        batch = [query.query_id for query in queries]
        self.asked.append(batch)
        found = []
        for query in queries:
            light = 0 if query.clip is None else int(query.clip.frames.sum())
            rng = hashed_rng(query.query_id, query.prompt, "|".join(batch), light)
            logits = rng.normal(size=len(query.options))
            logits[right(query)] += 1
            found.append(OptionScores(logits - np.log(np.exp(logits).sum())))
        return found

    def generate(self, queries: Sequence[Query]) -> list[str]:
        self.asked.append([query.query_id for query in queries])
        return [self.texts.get(query.query_id, LETTERS[right(query)]) for query in queries]


@dataclass(frozen=True)
class FakeFrames:
    images: NDArray[np.uint8]
    times: NDArray[np.float64]
    error: Exception | None = None
    stand_ins: tuple[int, ...] = ()


@dataclass
class FakeLibrary:
    """Renders coloured frames; clips named in ``bad`` cannot be read, those in ``partial`` only in part."""

    bad: frozenset[str] = frozenset()
    partial: frozenset[str] = frozenset()
    crash: frozenset[str] = frozenset()

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> FakeFrames:
        if segment_id in self.crash:
            raise ValueError("the decoder fell over")
        if segment_id in self.bad:
            raise InputError("is damaged from its first byte on", file=f"/videos/of/somebody/{clip.video_id}.mp4")
        images = np.zeros((count, 60, 80, 3), np.uint8)
        images += hashed_rng("frames", clip.video_id, int(clip.start)).integers(0, 200, 3).astype(np.uint8)
        images[:, 10:30, 10:40] += (np.arange(count) * 9 % 55).astype(np.uint8)[:, None, None, None]
        times = clip.start + (np.arange(count) + 0.5) * clip.duration / count
        if segment_id in self.partial:
            return FakeFrames(images, times, InputError("ends early", file=f"{clip.video_id}.mp4"), (count - 1,))
        return FakeFrames(images, times)


CONFIG = RunConfig(benchmark="bench", backend="fake", batch_size=3)
LIBRARY = FakeLibrary(bad=frozenset({"P01_01_4"}), partial=frozenset({"P02_01_7"}))


if __name__ == "__main__":
    target, pause = Path(sys.argv[1]), float(sys.argv[2])
    run(CONFIG, make_benchmark(), FakeBackend(needs_frames=2, delay=pause), LIBRARY, target)
