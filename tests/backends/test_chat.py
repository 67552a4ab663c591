"""Chat formats and the tokens of the option letters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from llavaction.backends.chat import Chat
from llavaction.base.errors import InputError
from llavaction.models.checkpoint import Checkpoint, open_checkpoint
from llavaction.questions.schema import LETTERS


@pytest.fixture(scope="module")
def checkpoint(tiny: dict[str, Path]) -> Checkpoint:
    return open_checkpoint(tiny["llava_onevision"])


def test_letters_begin_a_fresh_turn_without_a_blank(checkpoint: Checkpoint) -> None:
    letters = Chat(checkpoint).letter_tokens()
    assert letters.lead == ()
    assert checkpoint.tokenizer.convert_ids_to_tokens(list(letters.ids)) == list(LETTERS)


def test_letters_without_a_blank_where_the_tokenizer_has_no_common_way_to_write_it(checkpoint: Checkpoint) -> None:
    lengths = {len(checkpoint.tokenizer(f" {letter}")["input_ids"]) for letter in LETTERS}
    assert lengths == {1, 2}  # some letters have a token of their own after a blank, some have not
    letters = Chat(checkpoint, plain=True).letter_tokens()
    assert letters.lead == ()
    assert checkpoint.tokenizer.convert_ids_to_tokens(list(letters.ids)) == list(LETTERS)


def test_plain_format(checkpoint: Checkpoint) -> None:
    assert Chat(checkpoint, plain=True).render("Which?") == "USER: Which?\nASSISTANT:"


def _with_tokenizer(checkpoint: Checkpoint, pieces: list[str], template: str) -> Checkpoint:
    """A tokenizer that knows single characters and the given pieces, blanks written as "▁"."""
    characters = sorted({"▁", *LETTERS, *"whatisked:<>|_", "\n"})
    vocabulary = {token: number for number, token in enumerate([*characters, *pieces])}
    core = Tokenizer(BPE(vocab=vocabulary, merges=[(piece[0], piece[1:]) for piece in pieces]))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    core.decoder = decoders.Metaspace(prepend_scheme="never")
    return replace(checkpoint, tokenizer=PreTrainedTokenizerFast(tokenizer_object=core), chat_template=template)


def test_a_blank_of_its_own_is_written_before_the_letters(checkpoint: Checkpoint) -> None:
    other = _with_tokenizer(checkpoint, [], "{{ messages[0].content[0].text }}:")
    letters = Chat(other).letter_tokens()
    assert other.tokenizer.convert_ids_to_tokens(list(letters.lead)) == ["▁"]
    assert other.tokenizer.convert_ids_to_tokens(list(letters.ids)) == list(LETTERS)


def test_a_blank_joined_to_the_letters(checkpoint: Checkpoint) -> None:
    other = _with_tokenizer(checkpoint, [f"▁{letter}" for letter in LETTERS], "{{ messages[0].content[0].text }}:")
    letters = Chat(other).letter_tokens()
    assert letters.lead == ()
    assert other.tokenizer.convert_ids_to_tokens(letters.ids[1]) == "▁B"


def test_letters_the_tokenizer_cannot_tell_apart_are_refused(checkpoint: Checkpoint) -> None:
    core = Tokenizer(BPE(vocab={"<unk>": 0, "A": 1, "B": 2}, merges=[], unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    other = replace(checkpoint, tokenizer=tokenizer, chat_template="{{ messages[0].content[0].text }}\n")
    with pytest.raises(InputError, match="cannot be scored"):
        Chat(other).letter_tokens()


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}",  # stops on a list
        "{% for m in messages %}{{ '<' ~ m.role ~ '>' ~ m.content }}{% endfor %}",  # would print the list
    ],
)
def test_templates_for_plain_text_get_plain_text(checkpoint: Checkpoint, template: str) -> None:
    chat = Chat(replace(checkpoint, chat_template=template))
    assert chat.render("Which one?", ("video",)) == "<user>Which one?"


def test_missing_and_broken_templates(checkpoint: Checkpoint) -> None:
    with pytest.raises(InputError, match=r"no chat template[\s\S]*chat='plain'"):
        Chat(replace(checkpoint, chat_template=None))
    with pytest.raises(InputError, match="chat template fails"):
        Chat(replace(checkpoint, chat_template="{{ nothing.there.at.all }}")).render("x")


def test_start_token_is_written_once(checkpoint: Checkpoint) -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(checkpoint.folder / "tokenizer.json"), bos_token="<|im_start|>"
    )
    chat = Chat(replace(checkpoint, tokenizer=tokenizer))
    assert not chat.adds_start("<|im_start|>user")
    assert chat.adds_start("user")
