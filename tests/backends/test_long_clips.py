"""What follows a long clip stands where the model's own forward puts it, in every family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.asking import in_orders, scores_of
from helpers.long_clips import BOUND, alone, long_query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.testing.tiny import FAMILIES

Make = Callable[..., HuggingFaceBackend]
CLIPS = [(0.5, 4), (8.5, 16), (20.0, 8), (33.3, 7), (60.0, 32), (120.0, 4), (120.0, 64)]
"""Seconds and frames."""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("seconds", "frames"), CLIPS)
def test_orders_and_shared_passes_equal_each_question_alone(
    make: Make, family: str, seconds: float, frames: int
) -> None:
    backend, sharing = make(family), make(family, shared_passes=True)
    query = long_query(seconds, frames)
    orders = in_orders(query, 3)
    expected = [scores_of(backend, [order])[0] for order in orders]
    assert np.abs(np.stack(scores_of(backend, orders)) - np.stack(expected)).max() < BOUND
    others = [replace(long_query(seconds, frames, 1, "What is done in the end?"), clip=query.clip), query]
    apart = [scores_of(backend, [other])[0] for other in others]
    assert np.abs(np.stack(scores_of(sharing, others)) - np.stack(apart)).max() < BOUND
    assert np.ptp(expected[0]) > 0.1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("branching", ["mask", "rows"])
@pytest.mark.parametrize(("seconds", "frames"), [(0.5, 4), (33.3, 7), (120.0, 16)])
def test_label_texts_equal_each_text_alone(
    make: Make, family: str, branching: str, seconds: float, frames: int
) -> None:
    backend = make(family, rule="texts", normalisation="raw", branching=branching)
    query = long_query(seconds, frames)
    texts = ("take plate", "take", "put knife down", "wash")
    found = backend.score_texts([query], texts)[0]
    answers = backend._texts._label_texts.tokens(texts)
    expected = [alone(backend, query, answer) for answer in answers]
    assert np.abs(found - expected).max() < 2 * BOUND  # sums over up to 10 tokens, of about -50


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_onevision"])
@pytest.mark.parametrize("shared_passes", [False, True])
def test_generation_goes_on_where_reading_would(make: Make, family: str, shared_passes: bool) -> None:
    backend = make(family, shared_passes=shared_passes, max_new_tokens=8)
    queries = [long_query(120.0, 16), long_query(60.0, 16, 1, "What is done in the end, if anything?")]
    for query, text in zip(queries, backend.generate(queries), strict=True):
        prompt, written = backend.inputs(query), ()
        for _ in range(8):
            with torch.no_grad():
                logits = backend.model(**backend._inputs([prompt.followed_by(written)]), use_cache=False).logits
            written = (*written, int(logits[0, -1].argmax()))
        stop = backend.model.generation_config.eos_token_id
        written = written[: written.index(stop)] if stop in written else written
        assert text == backend.checkpoint.tokenizer.decode(written, skip_special_tokens=True).strip()
