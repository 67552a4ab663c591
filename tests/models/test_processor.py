"""The processor: pixels, expanded placeholders, padding and truncation, checked against the model they are made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.models.llava_video import LlavaVideoConfig, LlavaVideoProcessor, add_visual_tokens
from llavaction.testing.tiny import build_tokenizer, write_tiny
from llavaction.testing.tiny_families import FAMILIES

THREE = ("<|verb|>", "<|noun|>", "<|action|>")


def clip(frames: int, seed: int = 0, height: int = 40, width: int = 60) -> np.ndarray:
    return hashed_rng("clip", seed, frames).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"), "llava_video")


@pytest.fixture(scope="module")
def processor(folder: Path) -> LlavaVideoProcessor:
    return LlavaVideoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def made_for(action_tokens: tuple[str, ...] = (), **values: Any) -> tuple[LlavaVideoConfig, LlavaVideoProcessor]:
    """A tiny configuration with these fields, and its processor."""
    tokenizer = build_tokenizer(("<image>", "<video>", *action_tokens))
    settings = FAMILIES["llava_video"].config(tokenizer.get_vocab() | {"<|action|>": 0}, 576, 512)
    del settings["model_type"]
    config = LlavaVideoConfig(**(settings | {"action": None} | values))
    return config, LlavaVideoProcessor.for_config(config, tokenizer)


@pytest.mark.parametrize("side", [70, 112, 384])
def test_pixels_equal_the_published_ones(shared: Path, side: int) -> None:
    golden = load_file(shared / "golden/image_processor.safetensors")
    _, processor = made_for(vision_config=_tower(side))
    made = processor.pixels(golden["frames_uint8"])
    assert made.dtype == torch.float32
    assert (made.numpy() == golden[f"pixel_values_{side}"]).all()


def _tower(side: int) -> dict[str, Any]:
    ids = {"<image>": 0, "<video>": 1, "<|action|>": 2}
    return FAMILIES["llava_video"].config(ids, 8, 8)["vision_config"] | {"image_size": side}


@pytest.mark.parametrize("side", [70, 112])
def test_pixels_by_hand(side: int) -> None:
    _, processor = made_for(vision_config=_tower(side))
    frames = clip(3)
    scaled = [Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC) for frame in frames]
    expected = np.stack([(np.asarray(item) / 255.0 - 0.5) / 0.5 for item in scaled]).transpose(0, 3, 1, 2)
    made = processor.pixels(frames)
    assert made.shape == (3, 3, side, side)
    assert np.abs(made.numpy() - expected).max() < 1e-6


def test_pixels_go_through_pil_whatever_processor_is_given(processor: LlavaVideoProcessor) -> None:
    other = LlavaOnevisionImageProcessorPil(size={"height": 70, "width": 70}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    again = LlavaVideoProcessor(other, processor.tokenizer)
    assert type(again.image_processor).__name__ == "SiglipImageProcessorPil"
    assert torch.equal(again.pixels(clip(2)), processor.pixels(clip(2)))


@pytest.mark.parametrize("pooling", ["bilinear", "average", "max"])
@pytest.mark.parametrize("position", ["grid", "frame", "one_token", "none"])
def test_tokens_are_those_of_the_configuration(position: str, pooling: str) -> None:
    config, processor = made_for(newline_position=position, pooling=pooling, still_newline=position != "none")
    side = 3 if pooling == "bilinear" else 2
    newlines = {"grid": 4 * side, "frame": 4, "one_token": 1, "none": 0}[position]
    assert processor.visual_tokens(4) == 4 * side**2 + newlines
    assert [processor.visual_tokens(n) for n in range(1, 9)] == [config.visual_tokens(n) for n in range(1, 9)]
    assert processor.image_tokens == 25 + (position != "none")
    ids = processor(text="<image>a<video>", videos=[clip(4)], images=[clip(1)[0]])["input_ids"][0].tolist()
    assert ids.count(processor.video_token_id) == processor.visual_tokens(4)
    assert ids.count(processor.image_token_id) == processor.image_tokens
    assert len(ids) == processor.visual_tokens(4) + processor.image_tokens + 1


@pytest.mark.parametrize(
    ("supervision", "tokens"), [("one_token", ("<|action|>",)), ("three_tokens", THREE), ("newline", ())]
)
def test_action_tokens_follow_every_video_and_no_image(supervision: str, tokens: tuple[str, ...]) -> None:
    ids = [build_tokenizer(("<image>", "<video>", *tokens)).get_vocab()[token] for token in tokens]
    action = {"supervision": supervision, "verbs": 2, "nouns": 3, "actions": 4, "token_ids": ids}
    config, processor = made_for(tokens, action=action)
    assert list(config.action_tokens) == processor.action_tokens == list(tokens)
    made = processor(text="a<video>b<image>c<video>", videos=[clip(1), clip(2)], images=[clip(1)[0]])
    behind = "".join(tokens)
    expected = f"a{'<video>' * 12}{behind}b{'<image>' * 26}c{'<video>' * 24}{behind}"
    assert processor.tokenizer.decode(made["input_ids"][0]) == expected


def test_a_batch(processor: LlavaVideoProcessor) -> None:
    texts = ["one <video> and <video>", "none", "a picture <image>", "<video>"]
    videos = [clip(3, 1), clip(1, 2), clip(2, 3, 80, 20)]
    picture = Image.fromarray(clip(1, 4, 33, 44)[0])
    made = processor(text=texts, videos=videos, images=[picture], padding=True)
    assert set(made) == {
        *("input_ids", "attention_mask", "pixel_values_videos", "video_frame_counts", "pixel_values", "image_sizes")
    }
    assert made["video_frame_counts"].tolist() == [3, 1, 2]
    assert made["pixel_values_videos"].shape == (3, 3, 3, 70, 70)
    for row, video in zip(made["pixel_values_videos"], videos, strict=True):
        assert torch.equal(row[: len(video)], processor.pixels(video))
        assert row[len(video) :].abs().sum() == 0
    assert made["image_sizes"].tolist() == [[33, 44]]
    assert torch.equal(made["pixel_values"][0], processor.pixels(np.asarray(picture)[None]))
    nested = processor(
        text=texts, videos=[videos[:2], [], [], videos[2:]], images=[[], [], [picture], []], padding=True
    )
    assert all(torch.equal(made[name], nested[name]) for name in made)
    alone = [
        processor(text=texts[0], videos=videos[:2]),
        processor(text=texts[1]),
        processor(text=texts[2], images=[picture]),
        processor(text=texts[3], videos=videos[2:]),
    ]
    assert set(alone[1]) == {"input_ids", "attention_mask"}
    for side in ("left", "right"):
        both = processor(text=texts, videos=videos, images=[picture], padding=True, padding_side=side)
        length = both["input_ids"].shape[1]
        for ids, mask, one in zip(both["input_ids"], both["attention_mask"], alone, strict=True):
            own = one["input_ids"][0]
            missing = length - len(own)
            where = slice(missing, None) if side == "left" else slice(0, len(own))
            assert torch.equal(ids[where], own)
            assert mask[where].all()
            assert mask.sum() == len(own)
            assert (ids[mask == 0] == processor.tokenizer.pad_token_id).all()
    widest = processor(text="a", padding="max_length", max_length=9)
    assert widest["attention_mask"].tolist() == [[1] + [0] * 8]
    assert processor(text=["a", "a<video>"], videos=[clip(1)], return_tensors=None)["input_ids"][0] == [
        processor.tokenizer.convert_tokens_to_ids("a")
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_cut_row_is_the_start_of_the_whole_one(processor: LlavaVideoProcessor, model: Any, side: str) -> None:
    """Ids and pixels fit each other at every length, and the model's logits are those of the whole row."""
    text, videos = "take <video> put <video> wash", [clip(2, 1), clip(1, 2)]
    whole = processor(text=text, videos=videos)
    with torch.no_grad():
        expected = model(**whole).logits[0]
    ids = whole["input_ids"][0].tolist()
    first = ids.index(processor.video_token_id)
    second = ids.index(processor.video_token_id, ids.index(processor.action_token_ids[0]))
    lengths = range(1, whole["input_ids"].shape[1] + 1)
    assert len(lengths) > 40
    counts = []
    for length in lengths:
        cut = processor(
            text=[text, "and"], videos=videos, truncation=True, max_length=length, padding=True, padding_side=side
        )
        own = cut["attention_mask"][0] == 1
        assert torch.equal(cut["input_ids"][0][own], whole["input_ids"][0, :length])
        counts.append(cut["video_frame_counts"].tolist() if "video_frame_counts" in cut else [])
        if length % 5 and length not in (first, first + 1, second, second + 1):
            continue  # the model itself is asked at some lengths only, and at those where a video begins
        positions = (cut["attention_mask"].cumsum(-1) - 1).clamp_min(0)
        with torch.no_grad():
            logits = model(**cut, position_ids=positions).logits[0][own]
        assert (logits - expected[:length]).abs().max() < 1e-4
    assert 0 < first < second
    assert counts == [[]] * first + [[2]] * (second - first) + [[2, 1]] * (len(ids) - second)


def test_an_image_may_be_cut_as_well(processor: LlavaVideoProcessor, model: Any) -> None:
    text, picture = "take <image> put", clip(1)[0]
    whole = processor(text=text, images=[picture])
    ids = whole["input_ids"][0]
    first = ids.tolist().index(processor.image_token_id)
    with torch.no_grad():
        expected = model(**whole).logits[0]
    for length in range(1, len(ids) + 1):
        cut = processor(text=text, images=[picture], truncation=True, max_length=length)
        assert torch.equal(cut["input_ids"][0], ids[:length])
        assert ("pixel_values" in cut) == (length > first)
        with torch.no_grad():
            assert (model(**cut).logits[0] - expected[:length]).abs().max() < 1e-4


def test_padding_changes_no_score(processor: LlavaVideoProcessor, model: Any) -> None:
    texts, videos = ["take the <video> now", "<video>"], [clip(2, 1), clip(3, 2)]
    for side in ("left", "right"):
        both = processor(text=texts, videos=videos, padding=True, padding_side=side)
        positions = (both["attention_mask"].cumsum(-1) - 1).clamp_min(0)
        with torch.no_grad():
            logits = model(**both, position_ids=positions).logits
        for row, (text, video) in enumerate(zip(texts, videos, strict=True)):
            with torch.no_grad():
                alone = model(**processor(text=text, videos=[video])).logits[0]
            assert (logits[row][both["attention_mask"][row] == 1] - alone).abs().max() < 1e-4


def test_saved_and_loaded_again(processor: LlavaVideoProcessor, tmp_path: Path) -> None:
    processor.save_pretrained(tmp_path)
    again = LlavaVideoProcessor.from_pretrained(tmp_path)
    stored = json.loads((tmp_path / "processor_config.json").read_text())
    assert stored["processor_class"] == "LlavaVideoProcessor"
    assert type(AutoProcessor.from_pretrained(tmp_path)) is LlavaVideoProcessor
    assert (stored["frame_tokens"], stored["end_tokens"], stored["image_tokens"]) == (12, 0, 26)
    assert stored["action_tokens"] == ["<|action|>"]
    made = [item(text="a<video>", videos=[clip(2)]) for item in (processor, again)]
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert again.chat_template == processor.chat_template
    assert again.to_dict() == processor.to_dict()


def test_the_tiny_folder_stores_what_its_configuration_says(processor: LlavaVideoProcessor, folder: Path) -> None:
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    from_config = LlavaVideoProcessor.for_config(config, tokenizer)
    names = ("frame_tokens", "end_tokens", "image_tokens", "action_tokens", "chat_template", "action_token_ids")
    assert [getattr(from_config, name) for name in names] == [getattr(processor, name) for name in names]
    assert torch.equal(from_config.pixels(clip(2)), processor.pixels(clip(2)))


def test_chat_with_its_frames(processor: LlavaVideoProcessor) -> None:
    messages = [{"role": "user", "content": [{"type": "video", "video": clip(2)}, {"type": "text", "text": "Which?"}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<video>\nWhich?<|im_end|>\n<|im_start|>assistant\n"
    )
    made = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
    expected = processor(text=text, videos=[clip(2)])
    assert all(torch.equal(made[name], expected[name]) for name in expected)


def test_generation_takes_what_the_processor_makes(processor: LlavaVideoProcessor, model: Any) -> None:
    texts, videos = ["take <video> put", "<video>"], [clip(2, 1), clip(3, 2)]
    both = processor(text=texts, videos=videos, padding=True, padding_side="left")
    written = model.generate(**both, max_new_tokens=5, do_sample=False)[:, both["input_ids"].shape[1] :]
    for row, (text, video) in enumerate(zip(texts, videos, strict=True)):
        one = processor(text=text, videos=[video])
        alone = model.generate(**one, max_new_tokens=5, do_sample=False)[0, one["input_ids"].shape[1] :]
        assert written[row].tolist() == alone.tolist()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"text": "<video>"}, "the texts have 1 '<video>' placeholders, but 0 were given"),
        ({"text": "<video>", "videos": [clip(1)] * 2}, "have 1 '<video>' placeholders, but 2 were given"),
        ({"text": ["<video>", "a"], "videos": [[], [clip(1)]]}, r"have \[1, 0\] '<video>' .* \[0, 1\] of them"),
        ({"text": "<image>"}, "the texts have 1 '<image>' placeholders, but 0"),
        ({"text": "<video>", "videos": [clip(1)[:0]]}, r"a video of uint8 \[0, 40, 60, 3\]\n.*none empty"),
        ({"text": "<video>", "videos": [clip(1)[0]]}, r"a video of uint8 \[40, 60, 3\]"),
        ({"text": "<video>", "videos": [clip(1) / 255]}, r"a video of float64 \[1, 40, 60, 3\]"),
        ({"text": "<video>", "videos": [clip(1)[..., :2]]}, r"a video of uint8 \[1, 40, 60, 2\]"),
        ({"text": "<image>", "images": [clip(1)]}, r"an image of uint8 \[1, 40, 60, 3\]"),
        ({"text": "<video><|action|>", "videos": [clip(1)]}, r"the text contains '<\|action\|>'"),
        ({"text": ["a", "a<video>"], "videos": [clip(1)]}, r"rows of \[1, 14\] tokens are no tensor"),
        ({"text": "a", "truncation": True}, "need a max_length"),
        ({"text": "a", "padding": "max_length"}, "need a max_length"),
        ({"text": "a", "padding": "longst"}, "padding is 'longst'"),
        ({"text": "a", "padding_side": "top"}, "padding_side is 'top'"),
        ({"text": "a", "truncation": True, "max_length": 0}, "max_length is 0"),
        ({"videos": [clip(1)]}, "no text"),
        ({"text": "a", "audio": [[0.0]]}, "cannot hear"),
    ],
)
def test_bad_input(processor: LlavaVideoProcessor, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        processor(**inputs)


def test_a_tokenizer_of_another_model_is_refused(processor: LlavaVideoProcessor) -> None:
    with pytest.raises(InputError, match="the tokenizer has no token '<video>'"):
        LlavaVideoProcessor(processor.image_processor, build_tokenizer(("<image>",)))
    config, _ = made_for()
    with pytest.raises(InputError, match="video_token_id is 516 in the configuration and 515 in the tokenizer"):
        LlavaVideoProcessor.for_config(config, build_tokenizer(("<video>", "<image>")))
    settings = {"size": {"height": 84, "width": 84}}
    with pytest.raises(InputError, match="frames of 84 x 84, the tower reads 70 x 70"):
        LlavaVideoProcessor.for_config(config, build_tokenizer(("<image>", "<video>")), image_settings=settings)


def test_tokens_added_to_a_tokenizer(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    first = len(tokenizer)
    added = add_visual_tokens(tokenizer, THREE)
    assert added == dict(zip(("<image>", "<video>", *THREE), range(first, first + 5), strict=True))
    assert add_visual_tokens(tokenizer, THREE) == added
    assert len(tokenizer) == first + 5
    tokenizer.save_pretrained(tmp_path)
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert one("a <video><|noun|>\n")["input_ids"][-3:-1] == [added["<video>"], added["<|noun|>"]]
        assert one.decode([added["<video>"], added["<|verb|>"]], skip_special_tokens=True) == ""
