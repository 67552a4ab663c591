"""LLaVA-Video checkpoints behind the backend: layout, scores against the model asked directly, refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from helpers.asking import make_frames, make_query, scores_of
from llavaction.backends.base import Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.base.errors import InputError
from llavaction.models.llava_video import LlavaVideoProcessor
from llavaction.testing.tiny import write_tiny

Make = Callable[..., HuggingFaceBackend]
ACTION = {"supervision": "one_token", "token_ids": [514], "verbs": 14, "nouns": 22, "actions": 150}
OPENING = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"


@pytest.fixture(scope="module")
def direct(tiny: dict[str, Path]) -> tuple[Any, LlavaVideoProcessor]:
    """The model and its processor, without the backend."""
    folder = tiny["llava_video"]
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    return model, LlavaVideoProcessor.from_pretrained(folder)


def _inputs(processor: LlavaVideoProcessor, query: Query) -> Any:
    text = f"{OPENING}<video>\n{query.prompt}<|im_end|>\n<|im_start|>assistant\n"
    return processor(text=text, videos=[query.clip.frames])


def test_the_layout_of_a_clip(make: Make) -> None:
    backend = make("llava_video")
    query = make_query(0, frames=make_frames(0, 4))
    prepared = backend.inputs(query)
    assert prepared.visual == 4 * 3 * (3 + 1)  # 5 x 5 patches pooled to 3 x 3, a newline after each row
    text = backend.checkpoint.tokenizer.decode(prepared.ids)
    video = "<video>" * 48 + "<|action|>"
    assert text == f"{OPENING}{video}\n{query.prompt}<|im_end|>\n<|im_start|>assistant\n"
    assert prepared.tensors["pixel_values_videos"].shape == (1, 4, 3, 70, 70)
    with torch.inference_mode():
        features = backend.model.get_video_features(**prepared.tensors).pooler_output
    assert [len(item) for item in features] == [48]


def test_scores_are_those_of_the_model_asked_directly(make: Make, direct: tuple[Any, LlavaVideoProcessor]) -> None:
    model, processor = direct
    queries = [make_query(i, options, make_frames(i, frames)) for i, (options, frames) in enumerate([(5, 4), (26, 7)])]
    for query, scores in zip(queries, scores_of(make("llava_video"), queries), strict=True):
        inputs = _inputs(processor, query)
        assert tuple(inputs["input_ids"][0].tolist()) == make("llava_video").inputs(query).ids
        with torch.no_grad():
            logits = model(**inputs).logits[0, -1].double()
        letters = [processor.tokenizer.convert_tokens_to_ids(chr(ord("A") + i)) for i in range(len(scores))]
        assert np.abs(scores - logits[letters].log_softmax(-1).numpy()).max() < 1e-5


def test_the_action_token_is_read(make: Make, tiny: dict[str, Path], tmp_path: Path) -> None:
    query = make_query(0, frames=make_frames(0, 4))
    scores = scores_of(make("llava_video"), [query])[0]
    backend = HuggingFaceBackend(HuggingFaceConfig(path=tiny["llava_video"], frames=4, device="cpu"))
    with torch.no_grad():
        backend.model.get_input_embeddings().action_token.weight.mul_(-1)
    assert np.abs(scores_of(backend, [query])[0] - scores).max() > 1e-4


def test_same_choices_alone_and_in_fours(make: Make) -> None:
    backend = make("llava_video", shared_passes=True)
    queries = [
        make_query(i, 3 + i, make_frames(i, 4 + i % 3, 60 + i, 90), words="What happens" + " now" * i + "?")
        for i in range(8)
    ]
    alone = [scores_of(backend, [query])[0] for query in queries]
    fours = [scores for start in (0, 4) for scores in scores_of(backend, queries[start : start + 4])]
    for one, other in zip(alone, fours, strict=True):
        assert one.argmax() == other.argmax()
        assert np.abs(one - other).max() < 1e-4
    assert len({int(scores.argmax()) for scores in alone}) > 1


def test_greedy_text_is_that_of_the_model_asked_directly(make: Make, direct: tuple[Any, LlavaVideoProcessor]) -> None:
    model, processor = direct
    query = make_query(0, frames=make_frames(0, 4))
    inputs = _inputs(processor, query)
    written = model.generate(**inputs, max_new_tokens=6, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    expected = processor.tokenizer.decode(written, skip_special_tokens=True).strip()
    assert make("llava_video", max_new_tokens=6).generate([query]) == [expected]
    assert expected


def test_without_video_there_is_no_action_token(make: Make) -> None:
    backend = make("llava_video", frames=0)
    prepared = backend.inputs(make_query(0))
    assert backend.checkpoint.token("video_token_id") == "<video>"
    assert not {515, 516, 517} & set(prepared.ids)
    assert backend.checkpoint.tokenizer.convert_ids_to_tokens([515, 516, 517]) == ["<image>", "<video>", "<|action|>"]


def test_no_frames_and_a_prompt_beyond_the_context(make: Make, tmp_path: Path) -> None:
    for frames in (None, np.zeros((0, 8, 8, 3), np.uint8)):
        with pytest.raises(InputError, match="question 'q5': no frames, but this backend looks at 4"):
            scores_of(make("llava_video"), [make_query(5, frames=frames)])
    backend = HuggingFaceBackend(HuggingFaceConfig(path=write_tiny(tmp_path, "llava_video", context=128), device="cpu"))
    with pytest.raises(InputError, match=r"'q0': the prompt takes \d{3} tokens \(48 of them visual\), .*holds 128"):
        scores_of(backend, [make_query(0, 26, make_frames(0, 4))])


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("preprocessor_config.json", {"size": {"height": 84, "width": 84}}, "frames of 84 x 84, the tower reads 70"),
        ("config.json", {"video_token_index": 515, "image_token_index": 516}, "video_token_id is 515 in the config"),
        ("config.json", {"action": ACTION}, r"action_token_ids is \[514\] in the configuration and \[517\] in the tok"),
    ],
)
def test_a_folder_whose_parts_do_not_match(
    make: Make, tiny: dict[str, Path], tmp_path: Path, file: str, values: dict[str, Any], message: str
) -> None:
    folder = Path(shutil.copytree(tiny["llava_video"], tmp_path / "other"))
    stored = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(stored | values))
    with pytest.raises(InputError, match=message) as caught:
        make("llava_video", path=folder)
    assert str(folder) in str(caught.value)
