"""Scores, text and states of real (tiny) models, against slow computations written out here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from helpers.asking import make_frames, make_query, scores_of
from llavaction.backends.base import Backend, Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.base.errors import InputError
from llavaction.testing.tiny import FAMILIES, write_tiny
from llavaction.video.decoded import DecodedClip

Make = Callable[..., HuggingFaceBackend]


class Slow:
    """One question at a time, nothing padded, nothing shared with the backend's code."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def inputs(self, query: Query) -> dict[str, Any]:
        assert query.clip is not None
        frames = query.clip.frames
        if self.model.config.model_type == "llava_onevision":
            pictures = torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())
            scaled = torch.nn.functional.interpolate(pictures, (70, 70), mode="bicubic", antialias=True)
            pixels = ((scaled.double() / 255 - 0.5) / 0.5).float().numpy()
            visual = "<video>" * (len(frames) * 9 + 1) + "\n"
            more: dict[str, Any] = {"pixel_values_videos": torch.from_numpy(pixels)[None]}
        else:  # qwen2_5_vl, frames of 56 x 84: 4 x 6 patches, 2 x 3 tokens
            assert frames.shape[1:3] == (56, 84)
            count = len(frames)
            values = (frames.astype(np.float32).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
            rows = [
                values[t : t + 2, :, y : y + 14, x : x + 14].transpose(1, 0, 2, 3).ravel()
                for t in range(0, count, 2)
                for top in range(0, 56, 28)
                for left in range(0, 84, 28)
                for y in (top, top + 14)
                for x in (left, left + 14)
            ]
            visual = "<|vision_start|>" + "<|video_pad|>" * (count // 2 * 6) + "<|vision_end|>"
            more = {
                "pixel_values_videos": torch.from_numpy(np.stack(rows)),
                "video_grid_thw": torch.tensor([[count // 2, 4, 6]]),
                "second_per_grid_ts": torch.tensor([2 * query.clip.duration / count]),
            }
        text = f"<|im_start|>user\n{visual}{query.prompt}<|im_end|>\n<|im_start|>assistant\n"
        ids = self.tokenizer(text, return_tensors="pt")["input_ids"]
        if "video_grid_thw" in more:
            more["mm_token_type_ids"] = 2 * (ids == self.model.config.video_token_id).int()
        return {"input_ids": ids, **more}

    def scores(self, query: Query) -> np.ndarray:
        with torch.no_grad():
            logits = self.model(**self.inputs(query)).logits[0, -1].double()
        vocabulary = self.tokenizer.get_vocab()
        letters = [vocabulary[chr(ord("A") + i)] for i in range(len(query.options))]
        probabilities = torch.softmax(logits, -1)[letters]
        return np.log((probabilities / probabilities.sum()).numpy())


@pytest.fixture(scope="module")
def slow(tiny: dict[str, Path]) -> dict[str, Slow]:
    return {family: Slow(tiny[family]) for family in ("llava_onevision", "qwen2_5_vl")}


@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_5_vl"])
@pytest.mark.parametrize("shared_passes", [False, True])
def test_scores_equal_a_slow_computation(make: Make, slow: dict[str, Slow], family: str, shared_passes: bool) -> None:
    queries = [
        make_query(i, options, make_frames(i, frames, 56, 84), words="What happens" + " now" * i + "?")
        for i, (options, frames) in enumerate([(5, 4), (2, 4), (26, 2), (9, 8)])
    ]
    scores = scores_of(make(family, shared_passes=shared_passes), queries)
    for query, ours in zip(queries, scores, strict=True):
        assert ours.dtype == np.float64
        assert ours.shape == (len(query.options),)
        assert np.exp(ours).sum() == pytest.approx(1, abs=1e-12)
        assert np.abs(ours - slow[family].scores(query)).max() < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_passes_change_no_choice(make: Make, mixed: list[Query], family: str) -> None:
    backend = make(family, shared_passes=True)
    together = scores_of(backend, mixed)
    for query, ours in zip(mixed, together, strict=True):
        alone = scores_of(backend, [query])[0]
        assert np.abs(alone - ours).max() < 1e-4
        assert alone.argmax() == ours.argmax()
    assert [s.tolist() for s in scores_of(backend, mixed[::-1])[::-1]] == [
        pytest.approx(s.tolist(), abs=1e-4) for s in together
    ]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_by_default_company_changes_not_a_bit(make: Make, mixed: list[Query], family: str, dtype: str) -> None:
    backend = make(family, dtype=dtype)
    together = scores_of(backend, mixed)
    for query, ours in zip(mixed, together, strict=True):
        assert scores_of(backend, [query])[0].tolist() == ours.tolist()
        assert np.isfinite(ours).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_video_is_seen(make: Make, family: str) -> None:
    frames = make_frames(0, 4)
    query, backend = make_query(0, frames=frames), make(family)
    scores = scores_of(backend, [query])[0]
    for other in (make_frames(5, 4), frames[::-1].copy(), 255 - frames):  # others, backwards, inverted
        assert np.abs(scores_of(backend, [make_query(0, frames=other)])[0] - scores).max() > 1e-2


def test_real_clips_same_choices_at_batch_one_and_four(make: Make, shared: Path) -> None:
    queries = []
    for path in sorted((shared / "data/clips/derived_epic_tiles").glob("*.mp4")):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        for start in (0, 100):
            picked = np.stack(frames[start : start + 200 : 25])
            queries.append(make_query(len(queries), 5, picked, words="What is happening" + "?" * len(queries)))
    assert len(queries) >= 4
    for family in ("llava_onevision", "qwen2_5_vl"):
        backend = make(family, shared_passes=True, frames=8)
        one = [scores_of(backend, [query])[0] for query in queries]
        four = [s for i in range(0, len(queries), 4) for s in scores_of(backend, queries[i : i + 4])]
        assert [s.argmax() for s in one] == [s.argmax() for s in four]
        assert max(np.abs(a - b).max() for a, b in zip(one, four, strict=True)) < 1e-4


def test_generation_is_greedy_step_by_step(make: Make, slow: dict[str, Slow]) -> None:
    query = make_query(0, frames=make_frames(0, 4))
    reference = slow["llava_onevision"]
    inputs = reference.inputs(query)
    written: list[int] = []
    for _ in range(8):
        with torch.no_grad():
            token = int(reference.model(**inputs).logits[0, -1].argmax())
        if token == reference.tokenizer.eos_token_id:
            break
        written.append(token)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], 1)
    expected = reference.tokenizer.decode(written, skip_special_tokens=True).strip()
    assert make("llava_onevision", max_new_tokens=8).generate([query]) == [expected]
    assert expected


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_in_company_equals_generation_alone(make: Make, mixed: list[Query], family: str) -> None:
    backend = make(family, shared_passes=True, max_new_tokens=6)
    assert backend.generate(mixed) == [backend.generate([query])[0] for query in mixed]


def test_stored_sampling_settings_do_not_matter(make: Make, tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny["llava_onevision"], tmp_path / "sampling"))
    stored = json.loads((folder / "generation_config.json").read_text())
    sampling = {
        "do_sample": True,
        "temperature": 9.0,
        "top_k": 50,
        "repetition_penalty": 3.0,
        "no_repeat_ngram_size": 1,
    }
    (folder / "generation_config.json").write_text(json.dumps(stored | sampling))
    query = make_query(3, frames=make_frames(3, 4))
    plain = make("llava_onevision", max_new_tokens=12).generate([query])
    assert make("llava_onevision", max_new_tokens=12, path=folder).generate([query]) == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_without_video(make: Make, family: str) -> None:
    backend = make(family, frames=0)
    assert backend.needs_frames == 0
    query = make_query(0)
    scores = scores_of(backend, [query])[0]
    assert scores_of(backend, [make_query(0, frames=make_frames(0, 4))])[0].tolist() == scores.tolist()
    assert backend.inputs(query).visual == 0


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (None, "no frames, but this backend looks at 4"),
        (np.zeros((0, 8, 8, 3), np.uint8), "no frames"),
        (np.zeros((2, 8, 8, 3), np.float32), "float32"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"expected uint8 \[frames, height, width, 3\]"),
        (np.zeros((2, 0, 8, 3), np.uint8), "expected uint8"),
    ],
)
def test_frames_that_will_not_do(make: Make, frames: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"question 'q5'.*{message}"):
        scores_of(make(), [make_query(5, frames=frames)])


def test_times_must_match_the_frames(make: Make) -> None:
    query = replace(make_query(0), clip=DecodedClip(make_frames(0, 3), np.zeros(2), 2.0))
    with pytest.raises(InputError, match="3 frames but 2 times"):
        make().inputs(query)


def test_a_prompt_longer_than_the_context_names_both_lengths(tmp_path: Path) -> None:
    backend = HuggingFaceBackend(HuggingFaceConfig(path=write_tiny(tmp_path, context=128), device="cpu"))
    query = make_query(0, 26, make_frames(0, 4))
    with pytest.raises(InputError, match=r"'q0': the prompt takes \d{3} tokens \(37 of them visual\), .*holds 128"):
        scores_of(backend, [query])
    with pytest.raises(InputError, match=r"and 32 for the answer"):
        backend.generate([make_query(0, 2, make_frames(0, 4), words="x " * 20)])


def test_identity_and_settings(make: Make, tiny: dict[str, Path]) -> None:
    backend = make()
    assert isinstance(backend, Backend)
    assert (backend.name, backend.needs_frames) == ("transformers:llava_onevision", 4)
    assert backend.decision_rule == "option letters"
    settings = json.loads(json.dumps(backend.settings))
    assert (settings["dtype"], settings["device"], settings["frames"]) == ("float32", "cpu", 4)
    assert settings["fingerprint"].keys() >= {"weights", "configuration", "tokenizer", "chat template"}
    assert str(tiny["llava_onevision"]) not in json.dumps(settings)


def test_missing_device_and_wrong_options(tiny: dict[str, Path]) -> None:
    path = tiny["llava_onevision"]
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        HuggingFaceBackend(HuggingFaceConfig(path=path, device="gpu"))
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="PyTorch sees no GPU"):
            HuggingFaceBackend(HuggingFaceConfig(path=path, device="cuda"))
    with pytest.raises(InputError, match="did you mean 'frames'"):
        HuggingFaceConfig.from_mapping({"path": path, "frame": 4})


def test_tower_and_processor_must_agree(make: Make, tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny["llava_onevision"], tmp_path / "other"))
    stored = json.loads((folder / "video_preprocessor_config.json").read_text())
    (folder / "video_preprocessor_config.json").write_text(json.dumps(stored | {"size": {"height": 84, "width": 84}}))
    with pytest.raises(InputError, match="frames of 84 x 84, its tower reads 70 x 70"):
        make(path=folder)
