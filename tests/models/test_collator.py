"""The collator: batches of training items, against rows put together one by one and against the model's losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.models.collator import Collator, CollatorConfig, TrainingItem
from llavaction.models.llava_video import LlavaVideoProcessor
from llavaction.models.tiny import write_tiny
from llavaction.models.tokenisation import IGNORED, TokenisationConfig


def clip(frames: int, seed: int) -> np.ndarray:
    return hashed_rng("clip", seed, frames).integers(0, 256, (frames, 40, 60, 3), dtype=np.uint8)


def talk(asked: str, answered: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]


ITEMS = (
    TrainingItem(talk("<video>\nWhat?", "take plate"), [clip(2, 1)], labels={"verb": 1, "noun": 2, "action": 3}),
    TrainingItem(talk("Say a word.", "pan")),
    TrainingItem(talk("<video>\n<image>\nAnd here?", "put the knife"), [clip(3, 2)], [clip(1, 3)[0]]),
    TrainingItem(talk("<video>\nWho?", "you"), [clip(1, 4)], labels={"verb": 4}),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"), "llava_video")


@pytest.fixture(scope="module")
def processor(folder: Path) -> LlavaVideoProcessor:
    return LlavaVideoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def _text(item: TrainingItem) -> str:
    asked, answered = (message["content"] for message in item.messages)
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    return f"{system}<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answered}<|im_end|>\n"


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mixed_batch(processor: LlavaVideoProcessor, side: str) -> None:
    made = Collator(processor, CollatorConfig(padding_side=side))(ITEMS)
    videos = [video for item in ITEMS for video in item.videos]
    images = [image for item in ITEMS for image in item.images]
    expected = processor(
        text=[_text(item) for item in ITEMS], videos=videos, images=images, padding=True, padding_side=side
    )
    assert set(made) == {*expected, "labels", "action_labels"}
    for name, value in expected.items():
        assert torch.equal(made[name], value)
    assert made["action_labels"].tolist() == [[1, 2, 3], [-1, -1, -1], [-1, -1, -1], [4, -1, -1]]
    learnt = made["labels"] != IGNORED
    assert torch.equal(made["labels"][learnt], made["input_ids"][learnt])
    unlearnable = [processor.video_token_id, processor.image_token_id, *processor.action_token_ids]
    assert not torch.isin(made["input_ids"][learnt], torch.tensor(unlearnable)).any()
    assert not learnt[made["attention_mask"] == 0].any()
    for ids, kept, item in zip(made["input_ids"], learnt, ITEMS, strict=True):
        written = processor.tokenizer.decode(ids[kept])
        assert written.startswith(
            "<|im_start|>\n" if side == "right" else "\n"
        )  # nothing foretells a row's first token
        assert written.endswith(f"<|im_start|>assistant\n{item.messages[1]['content']}<|im_end|>\n")
        assert "What" not in written


def test_answers_only(processor: LlavaVideoProcessor) -> None:
    config = CollatorConfig(tokenisation=TokenisationConfig(supervise="answer"))
    made = Collator(processor, config)(ITEMS)
    written = [processor.tokenizer.decode(row[row != IGNORED]) for row in made["labels"]]
    assert written == [f"{item.messages[1]['content']}<|im_end|>" for item in ITEMS]


def test_losses_do_not_depend_on_padding_side_or_company(processor: LlavaVideoProcessor, model: Any) -> None:
    losses: dict[str, list[float]] = {}
    for side in ("left", "right"):
        made = Collator(processor, CollatorConfig(padding_side=side))(ITEMS)
        positions = (made["attention_mask"].cumsum(-1) - 1).clamp_min(0)
        with torch.no_grad():
            outputs = model(**made, position_ids=positions)
        losses[side] = [float(outputs[name]) for name in ("loss", "lm_loss", "action_loss")]
        assert outputs.verb_logits.shape == (3, 14)
    assert losses["left"] == pytest.approx(losses["right"], abs=1e-4)
    alone = [Collator(processor)([item]) for item in ITEMS]
    total, count = 0.0, 0
    for made in alone:
        learnt = int((made["labels"][:, 1:] != IGNORED).sum())
        with torch.no_grad():
            total += float(model(**made).lm_loss) * learnt
        count += learnt
    assert losses["right"][1] == pytest.approx(total / count, abs=1e-4)
    assert losses["right"][2] > 0


def test_long_rows_are_cut_with_their_labels(processor: LlavaVideoProcessor, model: Any) -> None:
    whole = Collator(processor)(ITEMS)
    first = whole["input_ids"][2].tolist().index(processor.video_token_id)
    for length in (first, first + 10, first + 37, first + 38, first + 60):
        made = Collator(processor, CollatorConfig(max_length=length))(ITEMS)
        assert made["input_ids"].shape[1] <= length
        for row in range(len(ITEMS)):
            kept = int(made["attention_mask"][row].sum())
            assert torch.equal(made["input_ids"][row, :kept], whole["input_ids"][row, :kept])
            assert torch.equal(made["labels"][row, :kept], whole["labels"][row, :kept])
        assert made["action_labels"].tolist() == whole["action_labels"].tolist()
        assert ("pixel_values_videos" in made) == (length > first)
        with torch.no_grad():
            assert torch.isfinite(model(**made).loss)


def test_words_in_place_of_a_video(processor: LlavaVideoProcessor, model: Any) -> None:
    told = [
        TrainingItem(talk("<video>\nWhat?\nA. take plate\nB. pan", "A"), words="take plate"),
        TrainingItem(talk("<video>\nWhat?", "pan"), words="pan"),
    ]
    tokenizer = processor.tokenizer
    (ids,) = (tokenizer(" take plate", add_special_tokens=False)["input_ids"],)
    collate = Collator(processor)
    made = collate([ITEMS[0], told[0], ITEMS[1], told[1]])
    width = made["action_words"].shape[1]
    short = tokenizer(" pan", add_special_tokens=False)["input_ids"]
    assert width == max(len(ids), len(short))
    expected = [[], ids, [], short]
    assert made["action_words"].tolist() == [own + [-1] * (width - len(own)) for own in expected]
    assert made["action_labels"].tolist() == [[1, 2, 3], *[[-1] * 3] * 3]
    assert len(made["pixel_values_videos"]) == 1
    rows = made["input_ids"].tolist()
    (action,) = processor.action_token_ids
    assert [row.count(action) for row in rows] == [1, 1, 0, 1]
    assert [row.count(processor.video_token_id) > 0 for row in rows] == [True, False, False, False]
    lengths = made["attention_mask"].sum(1).tolist()
    assert [collate.length(item.messages, 0, item.words) for item in told] == [lengths[1], lengths[3]]
    assert tokenizer.decode(rows[1][: lengths[1]]) == _text(told[0]).replace("<video>", "<|action|>")
    assert (made["labels"][made["input_ids"] == action] == IGNORED).all()
    text = ",".join(map(str, rows[1]))
    assert ",".join(map(str, ids)) in text  # the option's text is the same tokens
    assert "action_words" not in collate(ITEMS)
    with torch.no_grad():
        outputs, alone = model(**made), model(**collate(told[:1]))
    assert outputs.verb_logits.shape[0] == 3
    assert torch.allclose(outputs.logits[1, : lengths[1]], alone.logits[0], atol=1e-4)
    place = rows[1].index(action)
    cut = Collator(processor, CollatorConfig(max_length=place))
    assert "action_words" not in cut(told[:1])
    assert cut.length(told[0].messages, 0, told[0].words) == place


def test_words_that_will_not_do(processor: LlavaVideoProcessor) -> None:
    plain = LlavaVideoProcessor(processor.image_processor, processor.tokenizer)
    asked = talk("<video>\nWhat?", "a")
    for taught, bad, message in (
        (processor, TrainingItem(asked, words=" "), "are empty"),
        (processor, TrainingItem(asked, [clip(1, 1)], words="pan"), "a video and words that stand in for it"),
        (processor, TrainingItem(talk("What?", "a"), words="pan"), "has 0 '<video>' placeholders, but 1"),
        (plain, TrainingItem(asked, words="pan"), "the model has no action token to add them to"),
    ):
        with pytest.raises(InputError, match=message):
            Collator(taught)([bad])
    with pytest.raises(InputError, match="no action token"):
        Collator(plain).length(asked, 0, "pan")


def test_items_that_will_not_do(processor: LlavaVideoProcessor) -> None:
    good = ITEMS[1]
    for bad, message in (
        (TrainingItem(talk("<video>\nWhat?", "a")), "item 2 of the batch: a row has 1 '<video>' placeholders, but 0"),
        (TrainingItem(talk("What?", "a"), [clip(1, 1)]), "item 2 .* has 0 '<video>' placeholders, but 1"),
        (TrainingItem(talk("<video>", "a"), [clip(1, 1)[:0]]), r"item 2 .* a video of uint8 \[0, 40, 60, 3\]"),
        (TrainingItem([{"role": "user", "content": "What?"}]), "item 2 .* no assistant answers"),
        (TrainingItem(talk("What?", "a"), labels={"verbs": 3}), r"item 2 .* labels of \['verbs'\]"),
    ):
        with pytest.raises(InputError, match=message):
            Collator(processor)([good, bad])
    with pytest.raises(InputError, match="max_length"):
        CollatorConfig.from_mapping({"max_length": 0})
