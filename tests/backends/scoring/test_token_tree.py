from __future__ import annotations

import numpy as np
import pytest

from llavaction.backends.scoring.token_tree import TokenTree, token_tree
from llavaction.base.seeding import hashed_rng
from llavaction.models.tokenisation import shared_length

Sequences = tuple[tuple[int, ...], ...]


def random_sequences(seed: int, count: int = 60) -> Sequences:
    """Few different tokens, so that beginnings, whole sequences and beginnings of others recur."""
    rng = hashed_rng("token tree", seed)
    return tuple(tuple(int(t) for t in rng.integers(0, 3, rng.integers(1, 7))) for _ in range(count))


def words(tree: TokenTree, node: int) -> tuple[int, ...]:
    return tuple(int(tree.tokens[step]) for step in tree.path(node))


@pytest.mark.parametrize("seed", range(5))
def test_every_beginning_is_one_node(seed: int) -> None:
    sequences = random_sequences(seed)
    tree = token_tree(sequences)
    assert [words(tree, int(end)) for end in tree.ends] == list(sequences)
    beginnings = {sequence[: length + 1] for sequence in sequences for length in range(len(sequence))}
    assert {words(tree, node) for node in range(len(tree.tokens))} == beginnings
    assert len(tree.tokens) == len(beginnings) < sum(map(len, sequences))
    assert (tree.parents < np.arange(len(tree.tokens))).all()
    assert tree.depths.tolist() == [len(tree.path(node)) - 1 for node in range(len(tree.tokens))]


def test_the_order_of_sequences_changes_no_node() -> None:
    sequences = random_sequences(0)
    tree, turned = token_tree(sequences), token_tree(sequences[::-1])
    assert tree.tokens.tolist() == turned.tokens.tolist()
    assert tree.ends.tolist() == turned.ends[::-1].tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most", [1, 4, 7, 20, 1000])
def test_passes_hold_every_inner_node_once_and_all_ancestors(seed: int, most: int) -> None:
    tree = token_tree(random_sequences(seed))
    fresh: list[int] = []
    for nodes, known in tree.passes(most):
        assert 0 <= known < len(nodes)
        assert len(nodes) <= max(most, known + 1)
        assert set(nodes[:known].tolist()) <= set(fresh)
        fresh += nodes[known:].tolist()
        held = nodes.tolist()
        assert all(set(tree.path(node)) <= set(held) for node in held)
        seen = tree.visible(nodes)
        for row, node in enumerate(held):
            assert {held[column] for column in np.flatnonzero(seen[row])} == set(tree.path(node))
    followed = sorted({int(parent) for parent in tree.parents if parent >= 0})
    assert fresh == followed
    assert sorted({node for branch in tree.branches() for node in branch}) == followed


def test_sums_along_the_paths() -> None:
    sequences = ((4, 5, 6), (4, 5), (4, 7, 6), (9,), (4, 5))
    tree = token_tree(sequences)
    assert len(tree.tokens) == 6
    values = np.zeros(6)
    for end, sequence in zip(tree.ends, sequences, strict=True):
        for node, token in zip(tree.path(int(end)), sequence, strict=True):
            values[node] = 10.0**token
    assert tree.sums(values, [0] * 5).tolist() == [1.11e6, 1.1e5, 1.101e7, 1e9, 1.1e5]
    assert tree.sums(values, [2, 1, 0, 0, 0]).tolist() == [1e6, 1e5, 1.101e7, 1e9, 1.1e5]


def test_single_tokens_need_no_pass() -> None:
    tree = token_tree(((3,), (1,), (2,)))
    assert list(tree.passes(10)) == []
    assert tree.branches() == []


def test_shared_length() -> None:
    assert shared_length((1, 2, 3), (1, 2, 4, 5), (1, 2)) == 2
    assert shared_length((1, 2), (1, 2)) == 2
    assert shared_length((1, 2)) == 2
    assert shared_length((1, 2), ()) == 0
    assert shared_length((1, 2), (2, 2)) == 0
