"""The family of llava_video in training: batches against the processor's and against the model's losses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.models.checkpoint import Checkpoint, load_model, open_checkpoint
from llavaction.models.families.base import DecodedClip, Family, ModelInputs, family_of
from llavaction.models.families.chat import Chat
from llavaction.models.llava_video import LlavaVideoProcessor
from llavaction.models.tokenisation import IGNORED, TokenisationConfig
from llavaction.testing.tiny import write_tiny


def clip(frames: int, seed: int) -> DecodedClip:
    pictures = hashed_rng("clip", seed, frames).integers(0, 256, (frames, 40, 60, 3), dtype=np.uint8)
    return DecodedClip.evenly(pictures, float(frames))


def talk(asked: str, answered: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]


ITEMS = (
    (talk("<video>\nWhat?", "take plate"), clip(2, 1)),
    (talk("Say a word.", "pan"), None),
    (talk("<video>\nAnd here?", "put the knife"), clip(3, 2)),
    (talk("<video>\nWho?", "you"), clip(1, 4)),
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(write_tiny(tmp_path_factory.mktemp("tiny"), "llava_video"))


@pytest.fixture(scope="module")
def processor(checkpoint: Checkpoint) -> LlavaVideoProcessor:
    return LlavaVideoProcessor.from_pretrained(checkpoint.folder)


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Any:
    return load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32, attention="eager").eval()


def family(checkpoint: Checkpoint, model: Any, **values: Any) -> Family:
    return family_of(checkpoint, Chat(checkpoint), model, tokenisation=TokenisationConfig.from_mapping(values))


def rows_of(made: Family) -> list[ModelInputs]:
    return [made.inputs(*item) for item in ITEMS]


def _text(messages: list[dict[str, str]]) -> str:
    asked, answered = (message["content"] for message in messages)
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    return f"{system}<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answered}<|im_end|>\n"


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mixed_batch_is_that_of_the_processor(
    checkpoint: Checkpoint, model: Any, processor: LlavaVideoProcessor, side: str
) -> None:
    made = family(checkpoint, model)
    batch = made.batch(rows_of(made), padding_side=side)
    texts, videos = [_text(messages) for messages, _ in ITEMS], [shown.frames for _, shown in ITEMS if shown]
    expected = processor(text=texts, videos=videos, padding=True, padding_side=side)
    assert set(batch) == {*expected, "labels", "position_ids"}
    for name, value in expected.items():
        assert torch.equal(batch[name], value)
    learnt = batch["labels"] != IGNORED
    assert torch.equal(batch["labels"][learnt], batch["input_ids"][learnt])
    unlearnable = [processor.video_token_id, processor.image_token_id, *processor.action_token_ids]
    assert not torch.isin(batch["input_ids"][learnt], torch.tensor(unlearnable)).any()
    assert not learnt[batch["attention_mask"] == 0].any()
    for ids, kept, (messages, _) in zip(batch["input_ids"], learnt, ITEMS, strict=True):
        written = processor.tokenizer.decode(ids[kept])
        # nothing foretells a row's first token
        assert written.startswith("<|im_start|>\n" if side == "right" else "\n")
        assert written.endswith(f"<|im_start|>assistant\n{messages[1]['content']}<|im_end|>\n")
        assert "What" not in written


def test_answers_only(checkpoint: Checkpoint, model: Any) -> None:
    rows = rows_of(family(checkpoint, model, supervise="answer"))
    written = [checkpoint.tokenizer.decode([index for index in row.labels or () if index != IGNORED]) for row in rows]
    assert written == [f"{messages[1]['content']}<|im_end|>" for messages, _ in ITEMS]


def test_losses_do_not_depend_on_padding_side_or_company(checkpoint: Checkpoint, model: Any) -> None:
    made = family(checkpoint, model)
    labels = torch.tensor([[1, 2, 3], [-1, -1, -1], [-1, -1, -1], [4, -1, -1]])
    losses: dict[str, list[float]] = {}
    for side in ("left", "right"):
        with torch.no_grad():
            outputs = model(**made.batch(rows_of(made), padding_side=side), action_labels=labels)
        losses[side] = [float(outputs[name]) for name in ("loss", "lm_loss", "action_loss")]
        assert outputs.verb_logits.shape == (3, 14)
    assert losses["left"] == pytest.approx(losses["right"], abs=1e-4)
    total, count = 0.0, 0
    for row in rows_of(made):
        batch = made.batch([row])
        learnt = int((batch["labels"][:, 1:] != IGNORED).sum())
        with torch.no_grad():
            total += float(model(**batch).loss) * learnt
        count += learnt
    assert losses["right"][1] == pytest.approx(total / count, abs=1e-4)
    assert losses["right"][2] > 0


def test_long_rows_are_cut_with_their_labels(
    checkpoint: Checkpoint, model: Any, processor: LlavaVideoProcessor
) -> None:
    whole = rows_of(family(checkpoint, model))
    first = whole[2].ids.index(processor.video_token_id)
    for length in (first, first + 10, first + 37, first + 38, first + 60):
        made = family(checkpoint, model, max_length=length)
        rows = rows_of(made)
        for row, uncut in zip(rows, whole, strict=True):
            assert row.ids == uncut.ids[:length] and row.labels is not None and uncut.labels is not None
            assert row.labels == uncut.labels[:length]
        batch = made.batch(rows, padding_side="right")
        assert ("pixel_values_videos" in batch) == (length > first)
        with torch.no_grad():
            assert torch.isfinite(model(**batch).loss)


def test_words_in_place_of_a_video(checkpoint: Checkpoint, model: Any, processor: LlavaVideoProcessor) -> None:
    told = [(talk("<video>\nWhat?\nA. take plate\nB. pan", "A"), "take plate"), (talk("<video>\nWhat?", "pan"), "pan")]
    tokenizer = processor.tokenizer
    ids, short = (tokenizer(f" {words}", add_special_tokens=False)["input_ids"] for _, words in told)
    made = family(checkpoint, model)
    rows = [made.inputs(messages, words=words) for messages, words in told]
    batch = made.batch([made.inputs(*ITEMS[0]), rows[0], made.inputs(*ITEMS[1]), rows[1]], padding_side="right")
    width = batch["action_words"].shape[1]
    assert width == max(len(ids), len(short))
    assert batch["action_words"].tolist() == [own + [-1] * (width - len(own)) for own in ([], ids, [], short)]
    assert len(batch["pixel_values_videos"]) == 1
    written = batch["input_ids"].tolist()
    (action,) = processor.action_token_ids
    assert [row.count(action) for row in written] == [1, 1, 0, 1]
    assert [row.count(processor.video_token_id) > 0 for row in written] == [True, False, False, False]
    assert [made.length(messages, 0, words) for messages, words in told] == [len(row.ids) for row in rows]
    assert tokenizer.decode(rows[0].ids) == _text(told[0][0]).replace("<video>", "<|action|>")
    assert (batch["labels"][batch["input_ids"] == action] == IGNORED).all()
    assert ",".join(map(str, ids)) in ",".join(map(str, written[1]))  # the option's text is the same tokens
    assert "action_words" not in made.batch(rows_of(made))
    with torch.no_grad():
        labels = torch.tensor([[1, 2, 3], *[[-1] * 3] * 3])
        outputs, alone = model(**batch, action_labels=labels), model(**made.batch(rows[:1]))
    assert outputs.verb_logits.shape[0] == 3
    assert torch.allclose(outputs.logits[1, : len(rows[0].ids)], alone.logits[0], atol=1e-4)
    place = written[1].index(action)
    cut = family(checkpoint, model, max_length=place)
    assert cut.inputs(told[0][0], words="take plate").words == ()
    assert cut.length(told[0][0], 0, "take plate") == place


def test_rows_that_will_not_do(checkpoint: Checkpoint, model: Any) -> None:
    made, asked = family(checkpoint, model), talk("<video>\nWhat?", "a")
    nothing = replace(clip(1, 1), frames=clip(1, 1).frames[:0])
    for messages, shown, words, message in (
        (asked, None, " ", "are empty"),
        (asked, clip(1, 1), "pan", "a video and words that stand in for it"),
        (talk("What?", "a"), None, "pan", "has 0 '<video>' placeholders, but 1"),
        (asked, None, None, "a row has 1 '<video>' placeholders, but 0"),
        (talk("What?", "a"), clip(1, 1), None, "has 0 '<video>' placeholders, but 1"),
        (asked, nothing, None, r"a video of uint8 \[0, 40, 60, 3\]"),
        ([{"role": "assistant", "content": "a"}], None, None, "no user speaks"),
    ):
        with pytest.raises(InputError, match=message):
            made.inputs(messages, shown, words=words)
    with pytest.raises(InputError, match="max_length"):
        TokenisationConfig.from_mapping({"max_length": 0})


def test_words_need_an_action_token(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, "llava_video")
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | {"action": None}))
    plain = open_checkpoint(folder)
    made = family(plain, load_model(plain, device=torch.device("cpu"), dtype=torch.float32))
    with pytest.raises(InputError, match="the model has no action token to add them to"):
        made.inputs(talk("<video>\nWhat?", "a"), words="pan")
