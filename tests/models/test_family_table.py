"""The table of families says what transformers can load, and what its processors need."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import transformers
from transformers import AutoProcessor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING_NAMES

from llavaction.base.errors import InputError
from llavaction.models.checkpoint import open_checkpoint
from llavaction.models.family_table import FAMILIES, remark_on_images, table
from llavaction.models.registry import FAMILIES as ADAPTERS
from llavaction.models.registry import register
from llavaction.testing.tiny import write_tiny

DOCS = Path(__file__).parents[2] / "docs" / "families.md"


def of(clip_as: str) -> set[str]:
    return {kind for kind, facts in FAMILIES.items() if facts.clip_as == clip_as}


def test_the_document_holds_the_table() -> None:
    assert table() in DOCS.read_text(encoding="utf-8")
    assert table().count("\n") == len(FAMILIES) + 2


def test_what_is_shown_as_video_has_an_adapter() -> None:
    assert of("video") == set(ADAPTERS)


@pytest.mark.skipif(not transformers.__version__.startswith("5.23"), reason="the table is for transformers 5.23")
def test_it_agrees_with_the_librarys_own_tables() -> None:
    loadable = {*MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, *register()}
    assert of("video") | of("images") <= loadable
    assert not of("refused") & loadable
    for kind in of("images"):
        facts = FAMILIES[kind]
        assert facts.takes_video == (kind in VIDEO_PROCESSOR_MAPPING_NAMES), kind
        with_pillow = "pil" in IMAGE_PROCESSOR_MAPPING_NAMES[kind]
        assert facts.needs_torchvision == (facts.takes_video or not with_pillow), kind


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="is about installations without torchvision")
@pytest.mark.parametrize(("family", "loads"), [("llava", True), ("qwen2_5_vl", False), ("internvl", False)])
def test_official_processors_of_videos_need_torchvision(tmp_path: Path, family: str, loads: bool) -> None:
    folder = write_tiny(tmp_path, family)
    if loads:
        assert AutoProcessor.from_pretrained(folder).image_processor is not None
        return
    with pytest.raises(ImportError, match=r"(?i)torchvision"):
        AutoProcessor.from_pretrained(folder)


@pytest.mark.parametrize("kind", sorted(of("refused") - {"llava_qwen"}))
def test_the_error_names_what_to_use_instead(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(InputError, match=f"model_type '{kind}' .* is none that AutoModelForImageTextToText") as caught:
        open_checkpoint(tmp_path)
    assert caught.value.hint == f"use {FAMILIES[kind].remark}"
    assert kind in CONFIG_MAPPING_NAMES or "omni" not in kind


def test_video_models_that_are_shown_images_are_named() -> None:
    def said(**config: object) -> str | None:
        return remark_on_images(SimpleNamespace(**config))

    assert "models of type 'smolvlm' take videos, but are shown every frame" in str(said(model_type="smolvlm"))
    assert said(model_type="gemma3") is None
    assert said(model_type="a_new_one", video_token_id=7) is not None
    assert said(model_type="a_new_one") is None
