from __future__ import annotations

from pathlib import Path

import pytest

from kitchen_mini import weights as bundled
from llavaction.backends.registry import make_backend, parse_spec
from llavaction.base.errors import InputError


def test_a_package_without_weights_says_how_to_train_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundled, "_HERE", tmp_path)
    with pytest.raises(InputError, match=r"config\.json is missing in weights/mini") as caught:
        parse_spec("bundled")
    assert "llavaction train --config kitchen-mini" in str(caught.value)
    with pytest.raises(InputError, match="no bundled specialist") as caught:
        bundled.specialist_folder()
    assert "llavaction specialist train" in str(caught.value)
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"model\.safetensors is missing"):
        make_backend("bundled")


def test_complete_folders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundled, "_HERE", tmp_path)
    for name in ("mini", "specialist"):
        (tmp_path / name).mkdir()
        for file in ("config.json", "model.safetensors"):
            (tmp_path / name / file).write_bytes(b"{}")
    assert parse_spec("bundled") == ("transformers", str(tmp_path / "mini"))
    assert bundled.specialist_folder() == tmp_path / "specialist"


def test_a_misspelt_name_is_suggested():
    with pytest.raises(InputError, match="did you mean 'bundled'"):
        parse_spec("bundeld")
