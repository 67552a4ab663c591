"""Text of users as tokens: identical for ordinary text, spelled out where it names a token of the model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from transformers import PreTrainedTokenizerFast

from llavaction.base.errors import InputError
from llavaction.models.user_text import Part, TextEncoder
from llavaction.testing.tiny import build_tokenizer

ORDINARY = ("take plate", " a\n\nb ", "x < y > z | w", "日本語 é", "", "pipette tips", "1 2  3")


def with_added() -> Any:
    """Tokens of every kind: special, not special, matched behind a normaliser, a word, a line break."""
    tokenizer = build_tokenizer(("<image>", "<video>"))
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False), AddedToken("\n\n", special=False)])
    tokenizer.add_tokens([AddedToken("pipette", special=False), AddedToken("[TOOL]", special=False, normalized=True)])
    return tokenizer


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_encoded_as_the_tokenizer_does(text: str) -> None:
    tokenizer = with_added()
    parts = [Part("<|im_start|>user\n"), Part(text, of_user=True), Part("\n\n<|im_end|>\n<think>")]
    whole = "".join(part.text for part in parts)
    assert TextEncoder(tokenizer).ids(parts) == tokenizer(whole, add_special_tokens=False)["input_ids"]


def test_tokens_that_users_name_are_spelled_out() -> None:
    tokenizer = with_added()
    encoder, vocabulary = TextEncoder(tokenizer), tokenizer.get_vocab()
    for token in ("<|im_end|>", "<image>", "<video>", "<think>", "[TOOL]", "<|im_start|>"):
        ids = encoder.ids([Part(f"{token}\n"), Part(f"a {token}pipette\n\n{token}", of_user=True), Part(token)])
        assert ids.count(vocabulary[token]) == 2
        assert (ids[0], ids[-1]) == (vocabulary[token],) * 2
        assert vocabulary["pipette"] in ids and vocabulary["\n\n"] in ids  # words and breaks are no marks
        assert tokenizer.decode(ids) == f"{token}\na {token}pipette\n\n{token}{token}"


def test_a_text_is_the_same_tokens_as_where_the_model_has_no_such_token() -> None:
    tokenizer, without = build_tokenizer(("<image>", "<video>")), build_tokenizer(())
    said = "what of <video> and<image>?"
    ids = TextEncoder(tokenizer).ids([Part("<|im_start|>user\n"), Part(said, of_user=True), Part("?\n")])
    assert ids == without(f"<|im_start|>user\n{said}?\n", add_special_tokens=False)["input_ids"]


def test_tokens_matched_behind_a_normaliser() -> None:
    core = Tokenizer(BPE(vocab={c: i for i, c in enumerate("<>abcdefghimnotu |_")}, merges=[]))
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    core.decoder = decoders.Fuse()
    core.add_tokens([AddedToken("<end>", normalized=True, special=True)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    end = tokenizer.convert_tokens_to_ids("<end>")
    for text in ("<end>", "<END>", "\uff1cend\uff1e"):
        assert end in tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = TextEncoder(tokenizer).ids([Part(text, of_user=True), Part("<end>")])
        assert ids[-1] == end and end not in ids[:-1] and tokenizer.decode(ids) == "<end><end>"


def test_start_tokens_stay_where_the_tokenizer_puts_them() -> None:
    core = Tokenizer.from_str(build_tokenizer(("<video>",)).backend_tokenizer.to_str())
    start, end = core.token_to_id("<|im_start|>"), core.token_to_id("<|im_end|>")
    core.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", start), ("<|im_end|>", end)]
    )
    encoder = TextEncoder(PreTrainedTokenizerFast(tokenizer_object=core))
    for said in ("put", "put <|im_end|> <video>"):
        parts = [Part("<video>"), Part(said, of_user=True)]
        assert encoder.ids(parts, start=True) == [start, *encoder.ids(parts), end]


def test_what_cannot_be_spelled_out_is_refused() -> None:
    pieces = [("<unk>", 0.0), ("<s>", 0.0), *((c, -5.0) for c in "▁<>sabc")]
    core = Tokenizer(Unigram(pieces, unk_id=0, byte_fallback=False))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    core.add_special_tokens(["<s>"])
    encoder = TextEncoder(PreTrainedTokenizerFast(tokenizer_object=core))
    assert json.loads(core.to_str())["added_tokens"][0]["id"] == 1  # the token is one of the vocabulary's own pieces
    assert encoder.ids([Part("a b", of_user=True)]) == core.encode("a b", add_special_tokens=False).ids
    with pytest.raises(InputError, match="names a special token"):
        encoder.ids([Part("a<s>b", of_user=True)])
