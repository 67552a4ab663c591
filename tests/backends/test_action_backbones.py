"""Backbones with an action token, asked like any other checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from helpers.asking import in_orders, make_frames, make_query, scores_of
from helpers.long_clips import BOUND, alone, long_query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.models.action_token import ActionTokenConfig
from llavaction.models.add_action_token import add_action_token
from llavaction.testing.tiny import write_tiny


@pytest.fixture(scope="module", params=["llava_onevision", "qwen2_5_vl", "qwen3_vl"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny checkpoint, and the same with three action tokens."""
    home = tmp_path_factory.mktemp(request.param)
    plain = write_tiny(home / "plain", request.param)
    joined = Path(shutil.copytree(plain, home / "joined"))
    model, tokenizer = AutoModelForImageTextToText.from_pretrained(plain), AutoTokenizer.from_pretrained(plain)
    settings = ActionTokenConfig(supervision="three_tokens", verbs=3, nouns=4, actions=5)
    add_action_token(model, tokenizer, settings).save_pretrained(joined)
    tokenizer.save_pretrained(joined)
    return plain, joined


def test_the_tokens_stand_behind_the_video_and_the_heads_read_them(folders: tuple[Path, Path]) -> None:
    plain, joined = (HuggingFaceBackend(HuggingFaceConfig(path=folder, frames=4)) for folder in folders)
    query = make_query(1, frames=make_frames(1, 4))
    before, prepared = plain.inputs(query), joined.inputs(query)
    tokens = list(joined.model.action.token_ids)
    ids = list(prepared.ids)
    first = ids.index(tokens[0])
    assert ids[first : first + 3] == tokens
    assert ids[:first] + ids[first + 3 :] == list(before.ids)
    video = joined.checkpoint.tokenizer.convert_tokens_to_ids(joined.family.visual_tokens[0])
    last_visual = max(place for place, token in enumerate(ids) if token == video)
    assert 1 <= first - last_visual <= 3  # at once, or after the brackets that end the video
    with torch.no_grad():
        outputs = joined.model(**joined._inputs([prepared]), output_hidden_states=True)
    assert outputs.action_logits.shape == (1, 5)
    expected = joined.model.action_head(outputs.hidden_states[-1][0, first + 2])
    torch.testing.assert_close(outputs.action_logits[0], expected)


def test_scores_do_not_depend_on_the_batch(folders: tuple[Path, Path]) -> None:
    backend = HuggingFaceBackend(HuggingFaceConfig(path=folders[1], frames=4))
    queries = [make_query(number, frames=make_frames(number, 4)) for number in range(3)]
    together = scores_of(backend, queries)
    for query, scores in zip(queries, together, strict=True):
        assert np.array_equal(scores_of(backend, [query])[0], scores)
    other = scores_of(backend, [make_query(0, frames=make_frames(9, 4))])[0]
    assert not np.allclose(other, together[0])


def test_an_action_token_in_the_text_is_text(folders: tuple[Path, Path]) -> None:
    backend = HuggingFaceBackend(HuggingFaceConfig(path=folders[1], frames=4))
    prepared = backend.inputs(make_query(0, frames=make_frames(0, 4), words="What <|noun|>?"))
    noun = backend.checkpoint.tokenizer.convert_tokens_to_ids("<|noun|>")
    assert prepared.ids.count(noun) == 1  # the one behind the video
    assert "What <|noun|>?" in backend.checkpoint.tokenizer.decode(prepared.ids)


@pytest.mark.parametrize(("seconds", "frames"), [(8.5, 16), (120.0, 4)])
def test_orders_and_texts_behind_the_tokens_of_a_long_clip(
    folders: tuple[Path, Path], seconds: float, frames: int
) -> None:
    backend = HuggingFaceBackend(HuggingFaceConfig(path=folders[1], frames=4, device="cpu"))
    orders = in_orders(long_query(seconds, frames), 3)
    apart = [scores_of(backend, [order])[0] for order in orders]
    assert np.abs(np.stack(scores_of(backend, orders)) - apart).max() < BOUND
    answers = [backend._texts._label_texts.tokens((text,))[0] for text in ("take plate", "wash")]
    found = backend._behind.score([backend.inputs(orders[0])], [answers])[0]
    assert np.abs(found - [alone(backend, orders[0], answer) for answer in answers]).max() < 2 * BOUND
