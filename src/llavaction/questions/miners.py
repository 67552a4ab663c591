"""Miners: where distractors come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action, published_order
from llavaction.base.errors import InputError
from llavaction.base.registry import resolve
from llavaction.base.seeding import hashed_rng
from llavaction.questions.config import MINERS
from llavaction.questions.exchangeable import (
    ExchangeableConfig,
    balance_groups,
    draw_group,
    fit_group,
    group_classes,
)
from llavaction.questions.filters import TruthFilter
from llavaction.specialists.predictions import SpecialistPrediction

BLOCK = 512
"""Segments handed to a worker at a time by miners that treat each segment by itself."""


@dataclass(frozen=True)
class MiningTask:
    """What every miner is given.

    Attributes:
        segments: the segments to make questions of.
        classes: all action classes known (train and validation).
        truth: the false-negative filter.
        distractors: how many each question needs (K - 1).
        seed: of all random choices.
        predictions: a specialist's predictions by segment id, for the miner that needs them.
        settings: the miner's own settings, by name.
    """

    segments: Sequence[Segment]
    classes: Sequence[Action]
    truth: TruthFilter
    distractors: int
    seed: int
    predictions: Mapping[str, SpecialistPrediction] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mined:
    """Distractors of one segment, the miner's best first; fewer than asked for where no more could be had.

    Attributes:
        segment_id: whose they are.
        actions: the distractors.
        rejections: how often the filter spoke, by reason.
        report: numbers about the miner's work, added up over all segments for the card.
    """

    segment_id: str
    actions: tuple[Action, ...]
    rejections: Mapping[str, int]
    report: Mapping[str, float] = field(default_factory=dict)


class Miner(Protocol):
    """Finds distractors. The result for a segment depends on the task alone, not on which process mines which block."""

    def __init__(self, task: MiningTask) -> None: ...

    def blocks(self) -> list[list[Segment]]:
        """Units of work that can be mined in any order, on any process."""

    def mine(self, block: Sequence[Segment]) -> list[Mined]:
        """Distractors for each segment of a block."""

    def resolved_settings(self) -> dict[str, Any]:
        """The settings in force, for the card."""


def make_miner(name: str, task: MiningTask) -> Miner:
    """The miner of that name.

    Raises:
        InputError: no such miner, or the task lacks what it needs.
    """
    miner: Miner = resolve(MINERS, name, "miner")(task)
    return miner


class _OneByOne(ABC):
    """A miner that goes down a list of candidates for each segment."""

    def __init__(self, task: MiningTask) -> None:
        self.task = task
        if task.settings:
            raise InputError(f"this miner has no settings; got {', '.join(task.settings)}")

    def blocks(self) -> list[list[Segment]]:
        segments = iter(sorted(self.task.segments, key=lambda segment: segment.segment_id))
        return list(iter(lambda: list(islice(segments, BLOCK)), []))

    def mine(self, block: Sequence[Segment]) -> list[Mined]:
        return [self._one(segment) for segment in block]

    def resolved_settings(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def candidates(self, segment: Segment) -> Iterator[Action]:
        """Classes in the order in which to try them."""

    def _one(self, segment: Segment) -> Mined:
        distractors: list[Action] = []
        rejections: Counter[str] = Counter()
        for action in self.candidates(segment):
            if len(distractors) == self.task.distractors:
                break
            reason = self.task.truth.reason(segment, action)
            if reason is None and any(self.task.truth.synonyms.read_alike(action, other) for other in distractors):
                reason = "synonym"
            if reason is None:
                distractors.append(action)
            else:
                rejections[reason] += 1
        return Mined(segment.segment_id, tuple(distractors), rejections)


class RandomMiner(_OneByOne):
    """Classes drawn uniformly from all known ones, as the published random distractors are."""

    def candidates(self, segment: Segment) -> Iterator[Action]:
        order = hashed_rng("random miner", self.task.seed, segment.segment_id).permutation(len(self.task.classes))
        return (self.task.classes[i] for i in order)


class SpecialistMiner(_OneByOne):
    """A specialist's best classes: what it confuses the segment with (paper: distractors from AVION or TIM)."""

    def __init__(self, task: MiningTask) -> None:
        super().__init__(task)
        if task.predictions is None:
            raise InputError("the specialist miner needs predictions", hint="give --predictions FILE")
        missing = [s.segment_id for s in task.segments if s.segment_id not in task.predictions]
        if missing:
            raise InputError(
                f"no prediction for {len(missing)} of {len(task.segments)} segments, e.g. {missing[0]}",
                hint="are these predictions for this split?",
            )

    def candidates(self, segment: Segment) -> Iterator[Action]:
        assert self.task.predictions is not None
        return iter(self.task.predictions[segment.segment_id].actions)


class ExchangeableMiner:
    """Sets any member of which could be the answer; needs no specialist (see questions/exchangeable.py)."""

    def __init__(self, task: MiningTask) -> None:
        self.task = task
        self.config = ExchangeableConfig.from_mapping(task.settings)
        self._answers = published_order(segment.action for segment in task.segments)
        if len(self._answers) <= task.distractors:
            raise InputError(
                f"only {len(self._answers)} classes occur in this split, too few for {task.distractors + 1} options",
                hint="ask for fewer --options",
            )

    def blocks(self) -> list[list[Segment]]:
        return balance_groups(self.task.segments, self.task.distractors + 1, self.config.slack)

    def mine(self, block: Sequence[Segment]) -> list[Mined]:
        task, classes = self.task, group_classes(block)
        allowed, rejections = self._verdicts(block, classes)
        conflicts = [task.truth.synonyms.also_true(action) for action in classes]
        name = min(segment.segment_id for segment in block)
        rng = hashed_rng("exchangeable fit", task.seed, name)
        fit = fit_group(block, conflicts, allowed, task.distractors, self.config, rng, task.truth.labels(classes))
        generators = [hashed_rng("exchangeable draw", task.seed, segment.segment_id) for segment in block]
        groups = draw_group(fit, block, allowed, task.distractors, self.config, generators)
        mined = []
        for segment, actions, rejected in zip(block, groups, rejections, strict=True):
            filled = self._fill(segment, actions)
            report = {
                "groups": float(segment.segment_id == name),
                "mean imbalance": fit.imbalance / len(task.segments),
                "distractors filled in from the whole split": float(len(filled) - len(actions)),
            }
            mined.append(Mined(segment.segment_id, tuple(filled), rejected, report))
        return mined

    def resolved_settings(self) -> dict[str, Any]:
        return self.config.model_dump()

    def _verdicts(
        self, block: Sequence[Segment], classes: Sequence[Action]
    ) -> tuple[NDArray[np.bool_], list[Counter[str]]]:
        """What the filter lets through, [questions, classes], and how often it spoke for which reason."""
        allowed = np.ones((len(block), len(classes)), dtype=bool)
        rejections: list[Counter[str]] = []
        columns = {action: column for column, action in enumerate(classes)}
        by_noun: dict[int, list[Action]] = defaultdict(list)
        for action in classes:
            by_noun[action[1]].append(action)
        for row, segment in enumerate(block):
            verdicts = self.task.truth.verdicts(segment, columns, by_noun)
            allowed[row, list(verdicts)] = False
            rejections.append(Counter(verdicts.values()))
        return allowed, rejections

    def _fill(self, segment: Segment, actions: list[Action]) -> list[Action]:
        """Complete a set that its group could not fill with answers of the whole split."""
        filled = list(actions)
        if len(filled) < self.task.distractors:
            excluded = {near for action in filled for near in self.task.truth.synonyms.also_true(action)}
            order = hashed_rng("exchangeable fill", self.task.seed, segment.segment_id).permutation(len(self._answers))
            for action in (self._answers[i] for i in order):
                if len(filled) == self.task.distractors:
                    break
                if action not in excluded and self.task.truth.reason(segment, action) is None:
                    filled.append(action)
                    excluded |= self.task.truth.synonyms.also_true(action)
        return filled
