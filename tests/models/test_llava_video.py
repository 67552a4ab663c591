"""LLaVA-Video: what a video becomes, and that batching, padding and truncation do not change it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from helpers.small_models import VIDEO, action_values, batch_of, row_of, small_config, small_model, small_video
from llavaction.base.errors import InputError
from llavaction.models.llava_video import LlavaVideoForConditionalGeneration, visual_spans

CLOSE = {"atol": 2e-5, "rtol": 0}


@pytest.mark.parametrize(
    ("position", "patches", "pooling", "expected"),
    [
        ("grid", 5, "bilinear", 4 * 3 * 4),
        ("frame", 5, "bilinear", 4 * 10),
        ("one_token", 5, "bilinear", 4 * 9 + 1),
        ("none", 5, "bilinear", 4 * 9),
        ("grid", 5, "average", 4 * 2 * 3),
        ("one_token", 5, "max", 4 * 4 + 1),
        ("grid", 4, "bilinear", 4 * 2 * 3),
        ("grid", 27, "bilinear", 4 * 14 * 15),
    ],
)
def test_token_counts_follow_the_published_rules(position: str, patches: int, pooling: str, expected: int) -> None:
    config = small_config(patches, newline_position=position, pooling=pooling)
    assert config.visual_tokens(4) == expected


@pytest.mark.parametrize("position", ["grid", "frame", "one_token", "none"])
def test_newlines_stand_where_the_position_says(position: str) -> None:
    model = small_model(newline_position=position).model
    model.image_newline.data.fill_(-1.0)
    grid = torch.arange(2 * 3 * 3).float().view(2, 3, 3, 1).expand(2, 3, 3, 48)
    values = model.with_newlines(grid)[:, 0].tolist()
    rows = [[float(r * 3 + c) for c in range(3)] for r in range(6)]
    flat = [item for row in rows for item in row]
    expected = {
        "grid": [item for row in rows for item in (*row, -1.0)],
        "frame": [*flat[:9], -1.0, *flat[9:], -1.0],
        "one_token": [*flat, -1.0],
        "none": flat,
    }[position]
    assert values == expected
    assert len(values) == model.config.visual_tokens(2)


@pytest.mark.parametrize("pooling", ["bilinear", "average", "max"])
def test_pooling_of_an_odd_grid(pooling: str) -> None:
    model = small_model(pooling=pooling).model
    row_plus_column = torch.arange(5.0)[:, None] + 10 * torch.arange(5.0)
    features = row_plus_column.reshape(1, 25, 1).expand(1, 25, 48)
    pooled = model.pool(features)[0, :, :, 0]
    # bilinear samples at 5/3 steps from 1/3, clamped to the grid; the others take 2 x 2 blocks and drop the fifth line
    steps = {"bilinear": torch.tensor([1 / 3, 2.0, 11 / 3]), "average": torch.tensor([0.5, 2.5])}.get(
        pooling, torch.tensor([1.0, 3.0])
    )
    torch.testing.assert_close(pooled, steps[:, None] + 10 * steps, atol=1e-5, rtol=0)


def test_features_leave_out_the_final_norm_of_the_tower() -> None:
    model = small_model().model
    frames = small_video(2, 1)
    hidden = model.vision_tower(frames, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(model.project(frames), model.multi_modal_projector(hidden))


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("position", ["grid", "one_token", "none"])
def test_rows_of_a_mixed_batch_equal_themselves_alone(position: str, left: bool) -> None:
    model = small_model(newline_position=position, action=action_values())
    config = model.config
    videos = [small_video(frames, frames) for frames in (3, 1, 2)]
    rows = [row_of(config, [1, 2], 3, [3], 1, [4]), row_of(config, [5, 6, 7]), row_of(config, [8], 2, [9, 10])]
    owned = [videos[:2], [], videos[2:]]
    inputs = batch_of(rows, videos, left)
    inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        together = model(**inputs).logits
        for number, (row, own) in enumerate(zip(rows, owned, strict=True)):
            alone = model(**batch_of([row], own)).logits[0]
            torch.testing.assert_close(together[number][inputs["attention_mask"][number].bool()], alone, **CLOSE)


def test_a_row_cut_inside_its_video_keeps_what_stands_before() -> None:
    model = small_model(action=action_values())
    row = row_of(model.config, [1, 2], 2, [3], 2, [4])
    videos = [small_video(2, 1), small_video(2, 2)]
    other = row_of(model.config, [5], 2, [6])
    cut = row[: len(row) - 8]
    assert cut[-1] == VIDEO
    with torch.no_grad():
        whole = model(**batch_of([row], videos)).logits[0]
        inputs = batch_of([cut, other], [*videos, small_video(2, 3)])
        shorter = model(**inputs).logits
        alone = model(**batch_of([other], [small_video(2, 3)])).logits[0]
    torch.testing.assert_close(shorter[0, : len(cut)], whole[: len(cut)], **CLOSE)
    torch.testing.assert_close(shorter[1, : len(other)], alone, **CLOSE)


def test_tokens_that_do_not_match_the_videos_are_refused() -> None:
    model = small_model()
    video, words = small_video(2, 1), [1, 2]
    tokens = model.config.visual_tokens(2)
    for row, problem in [
        ([*words, *[VIDEO] * (tokens - 1), 3], "1 fewer"),
        ([*words, *[VIDEO] * (tokens + 2), 3], "2 more"),
        (words, "1 videos but tokens for only 0"),
    ]:
        with pytest.raises(InputError, match=problem):
            model(**batch_of([row], [video]))
    with pytest.raises(InputError, match="video_frame_counts are \\[0\\]"):
        model(**batch_of([[*words, VIDEO]], [video]) | {"video_frame_counts": torch.tensor([0])})


def test_spans_of_several_rows() -> None:
    is_video = torch.tensor([[0, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]]).bool()
    spans = visual_spans(is_video, [2, 5, 3], torch.tensor([True, False, False]))
    assert spans == [(0, 0, 2, 2), (0, 2, 2, 5), (2, 0, 3, 3)]


def test_still_images_are_not_pooled_and_stand_beside_videos() -> None:
    model = small_model()
    config = model.config
    image, video = small_video(1, 5), small_video(2, 6)
    ids = [1, *[config.image_token_id] * config.image_tokens, 2, *[VIDEO] * config.visual_tokens(2), 3]
    inputs = batch_of([ids], [video]) | {"pixel_values": image}
    del inputs["labels"]
    with torch.no_grad():
        logits = model(**inputs).logits
        table = model.get_input_embeddings()
        embedded = torch.cat(
            [
                table(torch.tensor([1])),
                model.model.project(image)[0],
                model.model.image_newline[None],
                table(torch.tensor([2])),
                model.model.with_newlines(model.model.pool(model.model.project(video))),
                table(torch.tensor([3])),
            ]
        )
        by_hand = model.lm_head(model.model.language_model(inputs_embeds=embedded[None]).last_hidden_state)
    assert config.image_tokens == 26
    torch.testing.assert_close(logits, by_hand, **CLOSE)
    with pytest.raises(InputError, match="2 views per image"):
        model.model.get_image_features(torch.zeros(1, 2, 3, 70, 70))


def test_features_computed_before_give_the_same_logits() -> None:
    model = small_model(action=action_values())
    videos = [small_video(3, 1), small_video(2, 2)]
    inputs = batch_of([row_of(model.config, [1], 3, [2]), row_of(model.config, [1], 2, [2])], videos)
    with torch.no_grad():
        direct = model(**inputs).logits
        pixels, counts = inputs.pop("pixel_values_videos"), inputs.pop("video_frame_counts")
        features = model.get_video_features(pixels, counts)
        again = model(**inputs, mm_encoder_outputs={"video": features}).logits
    assert torch.equal(direct, again)


def test_generation_is_greedy_step_by_step() -> None:
    model = small_model(action=action_values("three_tokens"), attention="sdpa")
    rows = [row_of(model.config, [1, 2], 2, [3]), row_of(model.config, [4], 1, [5, 6, 7])]
    videos = [small_video(2, 1), small_video(1, 2)]
    inputs = batch_of(rows, videos, left=True)
    del inputs["labels"]
    made = model.generate(**inputs, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)[:, -6:]
    for number, (row, video) in enumerate(zip(rows, videos, strict=True)):
        ids = list(row)
        for _ in range(6):
            with torch.no_grad():
                ids.append(int(model(**batch_of([ids], [video])).logits[0, -1].argmax()))
        assert made[number].tolist() == ids[-6:]


@pytest.mark.parametrize("tied", [False, True])
def test_saving_and_loading_gives_the_same_bits(tmp_path: Path, tied: bool) -> None:
    model = small_model(
        action=action_values("three_tokens"), text={"tie_word_embeddings": tied}, newline_position="frame"
    )
    model.save_pretrained(tmp_path)
    inputs = batch_of([row_of(model.config, [1], 2, [2])], [small_video(2, 1)])
    for loaded in (
        LlavaVideoForConditionalGeneration.from_pretrained(tmp_path, attn_implementation="eager"),
        AutoModelForImageTextToText.from_pretrained(tmp_path, attn_implementation="eager", device_map="cpu"),
    ):
        assert type(loaded) is LlavaVideoForConditionalGeneration
        assert loaded.config.newline_position == "frame"
        with torch.no_grad():
            assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied


@pytest.mark.parametrize("first", ["transformers", "llavaction.models.llava_video"])
def test_auto_classes_know_the_checkpoint_in_either_order_of_import(tmp_path: Path, first: str) -> None:
    small_model(action=action_values()).save_pretrained(tmp_path)
    code = (
        f"import {first}; import llavaction.models.llava_video, transformers; from transformers import AutoConfig;"
        f"from transformers import AutoModelForImageTextToText as A; p = {str(tmp_path)!r};"
        "print(type(AutoConfig.from_pretrained(p)).__name__, type(A.from_pretrained(p)).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["LlavaVideoConfig", "LlavaVideoForConditionalGeneration"]


def test_parts_may_lie_on_disk(tmp_path: Path) -> None:
    model = small_model(action=action_values())
    model.save_pretrained(tmp_path / "model")
    inputs = batch_of([row_of(model.config, [1], 2, [2])], [small_video(2, 1)])
    places = {"model.vision_tower": "disk", "model.multi_modal_projector": "cpu", "model.language_model": "disk"}
    others = ("model.image_newline", "lm_head", "verb_head", "noun_head", "action_head")
    spread = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "model",
        attn_implementation="eager",
        device_map=places | dict.fromkeys(others, "cpu"),
        offload_folder=str(tmp_path / "offloaded"),
    )
    assert spread.model.vision_tower.post_layernorm.weight.is_meta
    with torch.no_grad():
        assert torch.equal(spread(**inputs).logits, model(**inputs).logits)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    model = small_model(action=action_values()).train()
    inputs = batch_of([row_of(model.config, [1, 2], 2, [3, 4])], [small_video(2, 1)])
    inputs["action_labels"] = torch.tensor([[1, 2, 3]])
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
        model.zero_grad()
        model(**inputs).loss.backward()
        gradients.append({name: item.grad.clone() for name, item in model.named_parameters() if item.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, atol=1e-6, rtol=1e-5)


def test_attention_kernels_agree() -> None:
    eager, sdpa = small_model("eager"), small_model("sdpa")
    inputs = batch_of([row_of(eager.config, [1], 3, [2]), [3, 4]], [small_video(3, 1)])
    keep = inputs["attention_mask"].bool()
    with torch.no_grad():
        torch.testing.assert_close(eager(**inputs).logits[keep], sdpa(**inputs).logits[keep], **CLOSE)
    assert eager._supports_flash_attn


def test_padding_tokens_do_not_matter() -> None:
    """Not even under left padding with its first token learnt: as published, padding is zero vectors."""
    model = small_model()
    inputs = batch_of([[1, 2, 3, 4, 5], [6, 7]], [], left=True)
    losses = []
    for padding in (0, 50):
        ids = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, padding)
        losses.append(float(model(**(inputs | {"input_ids": ids})).loss.detach()))
    assert losses[0] == losses[1]


def test_a_second_video_may_follow_in_a_conversation() -> None:
    model = small_model(attention="sdpa")
    first, second = row_of(model.config, [1, 2], 2, [3]), row_of(model.config, [4], 1, [5])
    videos = [small_video(2, 1), small_video(1, 2)]
    with torch.no_grad():
        whole = model(**batch_of([first + second], videos)).logits[0, len(first) :]
        begun = model(**batch_of([first], videos[:1]), use_cache=True)
        inputs = batch_of([second], videos[1:]) | {"past_key_values": begun.past_key_values}
        inputs["attention_mask"] = torch.ones(1, len(first) + len(second), dtype=torch.long)
        followed = model(**inputs).logits[0]
    torch.testing.assert_close(followed, whole, **CLOSE)


def test_generation_with_a_static_cache() -> None:
    model = small_model(attention="sdpa")
    inputs = batch_of([row_of(model.config, [1, 2], 2, [3])], [small_video(2, 1)])
    del inputs["labels"]
    options = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    expected = model.generate(**inputs, **options)
    assert torch.equal(model.generate(**inputs, **options, cache_implementation="static"), expected)


def test_inputs_of_the_wrong_kind_are_refused() -> None:
    model = small_model()
    row = row_of(model.config, [1], 1, [2])
    with pytest.raises(InputError, match=r"frames of \[3, 84, 84\]"):
        model(**batch_of([row], [small_video(1, 1, side=84)]))
    with pytest.raises(InputError, match="video tokens in the text but no video"):
        model(**batch_of([row], []))
