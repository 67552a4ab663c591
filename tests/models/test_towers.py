"""Vision towers: known by name, described in a file, or asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.published_checkpoints import tower_settings
from llavaction.base.errors import InputError
from llavaction.models.towers import TowerConfig, find_tower_config


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("google/siglip-so400m-patch14-384", (1152, 4304, 27, 16, 14, 384)),
        ("/somewhere/siglip-so400m-patch14-384/", (1152, 4304, 27, 16, 14, 384)),
        ("google/siglip-base-patch16-224", (768, 3072, 12, 12, 16, 224)),
        ("google/siglip-large-patch16-256", (1024, 4096, 24, 16, 16, 256)),
    ],
)
def test_known_towers(name: str, expected: tuple[int, ...]) -> None:
    tower = TowerConfig.known(name)
    assert tower is not None
    sizes = (tower.hidden_size, tower.intermediate_size, tower.num_hidden_layers, tower.num_attention_heads)
    assert (*sizes, tower.patch_size, tower.image_size) == expected
    assert tower.layer_norm_eps == 1e-6
    assert tower.hidden_act == "gelu_pytorch_tanh"
    assert tower.as_run()["num_hidden_layers"] == expected[2] - 1
    assert tower.as_run()["vision_use_head"] is False


def test_unknown_towers(tmp_path: Path) -> None:
    for name in ("openai/clip-vit-large-patch14-336", "siglip-so400m-patch14-384-tuned"):
        assert TowerConfig.known(name) is None
    with pytest.raises(InputError, match="nothing is known of the vision tower 'x/y'"):
        find_tower_config(tmp_path, "x/y", None, None)


def test_where_a_tower_is_described(tmp_path: Path) -> None:
    name = "google/siglip-so400m-patch14-384"

    def written(path: Path, hidden: int) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(tower_settings() | {"hidden_size": hidden}))
        return path

    def hidden(folder: Path | None = None, file: Path | None = None) -> int:
        return find_tower_config(tmp_path, name, folder, file).hidden_size

    assert hidden() == 1152
    written(tmp_path / "siglip_config.json", 10)
    assert hidden() == 10
    folder = written(tmp_path / "tower" / "config.json", 20).parent
    assert hidden(folder) == 20
    assert hidden(folder, written(tmp_path / "file.json", 30)) == 30


def test_tower_files(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "siglip", "vision_config": {"hidden_size": 96}}))
    tower = TowerConfig.read(file)
    assert (tower.hidden_size, tower.num_hidden_layers) == (96, 12)  # what is left out has the library's default
    file.write_text(json.dumps({"model_type": "clip_vision_model"}))
    with pytest.raises(InputError, match="'clip_vision_model' is not a SigLIP"):
        TowerConfig.read(file)
    file.write_text(json.dumps(tower.as_file()))
    assert TowerConfig.read(file) == tower
