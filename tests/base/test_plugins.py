"""Plug-ins are found by name or by entry point, and one that is broken does not take the others along."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from llavaction.base import notes, plugins
from llavaction.base.errors import InputError
from llavaction.curation.tasks import TASKS, task_class
from llavaction.training.kinds import stage_kind

PLUGIN = """
TASKS = {"sing": "my_plugin:Sing", "caption": "my_plugin:Other"}
STAGE_KINDS = {"dance": "my_plugin:Sing"}
OLD_FORMS = {"task": "my_plugin:louder"}
CHECKPOINTS = {"mine": "my_plugin:folder"}
class Sing: pass
def folder():
    from pathlib import Path
    return Path("mine")
def louder(values): return {**values, "loud": True}
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user's plug-in by entry point, and one that cannot be imported."""
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    (tmp_path / "broken_plugin.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [SimpleNamespace(value=name) for name in ("broken_plugin", "my_plugin", "kitchen_mini.plugin")]
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: points if group == plugins.GROUP else [])
    monkeypatch.setattr(notes, "_said", set())
    plugins.plugins.cache_clear()
    yield
    sys.modules.pop("my_plugin", None)
    plugins.plugins.cache_clear()


def test_a_users_plugin(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert [module.__name__ for module in plugins.plugins()] == ["kitchen_mini.plugin", "my_plugin"]
    assert (
        "the plug-in 'broken_plugin' cannot be used: No module named 'nothing_of_this_name'" in capsys.readouterr().err
    )
    assert task_class("sing") is stage_kind("dance") is sys.modules["my_plugin"].Sing
    assert plugins.with_plugins("TASKS", TASKS)["caption"] == TASKS["caption"]  # ours stay
    assert plugins.named_folder("CHECKPOINTS", "mine") == Path("mine")
    assert plugins.named_folder("CHECKPOINTS", "yours") is None
    assert plugins.in_todays_form("task", {"a": 1}) == {"a": 1, "loud": True}


def test_without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "PLUGINS", ("no_such_package.plugin",))
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: [])
    plugins.plugins.cache_clear()
    try:
        assert plugins.plugins() == () and plugins.with_plugins("TASKS", TASKS) == TASKS
        with pytest.raises(InputError, match="unknown kind of stage 'boxes'"):
            stage_kind("boxes")
    finally:
        plugins.plugins.cache_clear()
