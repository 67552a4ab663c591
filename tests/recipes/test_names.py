"""Recipes that come along are found by name, by file, and where they lay before."""

from __future__ import annotations

from pathlib import Path

import pytest

from llavaction.base import notes
from llavaction.base.errors import InputError
from llavaction.recipes import collected, mixture_file, recipe_file


def test_names_files_and_old_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notes, "_said", set())
    assert {"llavaction-7b", "kitchen-mini"} <= set(collected()) and {"ek100", "kitchen-mini"} <= set(
        collected("mixtures")
    )
    assert recipe_file("kitchen-mini") != mixture_file("kitchen-mini")
    (tmp_path / "kitchen-mini").mkdir()  # a folder of that name hides nothing
    assert recipe_file(Path("kitchen-mini")) == collected()["kitchen-mini"] and not capsys.readouterr().err
    assert mixture_file("recipes/mixtures/ek100.yaml") == collected("mixtures")["ek100"]
    assert "recipes/mixtures/ek100.yaml is 'ek100' now" in capsys.readouterr().err
    own = tmp_path / "recipes" / "llavaction-7b.yaml"
    own.parent.mkdir()
    own.write_text("")
    assert recipe_file("recipes/llavaction-7b.yaml") == Path("recipes/llavaction-7b.yaml")
    for missing in ("recipes/ek100.yaml", "nowhere/kitchen-mini.yaml", "kitchen-mini.yaml"):
        with pytest.raises(InputError, match="no such file"):
            recipe_file(missing)
    with pytest.raises(InputError, match=r"no recipe is called so\n.*did you mean 'kitchen-mini'"):
        recipe_file("kichen-mini")
