"""A token tree: many short texts with their shared beginnings written once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from llavaction.models.tokenisation import shared_length


@dataclass(frozen=True)
class TokenTree:
    """Token sequences as a tree; nodes are numbered depth first, so parents come before their children.

    Attributes:
        tokens: int64 [nodes], the token of each node.
        parents: int64 [nodes], the node before it; -1 where it begins a sequence.
        depths: int64 [nodes], tokens before it.
        ends: int64 [sequences], the last node of each sequence, in the order given.
    """

    tokens: NDArray[np.int64]
    parents: NDArray[np.int64]
    depths: NDArray[np.int64]
    ends: NDArray[np.int64]

    @property
    def inner(self) -> NDArray[np.int64]:
        """Nodes that another follows: what a model has to read to give every node its probability, in order."""
        return np.unique(self.parents[self.parents >= 0])

    def path(self, node: int) -> list[int]:
        """The nodes from a beginning to ``node``; none for -1."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = int(self.parents[node])
        return nodes[::-1]

    def passes(self, most: int) -> Iterator[tuple[NDArray[np.int64], int]]:
        """Cut the inner nodes into passes a model can read by themselves.

        Args:
            most: nodes a pass may hold; more only where a single path is longer.

        Yields:
            The nodes of a pass in order, every ancestor among them, and how many at its beginning an earlier pass has
            read already. Depth first, all that a pass needs from before it are the ancestors of its first node.
        """
        inner, start = self.inner, 0
        while start < len(inner):
            above = self.path(int(self.parents[inner[start]]))
            stop = start + max(1, most - len(above))
            yield np.concatenate([np.asarray(above, np.int64), inner[start:stop]]), len(above)
            start = stop

    def visible(self, nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which nodes of a pass each of them sees, bool [nodes, nodes]: its ancestors and itself."""
        mask = np.eye(len(nodes), dtype=np.bool_)
        place = {int(node): row for row, node in enumerate(nodes)}
        for row, node in enumerate(nodes):
            parent = int(self.parents[node])
            if parent >= 0:
                mask[row] |= mask[place[parent]]
        return mask

    def branches(self) -> list[list[int]]:
        """The inner nodes as paths, one to each inner node that no inner node follows."""
        inner = self.inner
        tips = np.setdiff1d(inner, self.parents[inner])
        return [self.path(int(tip)) for tip in tips]

    def sums(self, values: NDArray[np.float64], skip: Sequence[int]) -> NDArray[np.float64]:
        """Sum of ``values`` [nodes] along each sequence, without its first ``skip`` [sequences] tokens."""
        return np.array(
            [values[self.path(int(end))[count:]].sum() for end, count in zip(self.ends, skip, strict=True)], np.float64
        )


@lru_cache(maxsize=8)  # a label set is asked about every clip
def token_tree(sequences: tuple[tuple[int, ...], ...]) -> TokenTree:
    """The tree of token sequences, at least one token each; equal ones share all their nodes."""
    tokens: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    ends = np.empty(len(sequences), np.int64)
    path: list[int] = []
    previous: tuple[int, ...] = ()
    for index in sorted(range(len(sequences)), key=lambda index: sequences[index]):  # neighbours share the most
        sequence = sequences[index]
        del path[shared_length(previous, sequence) :]
        for token in sequence[len(path) :]:
            parents.append(path[-1] if path else -1)
            depths.append(len(path))
            path.append(len(tokens))
            tokens.append(token)
        ends[index] = path[-1]
        previous = sequence
    return TokenTree(np.asarray(tokens, np.int64), np.asarray(parents, np.int64), np.asarray(depths, np.int64), ends)
