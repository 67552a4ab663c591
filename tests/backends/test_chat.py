"""Chat formats and the tokens of the option letters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from llavaction.backends.scoring.label_texts import LabelTexts
from llavaction.base.errors import InputError
from llavaction.models.checkpoint import Checkpoint, open_checkpoint
from llavaction.models.families.chat import Chat
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


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content[0].text }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
HYBRID = (
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}"
)


@pytest.mark.parametrize(
    ("tail", "done", "end"),
    [
        ("", "none", "assistant\n"),
        (HYBRID, "disabled by the template", "assistant\n<think>\n\n</think>\n\n"),
        ("{{ '<think>\n' }}", "closed", "assistant\n<think>\n\n</think>\n\n"),
        ("<think>\n{# history: '</think>' then '\\n</think>\\n' #}", "closed", "assistant\n<think>\n\n</think>\n"),
        ("<think>\n{# enable_thinking #}", "closed", "assistant\n<think>\n\n</think>\n\n"),
        ("[THINK]", "closed", "assistant\n[THINK]\n[/THINK]\n\n"),
        ("◁think▷", "closed", "assistant\n◁think▷\n◁/think▷\n\n"),
        ("<seed:think>", "closed", "assistant\n<seed:think>\n</seed:think>\n\n"),
        ("<think></think>", "none", "assistant\n<think></think>"),
    ],
)
def test_thoughts_are_over_before_the_answer(checkpoint: Checkpoint, tail: str, done: str, end: str) -> None:
    chat = Chat(replace(checkpoint, chat_template=CHATML + tail))
    assert chat.thinking == done
    assert chat.render("<think> Which?").endswith(f"Which?<|im_end|>\n<|im_start|>{end}")
    letters = chat.letter_tokens()
    assert chat.tokenizer.convert_ids_to_tokens(list(letters.ids)) == list(LETTERS)
    before = chat.encode(chat.lay_out("Which?"))
    assert chat.encode(chat.render("Which?") + "B") == [*before, *letters.lead, letters.ids[1]]
    (text,) = LabelTexts(chat).tokens(("put plate",))
    assert [*before, *text] == chat.encode(f"{chat.render('Which?')}{chat.blank}put plate<|im_end|>")


def test_the_words_of_the_user_and_what_is_around_them(checkpoint: Checkpoint) -> None:
    chat = Chat(replace(checkpoint, chat_template=CHATML.replace(".text", ".text | trim")))
    laid = chat.lay_out(" a <video> \n")
    assert laid.words == "a <video>" and laid.count("<video>") == 0
    assert laid.text == "<|im_start|>user\na <video><|im_end|>\n<|im_start|>assistant\n"
    assert laid.replaced("<video>", "x").text == laid.text
    changing = Chat(replace(checkpoint, chat_template=CHATML.replace(".text", ".text | replace('?', '!')")))
    assert changing.render("which?") == "<|im_start|>user\nwhich!<|im_end|>\n<|im_start|>assistant\n"
