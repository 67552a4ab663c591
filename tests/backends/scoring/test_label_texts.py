"""Label texts as answers: their tokens, their likelihoods, and what is made of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from helpers.asking import NOUNS, VERBS, as_query, make_frames, make_question, scores_of
from llavaction.backends.base import Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.backends.scoring.label_texts import LabelTexts
from llavaction.base.errors import InputError
from llavaction.base.records import read_json, write_json
from llavaction.models.action_token import ActionTokenConfig
from llavaction.models.add_action_token import add_action_token
from llavaction.models.checkpoint import open_checkpoint
from llavaction.models.families.base import question
from llavaction.models.families.chat import Chat
from llavaction.testing.tiny import FAMILIES, write_tiny

Make = Callable[..., HuggingFaceBackend]
TEXTS = ("take plate", "put", "put down", "put down plate", "turn-on tap", "scoop rice, then stir it", "put")
END = "<|im_end|>"


def open_query(number: int, options: int = 5, seed: int | None = None) -> Query:
    asked = make_question(number, options, words="What happens?").asked
    return as_query(asked, make_frames(number if seed is None else seed, 4), "open")


def slowly(backend: HuggingFaceBackend, query: Query, text: str, *, video: bool = True) -> tuple[float, int]:
    """Log-likelihood and tokens of one answer, by one forward pass over prompt and answer."""
    prompt = backend.inputs(query) if video else backend.family.inputs(question(query.prompt, with_clip=False))
    answer = tuple(backend.checkpoint.tokenizer(text + END, add_special_tokens=False)["input_ids"])
    with torch.no_grad():
        logits = backend.model(**backend._inputs([prompt.followed_by(answer)])).logits[0].double()
    values = logits.log_softmax(-1)[len(prompt.ids) - 1 : -1]
    return float(sum(values[step, token] for step, token in enumerate(answer))), len(answer)


@pytest.mark.parametrize("family", FAMILIES)
def test_likelihoods_equal_a_slow_computation(make: Make, family: str) -> None:
    backend, queries = make(family, normalisation="prior"), [open_query(0), open_query(1)]
    seen, bare = (
        np.array([[slowly(backend, query, text, video=video)[0] for text in TEXTS] for query in queries])
        for video in (True, False)
    )
    found = backend.score_texts(queries, TEXTS)
    assert found.dtype == np.float64
    assert found.shape == (2, len(TEXTS))
    assert np.abs(found - (seen - bare)).max() < 2e-5
    assert np.abs(seen[0] - seen[1]).max() > 1e-2  # the clip matters
    assert backend.score_texts(queries[1:], TEXTS)[0].tolist() == found[1].tolist()  # company changes not a bit


@pytest.mark.parametrize("shared_passes", [False, True])
def test_normalisations(make: Make, shared_passes: bool) -> None:
    options = {} if not shared_passes else {"shared_passes": True}
    queries = [open_query(0), replace(open_query(1, seed=0), prompt="What now?")]
    slow = np.array([[slowly(make(), query, text) for text in TEXTS] for query in queries])
    raw, length = (make(normalisation=how, **options).score_texts(queries, TEXTS) for how in ("raw", "length"))
    assert np.abs(raw - slow[..., 0]).max() < 2e-5
    assert np.abs(length - slow[..., 0] / slow[..., 1]).max() < 2e-5
    assert np.ptp(slow[..., 1]) > 3


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_onevision"])
def test_backbones_with_action_tokens(tiny: dict[str, Path], tmp_path: Path, family: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny[family])
    model = AutoModelForImageTextToText.from_pretrained(tiny[family])
    shutil.copytree(tiny[family], tmp_path, dirs_exist_ok=True)
    settings = ActionTokenConfig(supervision="three_tokens", verbs=3, nouns=4, actions=5)
    add_action_token(model, tokenizer, settings).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    backend = HuggingFaceBackend(HuggingFaceConfig(path=tmp_path, frames=4, device="cpu", normalisation="raw"))
    query = open_query(0)
    found = backend.score_texts([query], TEXTS)[0]
    assert np.abs(found - [slowly(backend, query, text)[0] for text in TEXTS]).max() < 2e-5


def test_a_whole_label_set(make: Make) -> None:
    labels = [f"{verb} {noun}" for verb in (*VERBS, *(f"{verb} down" for verb in VERBS)) for noun in NOUNS]
    labels += [f"{label} {number}" for label in labels for number in range(37)]
    assert len(set(labels)) == len(labels) == 3800
    backend = make(normalisation="raw")
    query = open_query(0)
    found = backend.score_texts([query], labels)[0]
    for index in range(0, 3800, 271):
        assert found[index] == pytest.approx(slowly(backend, query, labels[index])[0], abs=1e-4)
    # complete answers exclude one another
    assert np.exp(found).sum() < 1
    few = [3, 99, 2000]
    assert np.abs(backend.score_texts([query], [labels[i] for i in few])[0] - found[few]).max() < 1e-4


def test_answers_are_tokenised_as_the_whole_conversation_is(make: Make, tiny: dict[str, Path]) -> None:
    chat = Chat(open_checkpoint(tiny["llava_onevision"]))
    written = LabelTexts(chat).tokens(TEXTS)
    for text, ids in zip(TEXTS, written, strict=True):
        prompt = chat.render("What happens?")
        assert chat.encode(prompt) + list(ids) == chat.encode(prompt + text + END)
    assert written[1] == written[6]
    assert written[1][:-1] == written[2][: len(written[1]) - 1]  # "put" begins "put down", its answer does not
    assert written[1] != written[2][: len(written[1])]


def test_tokens_named_in_labels_are_spelled_out(make: Make) -> None:
    backend = make(normalisation="raw")
    own = {index for index, token in backend.checkpoint.tokenizer.added_tokens_decoder.items() if token.special}
    texts = ("wash <video>", f"put{END}", "put", f"{END}")
    written = backend._texts._label_texts.tokens(texts)
    for text, ids in zip(texts, written, strict=True):
        assert [index for index in ids if index in own] == [ids[-1]]
        assert backend.checkpoint.tokenizer.decode(ids) == text + END
    found = backend.score_texts([open_query(0)], texts)[0]
    assert found[2] == pytest.approx(backend.score_texts([open_query(0)], ["put"])[0][0], abs=1e-5)
    assert np.isfinite(found).all() and found[1] < found[2]


def test_answers_follow_a_blank_where_the_turn_is_opened_by_a_word(tiny: dict[str, Path]) -> None:
    chat = Chat(open_checkpoint(tiny["llava_onevision"]), plain=True)
    for text, ids in zip(TEXTS, LabelTexts(chat).tokens(TEXTS), strict=True):
        assert chat.encode("ASSISTANT:") + list(ids) == chat.encode(f"ASSISTANT: {text}{END}")


def test_texts_that_will_not_do(make: Make) -> None:
    backend = make()
    for text in ("", " ", "\n"):
        with pytest.raises(InputError, match=r"question 'q0': the text .* is empty and cannot be scored"):
            backend.score_texts([open_query(0)], ["take plate", text])
    assert backend.score_texts([open_query(0)], []).shape == (1, 0)
    assert backend.score_texts([], TEXTS).shape == (0, len(TEXTS))


def test_a_text_longer_than_the_context_names_question_text_and_numbers(tmp_path: Path) -> None:
    backend = HuggingFaceBackend(HuggingFaceConfig(path=write_tiny(tmp_path, context=128), device="cpu"))
    query = open_query(7)
    room = 128 - len(backend.inputs(query).ids)
    fits = "a " * 10
    assert np.isfinite(backend.score_texts([query], [fits])).all()
    with pytest.raises(
        InputError, match=r"'q7': the text 'a a .* takes 2\d\d tokens and the prompt \d+ \(37 of"
    ) as caught:
        backend.score_texts([query], ["take plate", "a " * 200])
    assert "context holds 128" in str(caught.value)
    exact = next(n for n in range(1, 60) if len(backend.checkpoint.tokenizer("z" * n)["input_ids"]) == room - 1)
    assert np.isfinite(backend.score_texts([query], ["z" * exact])).all()
    with pytest.raises(InputError, match=f"takes {room + 1} tokens"):
        backend.score_texts([query], ["z" * (exact + 1)])


def test_the_prior_is_computed_once_per_prompt_and_label_set(make: Make) -> None:
    backend = make(normalisation="prior", max_new_tokens=31)  # a backend of its own
    read: list[int] = []
    hook = backend.model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append("pixel_values_videos" in kwargs), with_kwargs=True
    )
    first, second = open_query(0), replace(open_query(1), prompt=open_query(0).prompt)
    backend.score_texts([first, second], TEXTS)
    assert sorted(read) == [False, True, True]
    backend.score_texts([second], TEXTS)
    assert sorted(read) == [False, True, True, True]
    backend.score_texts([second], TEXTS[:3])
    assert read.count(False) == 2
    hook.remove()


@pytest.mark.parametrize("how", ["raw", "length", "prior"])
def test_options_are_scored_by_their_texts(make: Make, how: str) -> None:
    backend = make(rule="texts", normalisation=how)
    assert backend.decision_rule == {
        "raw": "label texts, raw",
        "length": "label texts, length-normalised",
        "prior": "label texts, prior-corrected",
    }[how]  # fmt: skip
    queries = [open_query(0, 5), open_query(1, 9), open_query(2, 3)]
    together = scores_of(backend, queries)
    for query, scores in zip(queries, together, strict=True):
        values = backend.score_texts([query], query.options)[0]
        assert scores == pytest.approx(values - np.log(np.exp(values).sum()), abs=1e-9)
        assert np.exp(scores).sum() == pytest.approx(1, abs=1e-12)
        assert scores_of(backend, [query])[0].tolist() == scores.tolist()  # company changes not a bit


def test_a_prior_needs_a_video(tiny: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="compares with and without video, but frames is 0"):
        HuggingFaceConfig.from_mapping({"path": tiny["llava_onevision"], "frames": 0, "normalisation": "prior"})


def test_without_any_closing_token(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny["llava_onevision"], tmp_path / "endless"))
    stored = read_json(folder / "tokenizer_config.json")
    write_json(folder / "tokenizer_config.json", {name: v for name, v in stored.items() if name != "eos_token"})
    chat = Chat(open_checkpoint(folder))
    assert LabelTexts(chat, [257, 256]).tokens(("put",))[0][-1] == 257
    with pytest.raises(InputError, match="the token that ends an answer"):
        LabelTexts(chat)
