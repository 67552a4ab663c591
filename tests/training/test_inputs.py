"""Rows and batches: what is learnt is what is later asked, and bad records are left out and counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from helpers.kitchenette import clip_record, settings, text_record
from llavaction.base.errors import InputError
from llavaction.models.families.base import Family, family_of, question
from llavaction.models.families.chat import Chat
from llavaction.models.tokenisation import IGNORED, TokenisationConfig
from llavaction.training.base_trainer import BaseTrainer
from llavaction.training.config import TrainConfig
from llavaction.training.flops import FlopCounter
from llavaction.training.inputs import (
    PARTIAL,
    RECORDS,
    SKIPPED,
    BatchMaker,
    ClipDataset,
    FrameStore,
    Skipped,
    TrainingItem,
    lengths_of,
    training_family,
)
from llavaction.training.losses import count, with_few_logits
from llavaction.training.mixture import Mixture, frames_of
from llavaction.training.sampler import Draw
from llavaction.training.trainable_model import TrainableModel, make_trainable_model, start_folder
from llavaction.video.errors import CorruptVideoError
from llavaction.video.frames import Frames
from llavaction.video.library import VideoLibrary

HEADS = {"supervision": "three_tokens", "verbs": 3, "nouns": 3, "actions": 3}
FAMILIES = {"llava_video": None, "llava_onevision": HEADS, "qwen2_5_vl": HEADS, "qwen3_vl": HEADS, "internvl": None}


def trainable_of(family: str, home: Path, folder: Path, **values: Any) -> tuple[TrainableModel, Family]:
    changes = {"model": f"tiny:{family}", "action": FAMILIES[family], **values}
    config = TrainConfig.from_mapping(settings(home, str(folder), **changes))
    stage = config.resolved()[0]
    trainable = make_trainable_model(start_folder(config), stage, seed=0)
    return trainable, training_family(trainable.checkpoint, trainable.core, stage)


def batch_of(family: Family, *items: TrainingItem) -> dict[str, torch.Tensor]:
    """A batch of which nothing is left out."""
    batch = BatchMaker(family)(items)
    assert (batch.pop(SKIPPED), batch.pop(RECORDS)) == ([], len(items))
    batch.pop(PARTIAL)
    return batch


def dataset(home: Path, *records: Any, frames: int = 3, jitter: int | None = None) -> ClipDataset:
    counts = [frames if record.clip else 0 for record in records]
    return ClipDataset(Mixture(records, counts, [(0, len(records), 1.0)]), VideoLibrary(home / "videos"), jitter)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_learnt_is_what_is_asked(family: str, home: Path, tmp_path: Path) -> None:
    trainable, adapter = trainable_of(family, home, tmp_path, supervise="answer")
    item = dataset(home, clip_record(1))[Draw(0, 0)]
    assert isinstance(item, TrainingItem)
    batch = batch_of(adapter, item)
    chat = Chat(trainable.checkpoint)
    asking = family_of(trainable.checkpoint, chat, trainable.core)
    asked = asking.inputs(question("Which colour?", with_clip=True), item.clip)
    ids, learnt = batch["input_ids"][0].tolist(), batch["labels"][0] != IGNORED
    assert tuple(ids[: len(asked.ids)]) == asked.ids  # up to the answer, to the last token
    tokenizer = trainable.checkpoint.tokenizer
    assert tokenizer.decode(batch["labels"][0][learnt]) == "green<|im_end|>"
    assert int(learnt.nonzero()[0, 0]) == len(asked.ids)
    for name, value in asked.tensors.items():
        assert torch.equal(batch[name], value)
    if trainable.action is not None:
        assert batch["action_labels"].tolist() == [[1, 2, 1]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("thoughts", ["none", "opened", "switch", "one line"])
def test_forged_words_and_thoughts_are_laid_out_alike(family: str, thoughts: str, home: Path, tmp_path: Path) -> None:
    trainable, _ = trainable_of(family, home, tmp_path, supervise="answer")
    template = str(trainable.checkpoint.chat_template)
    opened = "{{ '<|im_start|>assistant\\n' }}"
    assert opened in template
    hybrid = (
        "{%- if enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{%- else %}{{ '<think>\\n' }}{%- endif %}"
    )
    if thoughts == "one line":  # as llava-onevision's own: no line breaks after roles and turns
        template = template.replace("+ message.role + '\\n'", "+ message.role + ' '").replace(
            "<|im_end|>\\n", "<|im_end|>"
        )
    else:
        tail = {"none": "", "opened": "{{ '<think>\\n' }}", "switch": hybrid}[thoughts]
        template = template.replace(opened, opened + tail)
    checkpoint = replace(trainable.checkpoint, chat_template=template)
    chat = Chat(checkpoint)
    adapter = family_of(checkpoint, chat, trainable.core, tokenisation=TokenisationConfig(supervise="answer"))
    item = dataset(home, clip_record(1))[Draw(0, 0)]
    assert isinstance(item, TrainingItem)
    thought = {"none": "", "one line": ""}.get(thoughts, "<think>\n\n</think>\n\n")
    for words in ("Which colour?", "Which<|im_end|> <image> <|video_pad|> <|action|> <think>?"):
        for shown in (True, False):
            clip = item.clip if shown else None
            asked = adapter.inputs(question(words, with_clip=shown), clip)
            messages = [{"role": "user", "content": "<video>\n" * shown + words}, {"role": "assistant", "content": "A"}]
            example = adapter.inputs(messages, clip)
            labels = example.labels or ()
            assert example.ids[: len(asked.ids)] == asked.ids
            learnt = [index for index in labels if index != IGNORED]
            assert checkpoint.tokenizer.decode(learnt) == "A<|im_end|>"
            assert next(place for place, index in enumerate(labels) if index != IGNORED) == len(asked.ids)
            assert checkpoint.tokenizer.decode(asked.ids).endswith(f"<|im_start|>assistant\n{thought}")


@pytest.mark.parametrize("tail", ["", "{{ '<think>\\n' }}"])
def test_rows_of_llava_video_follow_its_template(tail: str, home: Path, tmp_path: Path) -> None:
    trainable, _ = trainable_of("llava_video", home, tmp_path)
    checkpoint = replace(trainable.checkpoint, chat_template=str(trainable.checkpoint.chat_template) + tail)
    stage = TrainConfig.from_mapping(settings(home, str(tmp_path), supervise="answer")).resolved()[0]
    family = training_family(checkpoint, trainable.core, stage)
    item = dataset(home, clip_record(1))[Draw(0, 0)]
    assert isinstance(item, TrainingItem)
    adapter = family_of(checkpoint, Chat(checkpoint), trainable.core)
    for words in ("Which colour?", "Which<|im_end|> <|action|> <think>?"):
        asked = adapter.inputs(question(words, with_clip=True), item.clip)
        messages = [{"role": "user", "content": f"<video>\n{words}"}, {"role": "assistant", "content": "A"}]
        batch = batch_of(family, replace(item, messages=messages))
        assert tuple(batch["input_ids"][0, : len(asked.ids)].tolist()) == asked.ids
        assert (batch["labels"][0, : len(asked.ids)] == IGNORED).all()
        assert batch["labels"][0, len(asked.ids)] == checkpoint.tokenizer.get_vocab()["A"]
    asked = adapter.inputs(question("Which?", with_clip=False))
    messages = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "A"}]
    batch = batch_of(family, TrainingItem(messages))
    assert tuple(batch["input_ids"][0, : len(asked.ids)].tolist()) == asked.ids


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_is_the_same_in_company(family: str, home: Path, tmp_path: Path) -> None:
    trainable, adapter = trainable_of(family, home, tmp_path)
    records = [clip_record(0), text_record(7), clip_record(1, words=5)]
    items = list(map(dataset(home, *records).__getitem__, [Draw(n, 0) for n in range(3)]))
    together = batch_of(adapter, *items)
    mixture = Mixture(records, [3, 0, 3], [])
    lengths = together["attention_mask"].sum(1).tolist()
    if not family.startswith("qwen"):  # whose clips take as many tokens as their pictures' size asks for
        assert lengths_of(mixture, adapter) == lengths
    found = []
    with torch.no_grad():
        for number, item in enumerate(items):
            alone = batch_of(adapter, item)
            assert torch.equal(together["input_ids"][number, : lengths[number]], alone["input_ids"][0])
            assert torch.equal(together["labels"][number, : lengths[number]], alone["labels"][0])
            logits = trainable.core.eval()(**alone).logits[0]
            found.append((logits - trainable.core(**together).logits[number, : lengths[number]]).abs().max())
    assert max(found) < 1e-4
    assert (together["labels"][together["attention_mask"] == 0] == IGNORED).all()


def test_limits_and_texts_that_will_not_do(home: Path, tmp_path: Path) -> None:
    item = dataset(home, clip_record(1, words=30))[Draw(0, 0)]
    for family in ("llava_video", "qwen2_5_vl"):
        _, adapter = trainable_of(family, home, tmp_path / family)
        whole = batch_of(adapter, item)["input_ids"][0]
        length = len(whole) - 20
        _, cut = trainable_of(family, home, tmp_path / family, max_length=length)
        assert torch.equal(batch_of(cut, item)["input_ids"][0], whole[:length])
        assert lengths_of(Mixture([clip_record(1, words=30)], [3], []), cut) == [length]
        talk = ({"role": "user", "content": "<video>\nand <video>?"}, {"role": "assistant", "content": "a"})
        with pytest.raises(InputError, match="has 2 '<video>' placeholders"):
            adapter.inputs(talk, item.clip)
    _, short = trainable_of("qwen2_5_vl", home, tmp_path / "qwen2_5_vl", max_length=8)
    with pytest.raises(InputError, match="its video does not fit into 8 tokens"):
        short.inputs(item.messages, item.clip)


def test_bad_records_are_left_out_and_counted(home: Path, tmp_path: Path) -> None:
    _, adapter = trainable_of("llava_video", home, tmp_path)
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "red.mp4").write_bytes(b"this is no video")
    (folder / "green.mp4").write_bytes((home / "videos" / "green.mp4").read_bytes())
    records = [clip_record(0), clip_record(1)]
    data = ClipDataset(Mixture(records, [3, 3], []), VideoLibrary(folder))
    bad, good = data[Draw(0, 0)], data[Draw(1, 0)]
    assert isinstance(bad, Skipped) and bad.record_id == "clip-0" and "red.mp4" in bad.reason
    make = BatchMaker(adapter)
    batch = make([bad, good])
    assert batch[RECORDS] == 2 and batch[SKIPPED] == [bad] and len(batch["input_ids"]) == 1
    unwritable = TrainingItem([{"role": "user", "content": "<video>"}, {"role": "assistant", "content": "a"}])
    empty = make([bad, unwritable])
    assert empty[RECORDS] == len(empty[SKIPPED]) == 2
    assert (empty["labels"] == IGNORED).all() and "pixel_values_videos" not in empty


def test_words_in_place_of_a_clip(home: Path, tmp_path: Path) -> None:
    values = clip_record(1).model_dump() | {"record_id": "told", "clip": None, "labels": None, "words": "green"}
    record = type(clip_record(1)).from_mapping(values)
    data = dataset(home, record, clip_record(0))
    item = data[Draw(0, 0)]
    assert isinstance(item, TrainingItem)
    assert (item.words, item.labels, item.clip) == ("green", None, None)
    assert frames_of(record, 4, None) == 0
    trainable, adapter = trainable_of("llava_video", home, tmp_path / "llava_video")
    batch = batch_of(adapter, item, data[Draw(1, 0)])
    assert lengths_of(Mixture([record], [0], []), adapter) == batch["attention_mask"].sum(1).tolist()[:1]
    own = count(trainable.core, batch)
    assert (own.labelled, own.videos) == (1, 2)
    assert torch.isfinite(trainable.core(**with_few_logits(batch), num_items_in_batch=own.tokens).loss)
    assert FlopCounter(trainable.core, trainable.core.config, adapters=False)(batch, own.tokens) > 0
    _, others = trainable_of("qwen2_5_vl", home, tmp_path / "qwen2_5_vl")
    with pytest.raises(InputError, match="cannot learn from words that stand in for a clip"):
        others.inputs(item.messages, words=item.words)
    with pytest.raises(InputError, match="record 'told': models of type 'qwen2_5_vl"):
        lengths_of(Mixture([record], [0], []), others)


def test_jitter_is_a_matter_of_record_and_turn(home: Path) -> None:
    record = clip_record(0)
    still, moved = dataset(home, record), dataset(home, record, jitter=1)

    def times(data: ClipDataset, turn: int) -> np.ndarray:
        item = data[Draw(0, turn)]
        assert isinstance(item, TrainingItem)
        assert item.clip is not None
        return item.clip.times

    assert np.array_equal(times(still, 0), times(still, 1))
    assert np.array_equal(times(moved, 2), times(dataset(home, record, jitter=1), 2))
    turns = [tuple(times(moved, turn)) for turn in range(8)]
    assert len(set(turns)) > 3


def clip(kilobytes: int = 12, **values: Any) -> Frames:
    return Frames(np.zeros((kilobytes, 10, 10, 10), np.uint8), np.zeros(kilobytes), **values)


@pytest.mark.parametrize(
    ("gigabytes", "decoded"),
    [(1.0, {"a": 1, "b": 1, "c": 1}), (25e-6, {"a": 1, "b": 1, "c": 3}), (12e-6, {"a": 1, "b": 3, "c": 3}), (0, 3)],
)
def test_clips_are_kept_while_there_is_room(gigabytes: float, decoded: Any) -> None:
    store, found = FrameStore(gigabytes), dict.fromkeys("abc", 0)
    kept = {name: clip() for name in found}
    for _ in range(3):
        for name in found:

            def decode(name: str = name) -> Frames:
                found[name] += 1
                return kept[name]

            assert store.read(name, decode) is kept[name]
    assert found == (dict.fromkeys("abc", decoded) if isinstance(decoded, int) else decoded)


def test_a_smaller_clip_still_fits_and_damaged_ones_are_not_kept() -> None:
    store, calls = FrameStore(20e-6), []

    def read(key: str, frames: Frames) -> None:
        store.read(key, lambda: calls.append(key) or frames)

    damaged = clip(5, error=CorruptVideoError("half of it is missing"))
    for _ in range(2):
        for key, frames in (("damaged", damaged), ("large", clip(21)), ("small", clip(15)), ("rest", clip(5))):
            read(key, frames)
    assert calls == ["damaged", "large", "small", "rest", "damaged", "large"]


def test_records_of_one_clip_share_what_is_decoded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, read = [], VideoLibrary.read

    def counted(self: VideoLibrary, clip: Any, *args: Any, **rest: Any) -> Frames:
        calls.append(clip.video_id)
        return read(self, clip, *args, **rest)

    monkeypatch.setattr(VideoLibrary, "read", counted)
    same = clip_record(0).model_copy(update={"record_id": "again"})
    mixture, library = Mixture([clip_record(0), same, clip_record(1)], [3, 3, 2], []), VideoLibrary(home / "videos")
    store = FrameStore(1)
    for jitter, expected in ((None, ["red", "green"]), (1, ["red", "red", "green"])):
        calls.clear()
        first, second, _ = (ClipDataset(mixture, library, jitter, store)[Draw(number, 0)] for number in range(3))
        assert calls == expected
        assert isinstance(first, TrainingItem) and isinstance(second, TrainingItem)
        assert np.array_equal(first.clip.frames, second.clip.frames) == (jitter is None)
    more = Mixture([clip_record(0)], [2], [])  # fewer frames are another choice of them
    assert len(ClipDataset(more, library, None, store)[Draw(0, 0)].clip.frames) == 2  # type: ignore[union-attr]


def test_kept_clips_and_worker_processes_exclude_each_other(home: Path) -> None:
    assert TrainConfig.from_mapping(settings(home, cache_gb=0.5, workers=0)).cache_gb == 0.5
    with pytest.raises(InputError, match="cache_gb needs workers: 0"):
        TrainConfig.from_mapping(settings(home, cache_gb=0.5, workers=1))


def test_the_loader_prepares_no_more_than_there_is_room_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset(home, clip_record(0), text_record(1), clip_record(2), frames=5)
    clip = 5 * 48 * 64 * 3
    assert data.clip_bytes() == clip
    assert dataset(home, text_record(1)).clip_bytes() == 0
    monkeypatch.setattr("llavaction.training.base_trainer.AHEAD_IN_TRAINING", 6 * clip)
    trainer = BaseTrainer.__new__(BaseTrainer)
    for wanted, micro_batch, expected in ((4, 1, (4, 1)), (2, 1, (2, 2)), (4, 4, (1, 1)), (0, 1, (0, None))):
        trainer.args = SimpleNamespace(
            dataloader_num_workers=wanted, dataloader_pin_memory=False, process_index=0, world_size=1
        )
        trainer._data, trainer._stage, trainer.data_collator = data, SimpleNamespace(micro_batch=micro_batch), list
        trainer._sampler = SimpleNamespace()
        loader = trainer.get_train_dataloader()
        assert (loader.num_workers, loader.prefetch_factor) == expected
