"""Tiny random video-language checkpoints: the layout and the code path of the real ones, made offline in a second.

They answer at random but see every pixel, so tests and the demo exercise exactly what a real checkpoint would.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText, GenerationConfig, PreTrainedTokenizerFast

from llavaction.base.errors import InputError
from llavaction.base.records import write_json
from llavaction.base.registry import suggestion
from llavaction.base.seeding import hashed_rng
from llavaction.models.checkpoint import quiet
from llavaction.models.registry import register
from llavaction.testing.tiny_families import FAMILIES

VOCABULARY = 512
"""Entries learnt by the tokenizer (256 bytes and the merges); the special tokens come on top."""

_END, _PAD = "<|im_end|>", "<|endoftext|>"
# What the merges are learnt from; any text may be written with them, these words only take fewer tokens.
_CORPUS = (
    "What is the person doing? What action are you performing? The video lasts for seconds.",
    "Answer with the option's letter. Here are the options: A. take plate B. put knife C. open door D. close fridge",
    "E. wash pan F. cut onion G. mix pasta H. pour water I. move cup J. turn-on tap K. turn-off hob L. dry hand",
    "M. peel potato N. throw bag O. remove lid P. insert spoon Q. scoop rice R. stir food S. shake bottle",
    "T. fold cloth U. squeeze sponge V. press button W. scrub board X. empty bowl Y. fill kettle Z. hold glass",
    "You are seeing this video from egocentric view. Your hands are sometimes interacting with objects.",
)


def write_tiny_llava_onevision(folder: str | Path, seed: int = 0, *, context: int = 8192) -> Path:
    """Write a tiny random ``LlavaOnevision`` checkpoint (SigLIP tower, Qwen2 text model); see :func:`write_tiny`."""
    return write_tiny(folder, "llava_onevision", seed, context=context)


def write_tiny(folder: str | Path, family: str = "llava_onevision", seed: int = 0, *, context: int = 8192) -> Path:
    """Write a complete tiny random checkpoint folder that ``AutoModelForImageTextToText`` loads.

    Configuration, safetensors weights, byte-level tokenizer (round-trips any text), chat template and the settings of
    the image and video processors. Equal arguments give equal weights and an equal tokenizer.

    Args:
        folder: where to write; made if need be, files of the same names are replaced.
        family: one of ``FAMILIES``.
        seed: of the weights; the tokenizer does not depend on it.
        context: longest sequence the text model accepts, in tokens.

    Returns:
        The folder.

    Raises:
        InputError: the family is unknown.
    """
    if family not in FAMILIES:
        raise InputError(f"unknown tiny model family '{family}'", hint=suggestion(family, FAMILIES))
    register()
    kind = FAMILIES[family]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(kind.special, kind.named_tokens)
    tokenizer.chat_template = kind.template
    tokenizer.model_max_length = context
    tokenizer.save_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    ids = {token: vocabulary[token] for token in (_END, _PAD, *kind.special)}
    entries = -(-len(tokenizer) // 64) * 64  # real checkpoints, too, have more rows than the tokenizer has tokens
    values = kind.config(ids, entries, context)
    config = CONFIG_MAPPING[values.pop("model_type")](**values)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    _fill(model, family, seed)
    model.generation_config = GenerationConfig(eos_token_id=ids[_END], pad_token_id=ids[_PAD])
    with quiet():
        model.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", kind.image_settings)
    for name, settings in (
        ("video_preprocessor_config.json", kind.video_settings),
        ("processor_config.json", kind.processor_settings),
    ):
        if settings:
            write_json(folder / name, settings)
    return folder


def build_tokenizer(
    special: tuple[str, ...] = (), named_tokens: dict[str, str] | None = None
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learnt from a few built-in sentences; decoding gives back any text exactly.

    Args:
        special: special tokens after ``<|endoftext|>``, ``<|im_start|>`` and ``<|im_end|>``.
        named_tokens: attribute name to special token, for processors that look them up on the tokenizer.
    """
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(_CORPUS, trainer)
    token_names = named_tokens or {}
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=_END,
        pad_token=_PAD,
        additional_special_tokens=["<|im_start|>", *(token for token in special if token not in token_names.values())],
        **token_names,
    )


def _fill(model: torch.nn.Module, family: str, seed: int) -> None:
    """Draw every parameter from a generator of its own: order and library version do not matter."""
    for name, parameter in model.named_parameters():
        rng = hashed_rng("tiny", family, seed, name)
        shape = tuple(parameter.shape)
        last = name.rsplit(".", 1)[-1]
        if len(shape) > 1:
            scale = 0.5 if "embed" in name and len(shape) == 2 else float(np.prod(shape[1:])) ** -0.5
            values = rng.standard_normal(shape) * scale
        elif last == "bias":
            values = np.zeros(shape)
        elif last == "weight" or "lambda" in last:
            values = np.ones(shape)
        else:
            values = rng.standard_normal(shape) * 0.5
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
