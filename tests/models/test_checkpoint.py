"""Checkpoint folders: what is wrong with them is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from llavaction.base.errors import InputError
from llavaction.models.checkpoint import fingerprint, load_model, open_checkpoint
from llavaction.testing.tiny import write_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def _load(folder: Path) -> object:
    return load_model(open_checkpoint(folder), device=torch.device("cpu"), dtype=torch.float32)


def test_opens_and_loads(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    assert checkpoint.context == 8192
    assert checkpoint.token("video_token_id") == "<video>"
    assert checkpoint.video_settings["size"] == {"height": 70, "width": 70}
    assert not _load(folder).training  # type: ignore[attr-defined]


def test_missing_folder_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        open_checkpoint(tmp_path / "absent")
    with pytest.raises(InputError, match=r"no config\.json"):
        open_checkpoint(tmp_path)


def test_text_model_is_refused(copy: Path) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    with pytest.raises(InputError, match="'qwen2' is not an image-text-to-text model"):
        open_checkpoint(copy)


def test_damaged_config_names_the_line(copy: Path) -> None:
    (copy / "config.json").write_text('{\n"model_type": "llava_onevision",\n oops}')
    with pytest.raises(InputError, match=r"config\.json:3: not JSON"):
        open_checkpoint(copy)


def test_pickled_weights_are_not_loaded(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no \.safetensors weights[\s\S]*never loaded"):
        open_checkpoint(copy)


def test_missing_tokenizer(copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(InputError, match="tokenizer cannot be loaded"):
        open_checkpoint(copy)


def test_truncated_weights(copy: Path) -> None:
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="weights cannot be loaded"):
        _load(copy)


def test_a_missing_tensor_is_never_made_up(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    name = next(name for name in tensors if name.endswith("image_newline"))
    del tensors[name]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors of the model.*image_newline"):
        _load(copy)


def test_token_id_beyond_the_tokenizer(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["video_token_index"] = 570
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="video_token_id is 570, but the tokenizer"):
        open_checkpoint(copy).token("video_token_id")


def test_chat_template_of_older_folders_is_found(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    assert open_checkpoint(copy).chat_template is None
    (copy / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert open_checkpoint(copy).chat_template == "{{ messages }}"


def test_settings_within_processor_config_go_first(copy: Path) -> None:
    stored = {"video_processor": {"size": {"height": 14, "width": 14}}, "image_processor": {"do_resize": True}}
    (copy / "processor_config.json").write_text(json.dumps(stored))
    checkpoint = open_checkpoint(copy)
    assert checkpoint.video_settings["size"]["height"] == 14
    (copy / "processor_config.json").unlink()
    (copy / "video_preprocessor_config.json").unlink()
    checkpoint = open_checkpoint(copy)
    assert checkpoint.video_settings == checkpoint.image_settings


def test_fingerprint_tells_weights_apart(copy: Path, folder: Path) -> None:
    assert fingerprint(copy) == fingerprint(folder)
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    assert fingerprint(copy) != fingerprint(folder)
