"""Training tokenisation: against the published numbers, and against labels written out by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from transformers import AutoTokenizer

from llavaction.base.errors import InputError
from llavaction.models.llava_video import add_visual_tokens
from llavaction.models.tokenisation import (
    CHAT_TEMPLATE,
    IGNORED,
    SYSTEM,
    ConversationTokeniser,
    TokenisationConfig,
    Turn,
    padded,
    read_turns,
    text_ids,
)
from llavaction.testing.tiny import build_tokenizer

ASKED = {"role": "user", "content": "<video>\nWhich action?\nA. wash plate"}
ANSWERED = {"role": "assistant", "content": "A. wash\nplate"}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(("<image>", "<video>"))


@pytest.fixture(scope="module")
def placeholders(tokenizer: Any) -> dict[str, int]:
    return {token: tokenizer.convert_tokens_to_ids(token) for token in ("<image>", "<video>")}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    values = json.loads((shared / "golden/text/preprocess.json").read_text())
    values["tokenizer"] = AutoTokenizer.from_pretrained(shared / "golden/tokenizer")
    return values


def _conversations(golden: dict[str, Any]) -> list[list[dict[str, str]]]:
    """Those of the recorded cases; the second is stored without its answers, so they are put back here."""
    first, second, third = (case["conversations"] for case in golden["cases"])
    assert [message["from"] for message in second] == ["human", "human"]
    answers = [{"role": "assistant", "content": text} for text in ("line1\nline2", "ok")]
    return [first, [second[0], answers[0], second[1], answers[1]], third]


@pytest.mark.parametrize("in_vocabulary", [False, True])
def test_the_published_cases(golden: dict[str, Any], in_vocabulary: bool) -> None:
    tokenizer, image = golden["tokenizer"], -200
    if in_vocabulary:
        image = add_visual_tokens(tokenizer)["<image>"]
        assert image == 259
    tokenise = ConversationTokeniser(tokenizer, {"<image>": image})
    for conversation, case in zip(_conversations(golden), golden["cases"], strict=True):
        example = tokenise(conversation)
        assert list(example.ids) == [image if token == -200 else token for token in case["input_ids"]]
        assert list(example.labels) == case["labels"]


def test_the_published_batch(golden: dict[str, Any]) -> None:
    tokenise = ConversationTokeniser(golden["tokenizer"], {"<image>": -200})
    last = [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}]
    examples = [tokenise(_conversations(golden)[0]), tokenise(last)]
    expected = golden["collated_cases_0_and_3"]
    length = max(len(example.ids) for example in examples)
    assert length == 428
    assert [padded(item.ids, golden["pad"], length, "right") for item in examples] == expected["input_ids"]
    assert [padded(item.labels, IGNORED, length, "right") for item in examples] == expected["labels"]
    masks = [padded([1] * len(item.ids), 0, length, "right") for item in examples]
    assert masks == expected["attention_mask"]


def test_the_published_prompts(golden: dict[str, Any]) -> None:
    cases = golden["tokenizer_image_token"]
    assert len(cases) == 2
    for case in cases:
        assert text_ids(golden["tokenizer"], case["prompt"], {"<image>": -200}) == case["input_ids"]


def test_the_chat_template_writes_the_published_prompt(golden: dict[str, Any]) -> None:
    prompt = golden["tokenizer_image_token"][0]["prompt"]
    asked = golden["cases"][0]["conversations"][0]["value"].removeprefix("<image>\n")
    content = [{"type": "image"}, {"type": "text", "text": asked}]
    assert _rendered(golden["tokenizer"], [{"role": "user", "content": content}], True) == prompt


def _rendered(tokenizer: Any, messages: list[dict[str, Any]], opened: bool = False) -> str:
    return str(
        tokenizer.apply_chat_template(
            messages, chat_template=CHAT_TEMPLATE, tokenize=False, add_generation_prompt=opened
        )
    )


def test_labels_by_hand(tokenizer: Any, placeholders: dict[str, int]) -> None:
    """Pieces of the text and whether each is learnt, as published and as answers only."""
    start, end = "<|im_start|>", "<|im_end|>"
    pieces = [
        *((start, 1, 0), ("system", 0, 0), ("\n", 1, 0), (SYSTEM, 0, 0), (end, 1, 0), ("\n", 1, 0)),
        *((start, 1, 0), ("user", 0, 0), ("\n", 1, 0), ("<video>", 0, 0), ("\n", 1, 0)),
        *(("Which action?", 0, 0), ("\n", 1, 0), ("A. wash plate", 0, 0), (end, 1, 0), ("\n", 1, 0)),
        *((start, 1, 0), ("assistant", 1, 0), ("\n", 1, 0)),
        *(("A. wash", 1, 1), ("\n", 1, 1), ("plate", 1, 1), (end, 1, 1), ("\n", 1, 0)),
    ]
    for column, supervise in ((1, "published"), (2, "answer")):
        tokenise = ConversationTokeniser(tokenizer, placeholders, TokenisationConfig(supervise=supervise))
        example = tokenise([ASKED, ANSWERED])
        ids: list[int] = []
        labels: list[int] = []
        for piece in pieces:
            own = tokenizer(piece[0], add_special_tokens=False)["input_ids"]
            ids += own
            labels += own if piece[column] else [IGNORED] * len(own)
        assert list(example.ids) == ids
        assert list(example.labels) == labels


def test_training_and_inference_write_the_same_turns(tokenizer: Any, placeholders: dict[str, int]) -> None:
    parts = [{"type": "video"}, {"type": "text", "text": "Which action?\nA. wash plate"}]
    tokenise = ConversationTokeniser(tokenizer, placeholders)
    for messages in (
        [ASKED, ANSWERED],
        [{"role": "user", "content": parts}, ANSWERED],
        [ASKED, ANSWERED, {"role": "user", "content": "And\n\nthen?"}, {"role": "assistant", "content": ""}],
        [{"role": "system", "content": "Be brief."}, ASKED, ANSWERED],
    ):
        assert tokenizer.decode(tokenise(messages).ids) == _rendered(tokenizer, messages)
    assert tokenise([ASKED, ANSWERED]) == tokenise([{"role": "user", "content": parts}, ANSWERED])


def test_every_answer_is_learnt_and_only_answers(tokenizer: Any, placeholders: dict[str, int]) -> None:
    tokenise = ConversationTokeniser(tokenizer, placeholders, TokenisationConfig(supervise="answer", system="S"))
    again = {"role": "assistant", "content": "\nB. put <|im_end|> knife"}
    example = tokenise([ASKED, ANSWERED, {"role": "user", "content": "And then?"}, again])
    learnt = tokenizer.decode([label for label in example.labels if label != IGNORED])
    assert learnt == "A. wash\nplate<|im_end|>\nB. put <|im_end|> knife<|im_end|>"
    assert tokenizer.decode(example.ids).startswith("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n<video>\n")


def test_both_forms_of_a_conversation() -> None:
    published = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    ours = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]
    assert read_turns(published) == read_turns(ours) == [Turn("user", "q"), Turn("assistant", "a")]
    assert read_turns([{"from": "gpt", "value": "hello"}, *published]) == read_turns(published)


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("hi <image> there", "<image>\nhi  there"),
        ("what is this? <video>", "<video>\nwhat is this?"),
        ("<video>what?", "<video>what?"),
        ("a <image> b <image>", "a <image> b <image>"),
        ("none", "none"),
        (" <video> ", "<video>"),
    ],
)
def test_a_published_text_shows_its_picture_first(text: str, moved: str) -> None:
    assert read_turns([{"from": "human", "value": text}]) == [Turn("user", moved)]
    assert read_turns([{"role": "user", "content": text}]) == [Turn("user", text)]


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ([], "a conversation of 0 turns in which no user speaks"),
        ([ANSWERED], "1 turns in which no user speaks"),
        ([ASKED], "1 turns in which no assistant answers"),
        ([ASKED, {"role": "asistant", "content": "a"}], "turn 2 is spoken by 'asistant'\n.*did you mean 'assistant'"),
        ([ASKED, {"role": "assistant"}], r"turn 2 has the keys \['role'\]"),
        ([{"from": "human", "value": 3}], "turn 1: 'value' is a int"),
        ([{"role": "user", "content": [{"type": "audio"}]}], "turn 1 has a part {'type': 'audio'}"),
        ([{"role": "user", "content": [{"type": "text"}]}], "turn 1 has a part"),
    ],
)
def test_conversations_that_will_not_do(
    tokenizer: Any, placeholders: dict[str, int], conversation: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ConversationTokeniser(tokenizer, placeholders)(conversation)


def test_a_tokenizer_without_turn_markers_is_refused(tokenizer: Any) -> None:
    class Letters:
        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": list(text.encode())}

    with pytest.raises(InputError, match=re.escape("makes 12 tokens of '<|im_start|>'")):
        ConversationTokeniser(Letters(), {})


def test_placeholders_stand_anywhere(tokenizer: Any, placeholders: dict[str, int]) -> None:
    text = "<video><image> a<video>\n"
    negative = text_ids(tokenizer, text, {"<video>": -200, "<image>": -300})
    assert [token for token in negative if token < 0] == [-200, -300, -200]
    ours = text_ids(tokenizer, text, placeholders)
    assert ours == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ours == [{-200: placeholders["<video>"], -300: placeholders["<image>"]}.get(i, i) for i in negative]
    assert text_ids(tokenizer, "", placeholders) == []
    assert text_ids(tokenizer, "no picture", {}) == tokenizer("no picture")["input_ids"]


def test_supervise_is_a_known_word() -> None:
    with pytest.raises(InputError, match="supervise"):
        TokenisationConfig.from_mapping({"supervise": "answers"})


@pytest.mark.parametrize("supervise", ["published", "answer"])
def test_a_picture_in_an_answer_is_not_learnt(
    tokenizer: Any, placeholders: dict[str, int], supervise: Literal["published", "answer"]
) -> None:
    tokenise = ConversationTokeniser(tokenizer, placeholders, TokenisationConfig(supervise=supervise))
    example = tokenise([{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "this <image> one"}])
    place = example.ids.index(placeholders["<image>"])
    assert example.labels[place] == IGNORED
    assert example.labels[place - 1 : place + 2 : 2] == example.ids[place - 1 : place + 2 : 2]
