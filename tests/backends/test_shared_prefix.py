"""Several questions on one clip, one question in several orders: the video is read once, the scores stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from helpers.asking import in_orders, make_frames, make_query, scores_of
from llavaction.backends.base import Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.testing.tiny import FAMILIES

Make = Callable[..., HuggingFaceBackend]


@contextmanager
def decoded(backend: HuggingFaceBackend) -> Iterator[list[tuple[int, int]]]:
    """Rows and length of everything the text model reads meanwhile."""
    read: list[tuple[int, int]] = []

    def note(module: object, args: object, kwargs: dict[str, object]) -> None:
        found = kwargs["input_ids"] if kwargs.get("input_ids") is not None else kwargs["inputs_embeds"]
        read.append(tuple(found.shape[:2]))  # type: ignore[attr-defined]

    hook = backend.model.get_decoder().register_forward_pre_hook(note, with_kwargs=True)
    yield read
    hook.remove()


@pytest.mark.parametrize("family", FAMILIES)
def test_orders_of_a_question_share_the_video(make: Make, family: str) -> None:
    backend = make(family)
    orders = in_orders(make_query(0, 6, make_frames(0, 4)), 5)
    with decoded(backend) as read:
        found = scores_of(backend, orders)
    whole = len(backend.inputs(orders[0]).ids)
    assert len(read) == 2
    assert read[0][0] == read[1][0] == 1
    assert backend.inputs(orders[0]).visual < read[0][1] < whole
    assert read[1][1] <= 5 * (whole - read[0][1] + 1)
    for order, scores in zip(orders, found, strict=True):
        assert np.exp(scores).sum() == pytest.approx(1, abs=1e-12)
        assert np.abs(scores - scores_of(backend, [order])[0]).max() < 1e-5


def test_orders_in_company_are_the_same_to_the_last_bit(make: Make, mixed: list[Query]) -> None:
    backend = make("qwen2_5_vl")
    orders = in_orders(mixed[0], 3)
    together = scores_of(backend, [mixed[1], orders[0], mixed[2], *orders[1:], mixed[3]])
    own = scores_of(backend, orders)
    assert [together[place].tolist() for place in (1, 3, 4)] == [scores.tolist() for scores in own]
    for place, query in ((0, mixed[1]), (2, mixed[2]), (5, mixed[3])):
        assert together[place].tolist() == scores_of(backend, [query])[0].tolist()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rule", ["letters", "texts"])
def test_questions_on_one_clip_share_it_if_asked_to(make: Make, family: str, rule: str) -> None:
    frames = make_frames(3, 4)
    queries = [
        make_query(0, 5, frames, words="What happens first?"),
        make_query(1, 3, make_frames(4, 4), words="And here, what happens?"),
        make_query(2, 4, frames.copy(), words="What is the person doing in the end?"),
    ]
    backend = make(family, rule=rule, shared_passes=True)
    with decoded(backend) as read:
        found = scores_of(backend, queries)
    lengths = [len(backend.inputs(query).ids) for query in queries]
    assert sum(rows * length for rows, length in read) < sum(lengths) - backend.inputs(queries[0]).visual + 100
    for query, scores in zip(queries, found, strict=True):
        assert np.abs(scores - scores_of(make(family, rule=rule), [query])[0]).max() < 1e-5
    apart = make(family, rule=rule)
    with decoded(apart) as read:
        scores_of(apart, queries)
    prompts = [length for _, length in read if length in lengths]
    assert sorted(prompts) == sorted(lengths)  # by default nothing is shared between questions


def test_prompts_without_video_share_nothing(make: Make) -> None:
    backend = make(frames=0, shared_passes=True)
    queries = [make_query(n, 4, words="What happens" + " now" * n + "?") for n in range(5)]
    with decoded(backend) as read:
        found = scores_of(backend, queries)
    assert read == [(5, max(len(backend.inputs(query).ids) for query in queries))]
    for query, scores in zip(queries, found, strict=True):
        assert np.abs(scores - scores_of(make(frames=0), [query])[0]).max() < 1e-5


def test_shared_passes_are_bounded(make: Make) -> None:
    queries = [make_query(n, 4, make_frames(n, 4), words="What happens" + " now" * (n % 3) + "?") for n in range(6)]
    longest = max(len(make().inputs(query).ids) for query in queries)
    backend = make(shared_passes=True, pass_tokens=2 * longest)
    with decoded(backend) as read:
        found = scores_of(backend, queries)
    assert [rows for rows, _ in read] == [2, 2, 2]
    assert [length for _, length in read] == sorted((length for _, length in read), reverse=True)
    for query, scores in zip(queries, found, strict=True):
        assert np.abs(scores - scores_of(make(), [query])[0]).max() < 1e-5


def test_a_template_that_puts_the_text_first_shares_nothing(make: Make) -> None:
    backend = make(shared_passes=True)
    frames = make_frames(0, 4)
    queries = [make_query(n, 4, frames, words=f"Question {n}?") for n in range(2)]
    prepared = [backend.inputs(query) for query in queries]
    swapped = [replace(item, ids=item.ids[::-1]) for item in prepared]
    assert backend._units(queries, prepared) == [[0, 1]]
    assert backend._units(queries, swapped) == [[0], [1]]
