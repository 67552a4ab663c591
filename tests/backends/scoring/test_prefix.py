"""Continuations behind a shared prefix, against one plain forward pass for each prompt with each continuation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText

from helpers.asking import make_frames, make_query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.scoring import prefix as prefix_module
from llavaction.backends.scoring.prefix import PrefixScorer, beginning
from llavaction.backends.scoring.token_tree import token_tree
from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.seeding import hashed_rng
from llavaction.models.families.base import ModelInputs
from llavaction.testing.tiny import FAMILIES

Make = Callable[..., HuggingFaceBackend]
Ids = tuple[int, ...]

_TEXT = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
OTHERS: dict[str, dict[str, Any]] = {
    # attention in windows of 8 tokens in every other layer
    "gemma3": {
        "text_config": {
            **_TEXT,
            "head_dim": 16,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
        },
        "vision_config": {**_TOWER, "image_size": 28, "patch_size": 14},
        "mm_tokens_per_image": 1,
    },
    # layers that remember by a convolution
    "lfm2_vl": {
        "text_config": {**_TEXT, "model_type": "lfm2", "layer_types": ["conv", "full_attention"] * 2},
        "vision_config": {**_TOWER, "model_type": "siglip2_vision_model"},
    },
}


def random_endings(seed: int, count: int, entries: int) -> list[Ids]:
    """Token sequences that share beginnings, one of them the beginning of others."""
    rng = hashed_rng("endings", seed)
    stems = [tuple(int(t) for t in rng.integers(0, entries, 3)) for _ in range(3)]
    return [stems[0]] + [
        stems[n % 3][: int(rng.integers(0, 4))] + tuple(int(t) for t in rng.integers(0, entries, rng.integers(1, 5)))
        for n in range(count)
    ]


QUERY, ENDINGS = make_query(0, 5, make_frames(0, 4)), random_endings(1, 9, 200)


def alone(forward: Callable[[ModelInputs], Any], prompt: ModelInputs, ending: Ids) -> float:
    """Log-probability of one ending by one forward pass over everything."""
    logits = forward(prompt.followed_by(ending)).logits[0].double()
    assert len(logits) == len(prompt.ids) + len(ending)
    values = logits.log_softmax(-1)[len(prompt.ids) - 1 : -1]
    return float(sum(values[step, token] for step, token in enumerate(ending)))


def plainly(backend: HuggingFaceBackend) -> Callable[[ModelInputs], Any]:
    def forward(prompt: ModelInputs) -> Any:
        with torch.no_grad():
            return backend.model(**backend._inputs([prompt]), use_cache=False)

    return forward


def scorer(backend: HuggingFaceBackend, **options: Any) -> PrefixScorer:
    return PrefixScorer(backend.model, backend._forward, backend._inference, **options)


@pytest.fixture(scope="module")
def expected(make: Make) -> dict[str, list[float]]:
    """Each of ``ENDINGS`` behind the prompt of ``QUERY``, alone, in every family."""
    found = {}
    for family in FAMILIES:
        backend = make(family)
        prompt = backend.inputs(QUERY)
        assert prompt.visual > 0
        found[family] = [alone(plainly(backend), prompt, ending) for ending in ENDINGS]
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("attention", "options"),
    [
        ("auto", {}),
        ("auto", {"branching": "mask", "nodes_per_pass": 4}),
        ("auto", {"branching": "rows"}),
        ("auto", {"branching": "rows", "pass_tokens": 300}),
        ("eager", {"branching": "mask"}),
    ],
)
def test_equals_each_continuation_alone(
    make: Make, expected: dict[str, list[float]], family: str, attention: str, options: dict[str, Any]
) -> None:
    backend = make(family, attention=attention)
    found = scorer(backend, **options).score([backend.inputs(QUERY)], [ENDINGS])[0]
    assert found.dtype == np.float64
    assert np.abs(found - expected[family]).max() < 2e-5
    assert np.ptp(found) > 10


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_that_begin_alike_share_what_they_begin_with(make: Make, family: str) -> None:
    backend = make(family)
    queries = [make_query(n, 3 + n, make_frames(0, 4), words=f"{'Well, ' * n}what?") for n in range(2)]
    prompts = [backend.inputs(query) for query in queries]
    endings = [random_endings(n, 3 + n, 200) for n in range(2)]
    found = scorer(backend).score(prompts, endings)
    assert [len(values) for values in found] == [4, 5]
    for prompt, own, values in zip(prompts, endings, found, strict=True):
        assert np.abs(values - [alone(plainly(backend), prompt, ending) for ending in own]).max() < 2e-5


@pytest.mark.parametrize("options", [{}, {"nodes_per_pass": 3}, {"branching": "rows", "pass_tokens": 400}])
def test_what_is_shared_is_read_once(make: Make, options: dict[str, Any]) -> None:
    backend = make("qwen2_5_vl")
    prompt = backend.inputs(make_query(0, 5, make_frames(0, 4)))
    endings = random_endings(2, 20, 200)
    read: list[tuple[int, int]] = []
    hook = backend.model.get_decoder().register_forward_pre_hook(
        lambda module, args, kwargs: read.append(
            tuple((kwargs["input_ids"] if kwargs.get("input_ids") is not None else kwargs["inputs_embeds"]).shape[:2])
        ),
        with_kwargs=True,
    )
    scorer(backend, **options).score([prompt], [endings])
    hook.remove()
    inner = len(token_tree(tuple(endings)).inner)
    assert read[0] == (1, len(prompt.ids))
    tokens = [rows * length for rows, length in read[1:]]
    if not options:
        assert tokens == [inner]
    elif "nodes_per_pass" in options:
        assert max(tokens) <= 1 + max(map(len, endings))  # at least one new node behind its ancestors
        assert len(tokens) > inner / 3
    else:
        assert len(tokens) > 1
        assert max(rows * (len(prompt.ids) + length) for rows, length in read[1:]) <= 400


@pytest.mark.parametrize("kind", OTHERS)
def test_windows_and_recurrent_layers_are_noticed(kind: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(CONFIG_MAPPING[kind](**OTHERS[kind])).eval()

    def forward(items: list[ModelInputs], **more: Any) -> Any:
        with torch.no_grad():
            return model(input_ids=torch.tensor([items[0].ids]), **more)

    prompt = ModelInputs(tuple(int(t) for t in hashed_rng("prompt").integers(3, 299, 40)))
    endings = random_endings(3, 9, 299)
    found = PrefixScorer(model, forward, torch.no_grad).score([prompt], [endings])[0]
    expected = [alone(lambda item: forward([item]), prompt, ending) for ending in endings]
    assert np.abs(found - expected).max() < 2e-5
    with pytest.raises(InputError, match=r"branching 'mask' does not suit .*Layer"):
        PrefixScorer(model, forward, torch.no_grad, branching="mask").score([prompt], [endings])


@pytest.mark.parametrize("cap", [5, 100])  # with 100 the logits move by 0.03 % here
def test_logits_that_are_changed_behind_the_output_layer_are_noticed(make: Make, cap: float) -> None:
    backend = make()

    def capped(items: list[ModelInputs], **more: Any) -> Any:
        outputs = backend._forward(items, **more)
        outputs.logits = cap * torch.tanh(outputs.logits / cap)
        return outputs

    prompt = backend.inputs(make_query(0, frames=make_frames(0, 4)))
    with pytest.raises(LlavactionError, match="changes its logits behind the output layer"):
        PrefixScorer(backend.model, capped, backend._inference).score([prompt], [[(1, 2)]])


def test_caps_that_are_set_are_noticed_however_small_the_logits(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = make()
    prompt = backend.inputs(make_query(0, frames=make_frames(0, 4)))
    text = backend.model.config.get_text_config()
    monkeypatch.setattr(text, "final_logit_softcapping", 30.0, raising=False)
    with pytest.raises(LlavactionError, match="changes its logits behind the output layer"):
        scorer(backend).score([prompt], [[(1, 2)]])


def test_a_decoder_whose_states_are_not_the_heads_is_noticed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = make()
    prompt = backend.inputs(make_query(0, frames=make_frames(0, 4)))
    behind = scorer(backend)
    monkeypatch.setattr(behind, "_head", torch.nn.Linear(256, 100))
    with pytest.raises(LlavactionError, match="gives 64 values for a token where its output layer reads 256"):
        behind.score([prompt], [[(1, 2)]])


def test_a_model_without_cache_is_noticed(make: Make) -> None:
    backend = make()
    prompt = backend.inputs(make_query(0, frames=make_frames(0, 4)))

    def forgetful(items: list[ModelInputs], **more: Any) -> Any:
        return backend._forward(items, **more | {"use_cache": False})

    with pytest.raises(LlavactionError, match="keeps no keys and values"):
        PrefixScorer(backend.model, forgetful, backend._inference).score([prompt], [[(1, 2)]])


def test_the_vocabulary_in_slices(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = make()
    prompt = backend.inputs(make_query(0, frames=make_frames(0, 4)))
    endings = random_endings(4, 6, 200)
    whole = scorer(backend).score([prompt], [endings])[0]
    monkeypatch.setattr(prefix_module, "_SLICE", 100)
    assert np.abs(scorer(backend).score([prompt], [endings])[0] - whole).max() < 1e-5


def test_half_precision_stays_near_full(make: Make) -> None:
    endings = random_endings(5, 6, 200)
    query = make_query(0, frames=make_frames(0, 4))
    full, half = (
        scorer(backend).score([backend.inputs(query)], [endings])[0] for backend in (make(), make(dtype="bfloat16"))
    )
    assert 1e-4 < np.abs(full - half).max() < 0.05 * np.abs(full).max()


def test_the_beginning_of_a_prompt_keeps_what_belongs_to_it() -> None:
    pixels, kinds = torch.zeros(2, 3), torch.arange(6)[None]
    prompt = ModelInputs((5, 6, 7, 8, 9, 10), {"pixel_values": pixels, "token_type_ids": kinds}, visual=2)
    cut = beginning(prompt, 4)
    assert cut.ids == (5, 6, 7, 8)
    assert cut.tensors["token_type_ids"].tolist() == [[0, 1, 2, 3]]
    assert cut.tensors["pixel_values"] is pixels
    assert beginning(prompt, 6) is prompt
    assert replace(cut, tensors={}) == ModelInputs((5, 6, 7, 8), {}, 2)
