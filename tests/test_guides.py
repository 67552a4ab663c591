"""The code of the guides is taken from them and run: whoever copies it gets what the guide promises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from helpers.asking import make_frames, make_query, scores_of
from helpers.kitchenette import film_colours, settings, write_mixture
from llavaction import build_benchmark, datasets
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.base.errors import InputError
from llavaction.datasets import registry as dataset_registry
from llavaction.evaluation.benchmarks import open_benchmark
from llavaction.models import families, family_table, registry
from llavaction.testing import tiny_families
from llavaction.testing.tiny import write_tiny
from llavaction.training.config import TrainConfig
from llavaction.training.run import train

DOCS = Path(__file__).parents[1] / "docs"


def code_of(guide: str) -> list[str]:
    """The Python blocks of a guide."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / guide).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def entries(block: str, module: Any) -> dict[str, Any]:
    """The entries of a registry, as they would read in their module."""
    return dict(eval(f"{{{block}}}", vars(module)))


def test_the_models_page_loads_a_model_and_gives_another_an_action_token(tmp_path: Path) -> None:
    load, add = code_of("model.md")
    known: dict[str, Any] = {}
    exec(load.replace("MODEL", str(write_tiny(tmp_path / "model", "llava_video"))), known)
    assert known["processor"].tokenizer is not None
    exec(add.replace("BACKBONE", str(write_tiny(tmp_path / "backbone", "qwen3_vl"))), known)
    assert known["model"].action.sizes == (97, 300, 3806) and known["model"].verb_head.out_features == 97


def test_the_new_dataset_becomes_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, line = code_of("add-a-dataset.md")
    (tmp_path / "event_list.py").write_text(file)
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    monkeypatch.setattr(dataset_registry, "DATASETS", entries(line, dataset_registry) | dataset_registry.DATASETS)
    labels = ("groom", "rear", "dig", "walk")
    events = [
        {"video": f"m{place % 6}", "from": place, "to": place + 0.5, "what": labels[place * 7 % 4], "split": split}
        for place, split in enumerate(["train"] * 30 + ["validation"] * 30)
    ]
    (tmp_path / "mice").mkdir()
    (tmp_path / "mice" / "events.json").write_text(json.dumps(events))
    made = build_benchmark(tmp_path / "mice", "validation", options=3, miner="random")
    assert (made.card.name, len(made.questions), list(made.card.sources)) == ("mice-MQA", 30, ["events.json"])
    first = made.questions[0]
    assert first.options[first.answer].text == labels[30 * 7 % 4]
    with pytest.raises(InputError, match=r"(?s)has no split 'test'.*there are train, validation"):
        build_benchmark(tmp_path / "mice", "test", options=3, miner="random")


def test_the_quiz_is_read_as_it_is_described(tmp_path: Path) -> None:
    guide = (DOCS / "add-a-benchmark.md").read_text(encoding="utf-8")
    (tmp_path / "quiz.yaml").write_text(guide.partition("```yaml\n")[2].partition("```")[0])
    rows = ("qid,film,from,to,text,a,b,c,d,right", "q1,P01,1,2.5,What is washed?,plate,cup,pan,lid,C")
    (tmp_path / "questions.csv").write_text("\n".join(rows) + "\n")
    (question,) = open_benchmark(tmp_path / "quiz.yaml").questions
    assert (question.question_id, question.clip.stop, question.options[question.answer].text) == ("q1", 2.5, "pan")


@pytest.fixture
def new_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The model type that add-a-model.md adds, added as the guide says."""
    file, line, row, tiny = code_of("add-a-model.md")
    (tmp_path / "llava_next_video.py").write_text(file)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    for module, block in ((registry, line), (family_table, row), (tiny_families, tiny)):
        ((name, value),) = entries(block, module).items()
        monkeypatch.setitem(module.FAMILIES, name, value)
    assert name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    return name


def backend(folder: Path) -> HuggingFaceBackend:
    return HuggingFaceBackend(HuggingFaceConfig(path=folder, frames=4, device="cpu"))


def test_the_new_model_takes_a_clip_as_a_video(new_family: str, tmp_path: Path) -> None:
    asked = backend(write_tiny(tmp_path / "model", new_family))
    assert asked.family.kind == "video" and asked.family.remark is None
    query = make_query(0, 5, make_frames(0, 4))
    inputs = asked.inputs(query)
    assert inputs.visual == inputs.ids.count(asked.checkpoint.config.video_token_id) == 4 * 2 * 2
    assert inputs.tensors["pixel_values_videos"].shape == (1, 4, 3, 70, 70)
    scores, others = (scores_of(asked, [make_query(0, 5, make_frames(seed, 4))])[0] for seed in (0, 1))
    assert np.abs(scores - others).max() > 1e-3  # it sees the clip
    together = scores_of(asked, [query, make_query(1, 3, make_frames(1, 4), words="And what is done at the end?")])
    assert together[0] == pytest.approx(scores, abs=1e-5)


def test_the_new_model_is_trained_with_an_action_token(new_family: str, tmp_path: Path) -> None:
    film_colours(tmp_path / "videos")
    write_mixture(tmp_path / "records.jsonl", texts=0)
    heads = {"verbs": 3, "nouns": 3, "actions": 3}
    recipe = settings(tmp_path, model=f"tiny:{new_family}", action=heads, micro_batch=1, steps=8)
    steps = [line for line in train(TrainConfig.from_mapping(recipe)).metrics if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert steps[-1]["lm_loss"] < steps[0]["lm_loss"] - 0.5 and all(line["action_loss"] > 0 for line in steps)
    asked = backend(tmp_path / "run" / "model")
    assert asked.checkpoint.config.model_type == f"{new_family}_action"
    ids = asked.inputs(make_query(0, 5, make_frames(0, 4))).ids
    last_visual = len(ids) - 1 - ids[::-1].index(asked.checkpoint.config.video_token_id)
    assert ids[last_visual + 1] == asked.model.action.token_ids[0]
