"""Tiny checkpoints load, are small, repeat, and their tokenizer loses nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from llavaction.base.errors import InputError
from llavaction.testing.tiny import FAMILIES, build_tokenizer, write_tiny, write_tiny_llava_onevision


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("family", FAMILIES)
def test_folder_is_complete_and_small(family: str, tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "model", family)
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.config.model_type == family
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    for path in (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "preprocessor_config.json",
    ):
        assert (folder / path).is_file()
    assert not list(folder.glob("*.bin"))


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    one = _digests(write_tiny_llava_onevision(tmp_path / "a"))
    assert _digests(write_tiny_llava_onevision(tmp_path / "b")) == one
    other = _digests(write_tiny_llava_onevision(tmp_path / "c", seed=1))
    assert {name for name in one if one[name] != other[name]} == {"model.safetensors"}


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    here = _digests(write_tiny_llava_onevision(tmp_path / "a"))
    code = "import sys; from llavaction.testing.tiny import write_tiny; write_tiny(sys.argv[1])"
    there = {**os.environ, "PYTHONHASHSEED": "12345", "RAYON_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b")], check=True, env=there)
    assert _digests(tmp_path / "b") == here


def test_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    write_tiny(tmp_path)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()


@pytest.mark.parametrize(
    "text",
    [
        "What is the person doing?\nA. wash plate",
        "  two  blanks\tand a tab \r\n\r\n trailing ",
        "Ångström e\u0301 \u212b ﬁ",
        "日本語 🍳 \x00\x7f \u200b",
        "<|im_start|>user\n<video><image><|im_end|>",
    ],
)
def test_tokenizer_gives_back_any_text(text: str, tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    for tokenizer in (build_tokenizer(("<image>", "<video>")), AutoTokenizer.from_pretrained(folder)):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_special_tokens_and_letters_are_single_tokens() -> None:
    tokenizer = build_tokenizer(("<image>", "<video>"))
    for text in ("<|im_start|>", "<|im_end|>", "<image>", "<video>", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        assert len(tokenizer(text)["input_ids"]) == 1
    assert len(tokenizer("wash plate")["input_ids"]) < len("wash plate") / 2


def test_chat_template_writes_turns_and_video(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(write_tiny(tmp_path))
    content = [{"type": "video"}, {"type": "text", "text": "Which?"}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|im_start|>user\n<video>\nWhich?<|im_end|>\n<|im_start|>assistant\n"


def test_unknown_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'qwen3_vl'"):
        write_tiny(tmp_path, "qwen3vl")


@pytest.mark.parametrize("family", ["llava_video", "qwen3_vl"])
def test_a_process_that_has_imported_nothing_else_writes_them(tmp_path: Path, family: str) -> None:
    code = f"from llavaction.testing.tiny import write_tiny; write_tiny({str(tmp_path)!r}, {family!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (tmp_path / "model.safetensors").is_file()
