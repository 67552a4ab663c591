"""Backends that a full audit has to see through, and clips whose every frame shows an action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from helpers.evaluation_fakes import NOUNS, VERBS, FakeFrames, make_question
from helpers.evaluation_fakes import card as card_of
from llavaction.actions.segments import Clip
from llavaction.backends.base import CAPABILITIES, Capability, OptionScores, Query
from llavaction.base.seeding import hashed_rng
from llavaction.questions.schema import Benchmark

FRAMES = 4
ACTIONS = len(VERBS) * len(NOUNS)


def shown_action(clip: Clip, place: int) -> int:
    """Which action a frame of a clip shows; the last one shows what is asked about."""
    return int(hashed_rng("shown", clip.video_id, int(clip.start), place).integers(ACTIONS))


def action_benchmark(questions: int = 120, videos: int = 12, options: int = 4) -> Benchmark:
    """Questions about the action that the last of a clip's four frames shows."""
    made = []
    for number in range(questions):
        video = f"P{number * videos // questions:02d}_01"
        truth = shown_action(Clip(video_id=video, start=float(number), stop=number + 1.5), FRAMES - 1)
        rng = hashed_rng("options", number)
        others = rng.permutation([action for action in range(ACTIONS) if action != truth])[: options - 1].tolist()
        answer = int(rng.integers(options))
        actions = [divmod(action, len(NOUNS)) for action in (*others[:answer], truth, *others[answer:])]
        made.append(make_question(number, video, actions, answer))
    return Benchmark(made, card_of(options))


class ActionLibrary:
    """Frames whose brightness is the number of an action; of fewer frames than four, those spread over the four."""

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> FakeFrames:
        places = ((np.arange(count) + 0.5) * FRAMES / count).astype(int)
        images = np.zeros((count, 8, 8, 3), np.uint8)
        for row, place in enumerate(places.tolist()):
            images[row] = shown_action(clip, place) * 10
        return FakeFrames(images, clip.start + (places + 0.5) * clip.duration / FRAMES)


@dataclass
class AuditedBackend:
    """Chooses with certainty; ``asked`` counts its questions."""

    name: str = "audited"
    needs_frames: int = FRAMES
    decision_rule: str = "option letters"
    capabilities: frozenset[Capability] = CAPABILITIES
    asked: list[str] = field(default_factory=list)

    def choice(self, query: Query) -> int:
        raise NotImplementedError

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        self.asked += [query.query_id for query in queries]
        found = []
        for query in queries:
            scores = np.full(len(query.options), np.log(0.01))
            scores[self.choice(query)] = np.log(1 - 0.01 * (len(query.options) - 1))
            found.append(OptionScores(scores))
        return found

    def generate(self, queries: Sequence[Query]) -> list[str]:
        raise NotImplementedError


class AlwaysA(AuditedBackend):
    """Says A, whatever is asked."""

    def choice(self, query: Query) -> int:
        return 0


class LastFrame(AuditedBackend):
    """Reads the last frame that it is shown, and no other; guesses by the options' words without one."""

    def choice(self, query: Query) -> int:
        if query.clip is not None:
            verb, noun = divmod(int(query.clip.frames[-1, 0, 0, 0]) // 10, len(NOUNS))
            name = f"{VERBS[verb]} {NOUNS[noun]}"
            if name in query.options:
                return query.options.index(name)
        return query.options.index(min(query.options))


class LeaningToA(LastFrame):
    """Reads the last frame in two of three questions, and says A in the others."""

    def choice(self, query: Query) -> int:
        lazy = hashed_rng("lazy", query.query_id).integers(3) == 0
        return 0 if lazy else super().choice(query)
