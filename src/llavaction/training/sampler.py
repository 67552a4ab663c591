"""The sampler: which record is seen in which step, by which process, known from the first step to the last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from llavaction.base.seeding import hashed_rng
from llavaction.training.mixture import Mixture


class Draw(NamedTuple):
    """A record at its turn.

    Attributes:
        record: its index in the mixture.
        turn: the pass over the mixture, from 0.
    """

    record: int
    turn: int


@dataclass(frozen=True, eq=False)  # told apart by identity, which is what the caches below go by
class RecordSampler:
    """Global batches of records of like length.

    The passes over the mixture, each shuffled, follow each other without a break: a batch may begin in one pass and end
    in the next, so every batch is full. Every ``group`` of them in a row are filled anew with their records sorted by
    length, and come in random order. Within a batch records are dealt out in pieces of ``micro_batch``, such that the
    processes work on pieces of like length at the same time. What a batch holds depends neither on the number of
    processes nor on the micro-batch.

    Attributes:
        mixture: the records.
        lengths: tokens of each record.
        steps: global batches.
        global_batch: records in each.
        micro_batch: records of a process in one forward pass.
        group: see above; 0 leaves records in the order they are drawn.
        seed: of the order of batches.
    """

    mixture: Mixture
    lengths: Sequence[int]
    steps: int
    global_batch: int
    micro_batch: int
    group: int
    seed: int

    def batch(self, step: int) -> list[Draw]:
        """The records of a global batch, longest first where batches are grouped."""
        size = self.global_batch
        if not self.group:
            return self._stream(step * size, (step + 1) * size)
        first = step // self.group * self.group
        count = min(self.group, self.steps - first)
        draws, order = _grouped(self, first, count)
        place = int(order[step - first])
        return draws[place * size : (place + 1) * size]

    def micro_batches(self, rank: int, world: int) -> Iterator[list[Draw]]:
        """What one of ``world`` processes sees, all steps in a row."""
        size = self.micro_batch
        for step in range(self.steps):
            batch = self.batch(step)
            pieces = [batch[start : start + size] for start in range(0, len(batch), size)]
            yield from pieces[rank::world]

    def _stream(self, start: int, stop: int) -> list[Draw]:
        length = self.mixture.pass_length
        draws = []
        for turn in range(start // length, math.ceil(stop / length)):
            begin = turn * length
            indices = _one_pass(self.mixture, turn)[max(start - begin, 0) : stop - begin]
            draws += [Draw(int(index), turn) for index in indices]
        return draws


@lru_cache(maxsize=4)
def _one_pass(mixture: Mixture, turn: int) -> NDArray[np.int64]:
    return mixture.one_pass(turn)


@lru_cache(maxsize=4)
def _grouped(sampler: RecordSampler, first: int, count: int) -> tuple[list[Draw], NDArray[np.int64]]:
    size = sampler.global_batch
    draws = sampler._stream(first * size, (first + count) * size)
    draws.sort(key=lambda draw: -sampler.lengths[draw.record])  # stable: equal lengths stay shuffled
    return draws, hashed_rng("order", sampler.seed, first).permutation(count)


class MicroBatches(Sampler[list[Draw]]):
    """The batch sampler of one process.

    Args:
        sampler: of the whole training.
        rank, world: which process of how many.
    """

    def __init__(self, sampler: RecordSampler, rank: int, world: int) -> None:
        self._sampler, self._rank, self._world = sampler, rank, world

    def __iter__(self) -> Iterator[list[Draw]]:
        return self._sampler.micro_batches(self._rank, self._world)

    def __len__(self) -> int:
        sampler = self._sampler
        return sampler.steps * (sampler.global_batch // (sampler.micro_batch * self._world))


def steps_of(epochs: float, pass_length: int, global_batch: int) -> int:
    """Steps in which the mixture is seen ``epochs`` times; the last batch is filled up from a further pass."""
    return max(1, math.ceil(epochs * pass_length / global_batch - 1e-9))
