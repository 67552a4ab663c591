"""Recipes, mixtures and suites that come along, ours and those of plug-ins: found by name.

This room only knows where they lie; whoever reads them is further up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.base.plugins import with_plugins
from llavaction.base.registry import suggestion

OWN = {"llavaction": Path(__file__).resolve().parent}
"""Our collection."""
_OLD = {"recipes": "", "recipes/mixtures": "mixtures"}
"""Where they lay in earlier versions."""


def recipe_file(spec: str | Path) -> Path:
    """The file of a recipe.

    Args:
        spec: a file, or the name of a recipe that comes along ("llavaction-7b").

    Raises:
        InputError: it is neither; the nearest name is suggested.
    """
    return _found(Path(spec), "", "recipe")


def mixture_file(spec: str | Path) -> Path:
    """The file of a mixture; as for :func:`recipe_file`."""
    return _found(Path(spec), "mixtures", "mixture")


def suite_file(spec: str | Path) -> Path:
    """The file of a suite of benchmarks; as for :func:`recipe_file`."""
    return _found(Path(spec), "eval", "suite")


def collected(folder: str = "") -> dict[str, Path]:
    """All recipes that come along, by name; those in ``mixtures`` are mixtures, those in ``eval`` suites."""
    return {path.stem: path for path in _files(folder)}


def _files(folder: str) -> Iterator[Path]:
    for home in with_plugins("RECIPES", OWN).values():
        yield from sorted((home / folder).glob("*.yaml"))


def _found(spec: Path, folder: str, kind: str) -> Path:
    if spec.is_file():
        return spec
    paths = collected(folder)
    if str(spec) in paths:
        return paths[str(spec)]
    if _OLD.get(spec.parent.as_posix()) == folder and spec.suffix == ".yaml" and spec.stem in paths:
        note(f"{spec} is '{spec.stem}' now; the next release will not find it under its old name")
        return paths[spec.stem]
    if spec.name != str(spec) or spec.suffix:
        raise InputError("no such file", file=spec)
    raise InputError(f"no such file, and no {kind} is called so", file=spec, hint=suggestion(str(spec), paths))
