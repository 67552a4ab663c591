"""Keys of the version before: read with a note, and worth the same; what runs have kept is read without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kitchen_mini.model.config import MiniConfig
from llavaction.base import notes
from llavaction.base.errors import InputError
from llavaction.curation.tasks import task_settings
from llavaction.training.config import TrainConfig, load_config

SEEING = {"layers": 4, "alone": True, "words": 2.0}
BASE: dict[str, Any] = {"model": "mini", "output": "o", "videos": "v", "records": [{"path": "r"}]}
CHOICE = {"task": "hard_action_recognition", "options": 3}


@pytest.fixture(autouse=True)
def unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test is told anew."""
    monkeypatch.setattr(notes, "_said", set())


def stages_of(**values: Any) -> list[dict[str, Any]]:
    return [stage.model_dump(mode="json") for stage in TrainConfig.from_mapping({**BASE, **values}).resolved()]


TOWER = {"name": "a", "records": [], "learning_rates": {"vision_tower": 1e-3}}
EQUAL: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"new_layers": 2}, {"kind": "lesson", "extra": {"new_layers": 2}}),
    (
        {"seeing": SEEING, "stages": [{"new_layers": 4}, {"seeing": None}, {"seeing": {"words": 1.0}}]},
        {
            "kind": "lesson",
            "extra": {"seeing": SEEING},
            "stages": [
                {"extra": {"new_layers": 4}}, {"extra": {"seeing": None}}, {"extra": {"seeing": {"words": 1.0}}}
            ],
        },
    ),
    (
        {"seeing": SEEING, "stages": [{**TOWER, "boxes": {"path": "b", "nouns": 3}}, {"name": "c"}]},
        {
            "kind": "lesson",
            "extra": {"seeing": SEEING},
            "stages": [{**TOWER, "kind": "boxes", "extra": {"path": "b", "nouns": 3}}, {"name": "c"}],
        },
    ),
    (
        {"boxes": {"path": "b", "nouns": 3}, "stages": [{**TOWER, "boxes": {"cap": 5}}, {"boxes": None}]},
        {
            "kind": "boxes",
            "extra": {"path": "b", "nouns": 3},
            "stages": [{**TOWER, "extra": {"cap": 5}}, {"kind": "records"}],
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), EQUAL)
def test_keys_of_the_version_before(
    old: dict[str, Any], new: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stages_of(**new) and not capsys.readouterr().err
    assert stages_of(**old) == stages_of(**new)
    assert "the next release will not read it" in capsys.readouterr().err


def test_the_shape_of_mini(capsys: pytest.CaptureFixture[str]) -> None:
    config = TrainConfig.from_mapping({**BASE, "mini": {"side": 24}})
    assert config.whole_start() == MiniConfig(side=24).model_dump()
    assert "'mini', which is called 'start' now" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"start: .*unknown key; did you mean 'layers'"):
        TrainConfig.from_mapping({**BASE, "start": {"layrs": 2}})
    with pytest.raises(InputError, match="start: model 'tiny:llava_video' takes no settings of its own, found 'side'"):
        TrainConfig.from_mapping({**BASE, "model": "tiny:llava_video", "start": {"side": 24}})


def test_what_a_run_has_kept_is_read_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The version before wrote every key."""
    config = TrainConfig.from_mapping({**BASE, "model": "tiny:llava_video", "stages": [{"name": "a"}]})
    values = config.model_dump(mode="json")
    for key in ("kind", "extra", "start"):
        del values[key]
    values |= {"boxes": None, "new_layers": 0, "seeing": None, "name_heads": None, "mini": MiniConfig().model_dump()}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    assert load_config(tmp_path / "config.yaml") == config
    assert not capsys.readouterr().err


def test_settings_on_the_command_line(tmp_path: Path) -> None:
    new = {**BASE, "kind": "lesson", "extra": {"seeing": SEEING}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(new))
    for key in ("seeing.layers", "extra.seeing.layers"):
        (stage,) = load_config(tmp_path / "r.yaml", [(key, 2)]).resolved()
        assert stage.extra["seeing"] == {"layers": 2, "alone": True, "words": 2.0, "action": 0.0}
    with pytest.raises(InputError, match=r"stage 'train': extra: .*unknown key 'layrs'; did you mean 'layers'"):
        load_config(tmp_path / "r.yaml", [("seeing.layrs", 2)])


@pytest.mark.parametrize("wrong", [3, "x", [1], {"layers": {}}])
def test_what_is_no_setting_is_refused(wrong: Any) -> None:
    for values in (
        {"seeing": wrong},
        {"boxes": wrong},
        {"kind": "lesson", "extra": wrong},
        {"mini": wrong, "start": 3},
    ):
        with pytest.raises(InputError):
            TrainConfig.from_mapping({**BASE, **values})


def test_tasks_of_the_version_before(capsys: pytest.CaptureFixture[str]) -> None:
    new = {"task": "stand_in", "name": "told", "clutter": 9, "weight": 0.5, "of": CHOICE}
    assert task_settings({**CHOICE, "name": "told", "stand_in": True, "clutter": 9, "weight": 0.5}) == task_settings(
        new
    )
    assert "'task: stand_in, of: {task: ...}' now" in capsys.readouterr().err
    assert task_settings({**CHOICE, "stand_in": False, "clutter": 0}) == task_settings(CHOICE)
    assert task_settings({**CHOICE, "stand_in": True}).name == CHOICE["task"]
    with pytest.raises(InputError, match="did you mean 'stand_in'"):
        task_settings({"task": "stand_inn"})
