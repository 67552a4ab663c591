"""A clip that is read once says what separate passes over clip and question say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from helpers.asking import as_query, in_orders, make_frames, make_query, make_question
from llavaction.backends.base import Query, QuestionError, Reads
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.models.action_token import ActionTokenConfig
from llavaction.models.add_action_token import add_action_token
from llavaction.testing.tiny import FAMILIES, write_tiny

Make = Callable[..., HuggingFaceBackend]
NEAR = 1e-4
TEXTS = ("take plate", "put", "put down", "put down plate", "turn-on tap", "put")
FORMS = {"raw": "raw", "length": "per_token", "prior": "prior_corrected"}
WITH_TOKENS = [
    (family, supervision)
    for family in ("llava_onevision", "qwen2_5_vl", "qwen3_vl")
    for supervision in ("one_token", "three_tokens")
]


def open_query(number: int, frames: np.ndarray, words: str = "What happens?") -> Query:
    return as_query(make_question(number, words=words).asked, frames, "open")


def check(backend: HuggingFaceBackend, of_form: Callable[[str], HuggingFaceBackend]) -> None:
    """All that a reading says, asked twice and in another order, beside the separate ways."""
    frames = make_frames(3, 4)
    orders = in_orders(make_query(0, 5, frames), 3)
    many = make_query(2, 26, frames, words="Which of all these is it?")
    first, second = open_query(0, frames), open_query(1, frames, "And what is the person doing now?")
    reading = backend.read(Query("q0", "", (), first.clip))
    for _ in range(2):  # what was read is as it was
        texts = {query.prompt: reading.texts(query, TEXTS) for query in (second, first)}
        found = reading.letters([*orders, many])
    for query, scores in zip([*orders, many], found, strict=True):
        alone = backend.score_options([query])[0]
        assert np.abs(scores.log_probabilities - alone.log_probabilities).max() < NEAR
        assert scores.letter_mass == pytest.approx(alone.letter_mass, rel=1e-3)
    for normalisation, name in FORMS.items():
        other = of_form(normalisation)
        for query in (first, second):
            expected = other.score_texts([query], TEXTS)[0]
            assert np.abs(getattr(texts[query.prompt], name) - expected).max() < NEAR, (normalisation, query.prompt)
    elsewhere = backend.read(Query("q0", "", (), open_query(0, make_frames(4, 4)).clip))
    assert np.abs(elsewhere.texts(first, TEXTS).raw - texts[first.prompt].raw).max() > 10 * NEAR  # the clip matters


def check_heads(backend: HuggingFaceBackend) -> None:
    clip = make_query(0, 5, make_frames(5, 4)).clip
    assert clip is not None
    reading = backend.read(Query("q", "", (), clip))
    prepared = backend.inputs(Query("q", "Which action does the video show?", (), clip))
    with torch.no_grad():
        outputs = backend.model(**backend._inputs([prepared]), output_hidden_states=True)
    assert reading.heads is not None
    sizes = []
    for name in ("verb", "noun", "action"):
        expected = outputs[f"{name}_logits"][0].double().log_softmax(-1).numpy()
        assert np.abs(getattr(reading.heads, name) - expected).max() < NEAR
        assert np.ptp(expected) > 10 * NEAR
        sizes.append(len(expected))
    assert backend.head_sizes == tuple(sizes)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reading_says_what_separate_passes_say(make: Make, family: str) -> None:
    backend = make(family)
    assert isinstance(backend, Reads)
    check(backend, lambda normalisation: make(family, normalisation=normalisation))
    if backend.head_sizes is None:
        assert backend.read(make_query(0, 2, make_frames(5, 4))).heads is None
    else:
        check_heads(backend)


@pytest.mark.parametrize(("family", "supervision"), WITH_TOKENS)
def test_behind_action_tokens_too(tiny: dict[str, Path], tmp_path: Path, family: str, supervision: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny[family])
    model = AutoModelForImageTextToText.from_pretrained(tiny[family])
    shutil.copytree(tiny[family], tmp_path, dirs_exist_ok=True)
    settings = ActionTokenConfig.from_mapping({"supervision": supervision, "verbs": 3, "nouns": 4, "actions": 5})
    add_action_token(model, tokenizer, settings).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    made: dict[str, HuggingFaceBackend] = {}

    def of_form(normalisation: str) -> HuggingFaceBackend:
        values = {"path": tmp_path, "frames": 4, "device": "cpu", "normalisation": normalisation}
        return made.setdefault(normalisation, HuggingFaceBackend(HuggingFaceConfig.from_mapping(values)))

    check(of_form("raw"), of_form)
    check_heads(of_form("raw"))
    assert of_form("raw").head_sizes == (3, 4, 5)


def test_one_pass_over_the_clip_serves_all(make: Make) -> None:
    backend, frames = make("llava_video"), make_frames(3, 4)
    looked: list[bool] = []
    hook = backend.model.register_forward_pre_hook(
        lambda module, args, kwargs: looked.append("pixel_values_videos" in kwargs), with_kwargs=True
    )
    reading = backend.read(open_query(0, frames))
    reading.letters(in_orders(make_query(0, 5, frames), 5))
    _ = reading.texts(open_query(0, frames), TEXTS).per_token, reading.heads
    hook.remove()
    assert looked == [True]


def test_what_a_reading_cannot_be_asked(make: Make) -> None:
    frames = make_frames(3, 4)
    reading = make().read(open_query(0, frames))
    two = replace(make_query(5, 3, frames), options=tuple(f"wash plate {number}" for number in range(27)))
    with pytest.raises(QuestionError, match="'q5' has 27 options, but there are 26 letters"):
        reading.letters([two])
    with pytest.raises(QuestionError, match="'q6' does not begin with the clip that was read"):
        reading.letters([make_query(6, 3, make_frames(3, 3))])
    with pytest.raises(QuestionError, match=r"question 'q0': the text ' ' is empty"):
        reading.texts(open_query(0, frames), ["take plate", " "])
    with pytest.raises(QuestionError, match="'q9': no frames"):
        make().read(make_query(9, 3))


def test_a_model_that_does_not_look_is_asked_without_heads(make: Make) -> None:
    backend = make("llava_video", frames=0)
    query = make_query(0, 5)
    reading = backend.read(Query("q0", ""))
    assert reading.heads is None and backend.head_sizes is None
    expected = backend.score_options([query])[0].log_probabilities
    assert np.abs(reading.letters([query])[0].log_probabilities - expected).max() < NEAR


def test_the_heads_of_a_newline(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "plain", "llava_video")
    model = AutoModelForImageTextToText.from_pretrained(folder)
    values = model.config.action | {"supervision": "newline", "token_ids": []}
    model.config.action = ActionTokenConfig.from_mapping(values).model_dump(mode="json")
    model.config.save_pretrained(folder)
    check_heads(HuggingFaceBackend(HuggingFaceConfig(path=folder, frames=4, device="cpu")))
