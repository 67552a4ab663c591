"""The mini model: a folder like any other, words that are one token, and heads that look back from the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.small_models import MINI, MINI_TEXTS, mini_model
from kitchen_mini.model.config import MiniConfig
from kitchen_mini.model.mini import learn_tokenizer, write_mini
from llavaction.base.errors import InputError
from llavaction.models.checkpoint import Checkpoint, load_model, open_checkpoint
from llavaction.models.llava_video import LlavaVideoProcessor
from llavaction.models.tokenisation import SYSTEM


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(write_mini(tmp_path_factory.mktemp("mini"), MINI_TEXTS, MINI))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_folder_is_a_checkpoint(checkpoint: Checkpoint) -> None:
    model = mini_model(checkpoint.folder)
    assert (checkpoint.config.model_type, checkpoint.context) == ("llava_video", MINI.context)
    assert model.action.sizes == (MINI.verbs, MINI.nouns, MINI.actions)
    assert checkpoint.token("video_token_index") == "<video>"
    assert checkpoint.tokenizer.convert_ids_to_tokens(list(model.action.token_ids)) == ["<|action|>"]
    assert model.config.text_config.vocab_size % 64 == 0
    assert model.config.text_config.vocab_size >= len(checkpoint.tokenizer)
    assert model.generation_config.eos_token_id == checkpoint.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    processor = LlavaVideoProcessor.for_config(
        checkpoint.config, checkpoint.tokenizer, image_settings=checkpoint.image_settings
    )
    frames = torch.randint(256, (2, 30, 40, 3), dtype=torch.uint8).numpy()
    inputs = processor(text="<video>\nwhich?", videos=[frames], return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs, output_hidden_states=True)
    assert inputs["pixel_values_videos"].shape[-2:] == (24, 24)
    assert outputs.verb_logits.shape == (1, MINI.verbs)
    assert bool(torch.isfinite(outputs.logits).all())


def test_weights_are_those_of_the_seed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    first = weights(checkpoint.folder)
    again, other = (weights(write_mini(tmp_path / str(seed), MINI_TEXTS, MINI, seed)) for seed in (0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.keys() == again.keys() == other.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if first[name].dim() > 1]
    assert len(drawn) > 20 and not any(torch.equal(first[name], other[name]) for name in drawn)


def test_frequent_words_are_one_token_with_their_blank(checkpoint: Checkpoint) -> None:
    def pieces(text: str) -> list[str]:
        ids = checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [checkpoint.tokenizer.decode([index]) for index in ids]

    assert pieces("A. turn-on tap\nB. take plate") == ["A", ".", " turn-on", " tap", "\n", "B", ".", " take", " plate"]
    assert len(pieces(" zucchini")) > 1
    frame = ["<|im_start|>", "system", "\n", *pieces(SYSTEM), "<|im_end|>", "\n", "<|im_start|>", "user", "\n"]
    assert pieces(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n") == frame
    assert pieces("<|im_start|>assistant\n") == ["<|im_start|>", "assistant", "\n"]
    assert len(pieces(SYSTEM)) == len(SYSTEM.split()) + SYSTEM.count(".")
    assert pieces("<video><|action|>") == ["<video>", "<|action|>"]


@pytest.mark.parametrize(
    "text",
    [
        "A. turn-on tap\nB. turn-off hob",
        "  two  blanks\tand a tab \r\n\r\n trailing ",
        'What\'s "it", then; (perhaps): no?!',
        "Ångström e\u0301 日本語 🍳 \u200b",
        "<|im_start|>user\n<video><image><|im_end|>",
    ],
)
def test_any_text_comes_back(text: str, checkpoint: Checkpoint) -> None:
    assert checkpoint.tokenizer.decode(checkpoint.tokenizer(text)["input_ids"]) == text


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no text to learn a tokenizer from"):
        write_mini(tmp_path / "mini", [], MINI)
    assert not (tmp_path / "mini").exists()
    with pytest.raises(InputError, match=r"side \(25\) must be a multiple of patch \(12\)"):
        MiniConfig.from_mapping({"side": 25, "patch": 12})
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_mini(tmp_path / "file" / "mini", MINI_TEXTS, MINI)
    assert len(learn_tokenizer(["a b"] * 3, 300)) <= 306  # special tokens are not counted


def test_heads_look_back_from_the_start(tmp_path: Path) -> None:
    shape: dict[str, Any] = {**MINI.model_dump(), "width": 128}  # four heads: three look back, one does not
    model = mini_model(write_mini(tmp_path, MINI_TEXTS, MiniConfig(**shape)), attention="eager")
    ids = torch.randint(300, (1, 60), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights = model(input_ids=ids, output_attentions=True).attentions[0][0]
    places = torch.arange(6, 60)
    found = [weights[head, places, places - head - 1] for head in range(3)]
    assert [head.mean() > 0.8 and head.min() > 0.6 for head in found] == [True, True, True], [
        (float(head.mean()), float(head.min())) for head in found
    ]
    assert all(weights[3, places, places - back].mean() < 0.2 for back in (1, 2, 3))


def test_later_heads_look_for_likeness(checkpoint: Checkpoint) -> None:
    first, second = mini_model(checkpoint.folder).model.language_model.layers
    assert not torch.equal(first.self_attn.q_proj.weight, first.self_attn.k_proj.weight)
    shared = second.self_attn.q_proj.weight
    assert torch.equal(shared, second.self_attn.k_proj.weight)
    for head in shared.split(32):
        torch.testing.assert_close(head @ head.T, torch.eye(32), atol=1e-5, rtol=0)
    assert not second.self_attn.q_proj.bias.any()


def test_a_model_of_three_layers_is_larger(tmp_path: Path, checkpoint: Checkpoint) -> None:
    larger = write_mini(tmp_path, MINI_TEXTS, MINI.model_copy(update={"layers": 3}))
    model = load_model(open_checkpoint(larger), device=torch.device("cpu"), dtype=torch.float32)
    assert len(model.model.language_model.layers) == 3
    assert set(weights(checkpoint.folder)) < set(weights(larger))
