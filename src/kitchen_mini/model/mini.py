"""The mini model: LLaVA-Video with an action token at toy size, written with new weights and trained from nothing.

A real LLaVAction starts from a language model that has read the web. What it brings to multiple choice are attention
heads that look a fixed number of tokens back and heads that look for what is like the current token; both take long
to arise from nothing. The mini model's language model starts with such heads in place (after Trockman and Kolter,
"Mimetic initialization of self-attention layers", ICML 2023); everything else is drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import GenerationConfig, PreTrainedTokenizerFast

from kitchen_mini.model.config import MiniConfig
from llavaction.base.errors import InputError
from llavaction.base.files import unwritable
from llavaction.base.records import write_json
from llavaction.models.action_model import initialise_action_parts
from llavaction.models.action_token import TOKENS, ActionTokenConfig
from llavaction.models.checkpoint import quiet
from llavaction.models.llava_video import LlavaVideoConfig, LlavaVideoForConditionalGeneration, LlavaVideoProcessor
from llavaction.models.tokenisation import CHAT_TEMPLATE, SYSTEM

_END, _PAD, _START, _IMAGE, _VIDEO = "<|im_end|>", "<|endoftext|>", "<|im_start|>", "<image>", "<video>"
_WORDS = Regex(r"[\n.,;:?!'\"]| ?[^\s.,;:?!'\"]+|\s")
"""What a token never reaches beyond: a mark, a line break, or a word with the blank before it ("turn-on" is one)."""
_FRAME = ("system\n", "user\n", "assistant\n", SYSTEM) * 8
"""What stands around every conversation, often enough to become whole words."""
_LOOKING_BACK = 3
"""Heads of the first layer that look 1, 2, 3 tokens back: as far as from an option's noun to its letter."""
_FREQUENCIES, _SHARPNESS = 6, 4.0
"""Rotary frequencies such a head goes by, and how much it prefers its place: it gets nine tenths of the attention."""


def write_mini(folder: str | Path, texts: Iterable[str], config: MiniConfig | None = None, seed: int = 0) -> Path:
    """Write a checkpoint folder of a mini model with new weights.

    Args:
        folder: where to write.
        texts: what the tokenizer learns its words from; other text can be written too, in more tokens.
        config: the shape.
        seed: of the weights.

    Returns:
        The folder.

    Raises:
        InputError: there is no text, or the folder cannot be written.
    """
    config, folder = config or MiniConfig(), Path(folder)
    tokenizer = learn_tokenizer(texts, config.entries)
    tokenizer.model_max_length = config.context
    model_config = LlavaVideoConfig(**_shape(config, tokenizer))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaVideoForConditionalGeneration(model_config)
        _draw(model, config)
    initialise_action_parts(model, seed)
    end, pad = (tokenizer.convert_tokens_to_ids(name) for name in (_END, _PAD))
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    image_settings = {
        "image_processor_type": "SiglipImageProcessor",
        "size": {"height": config.side, "width": config.side},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_json(folder / "preprocessor_config.json", image_settings)
        LlavaVideoProcessor.for_config(
            model_config, tokenizer, image_settings=image_settings, chat_template=CHAT_TEMPLATE
        ).save_pretrained(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def learn_tokenizer(texts: Iterable[str], entries: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer in which a frequent word, with the blank before it, is one token.

    Raises:
        InputError: there is no text.
    """
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    text_count = 0

    def counted() -> Iterable[str]:
        nonlocal text_count
        for text in texts:
            text_count += 1
            yield text

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=entries, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(chain(counted(), _FRAME), trainer)
    if not text_count:
        raise InputError("there is no text to learn a tokenizer from")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=_END,
        pad_token=_PAD,
        additional_special_tokens=[_START, _IMAGE, _VIDEO, *TOKENS["one_token"]],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _shape(config: MiniConfig, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    image, video, action = (tokenizer.convert_tokens_to_ids(name) for name in (_IMAGE, _VIDEO, *TOKENS["one_token"]))
    settings = ActionTokenConfig(verbs=config.verbs, nouns=config.nouns, actions=config.actions, token_ids=(action,))
    return {
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": config.tower_width,
            "intermediate_size": 3 * config.tower_width,
            "num_hidden_layers": config.tower_layers,
            "num_attention_heads": config.tower_width // 32,
            "image_size": config.side,
            "patch_size": config.patch,
            "vision_use_head": False,
        },
        "text_config": {
            "model_type": "qwen2",
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": config.width,
            "intermediate_size": 8 * config.width // 3 // 32 * 32,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.width // 32,
            "num_key_value_heads": config.width // 32,
            "max_position_embeddings": config.context,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "initializer_range": config.width**-0.5,
            "bos_token_id": None,
            "eos_token_id": None,
            "tie_word_embeddings": True,
        },
        "tie_word_embeddings": True,
        "image_token_index": image,
        "video_token_index": video,
        "newline_position": "frame",
        "pooling": "average",
        "action": settings.model_dump(mode="json"),
    }


@torch.no_grad()
def _draw(model: Any, config: MiniConfig) -> None:
    """Draw the weights: matrices by what comes in, then the heads that have a purpose."""
    for name, weight in model.named_parameters():
        if "position_embedding" in name:
            weight.normal_(std=0.2)
        elif "patch_embedding.weight" in name:
            weight.normal_(std=math.prod(weight.shape[1:]) ** -0.5)
        elif "embed_tokens" in name or "newline" in name:
            weight.normal_(std=config.width**-0.5)
        elif weight.dim() > 1:
            weight.normal_(std=weight.shape[1] ** -0.5)
        elif name.endswith("bias"):
            weight.zero_()
    model.tie_weights()
    for number, layer in enumerate(model.model.language_model.layers):
        attention = layer.self_attn
        for head in range(config.width // 32):
            if number:
                _look_for_likeness(attention, head)
            elif head < _LOOKING_BACK:
                _look_back(attention, head, steps=head + 1)


def _look_back(attention: Any, head: int, steps: int) -> None:
    """Biases by which a head attends ``steps`` tokens back whatever they are, through the rotary positions."""
    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)
    attention.q_proj.weight[rows] *= 0.1
    attention.k_proj.weight[rows] *= 0.1
    frequencies = 10000.0 ** (-torch.arange(0, size, 2)[:_FREQUENCIES] / size)
    strength = math.sqrt(_SHARPNESS * math.sqrt(size))
    key, query = torch.zeros(size), torch.zeros(size)
    key[:_FREQUENCIES] = strength
    query[:_FREQUENCIES] = strength * torch.cos(-steps * frequencies)
    query[size // 2 : size // 2 + _FREQUENCIES] = strength * torch.sin(-steps * frequencies)
    attention.k_proj.bias[rows] = key
    attention.q_proj.bias[rows] = query


def _look_for_likeness(attention: Any, head: int) -> None:
    """Queries made as keys are: a head attends to what is like the token itself."""
    size, width = attention.head_dim, attention.q_proj.weight.shape[1]
    rows = slice(head * size, (head + 1) * size)
    shared = torch.linalg.qr(torch.randn(width, size))[0].T
    attention.q_proj.weight[rows] = shared
    attention.k_proj.weight[rows] = shared
