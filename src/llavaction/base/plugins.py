"""Plug-ins: packages that add commands, models, tasks and ways of training. Nothing here imports one by name.

A plug-in is a light module of constants, for every command looks at it. Each constant is a registry, a dict from a name
to "module:attribute", that is added to ours:

- ``COMMANDS``, ``DATA_COMMANDS``: commands of ``llavaction`` and ``llavaction data``; the value is where the command
  is, and one line of help.
- ``CHECKPOINTS``, ``SPECIALISTS``: functions without arguments that give the folder a name stands for.
- ``NOTES``: what to say when the checkpoint of that name is asked (plain text).
- ``MODEL_STARTS``, ``STAGE_KINDS``: see training/kinds.py.
- ``TASKS``: of curation, see curation/tasks.py.
- ``RECIPES``: name to the folder (a path) of a recipe collection, with mixtures in its folder ``mixtures``.
- ``BENCHMARKS``: name to the folder (a path) of protocols of benchmarks, see evaluation/benchmarks.
- ``BENCHMARK_READERS``: functions that read a benchmark's questions, see there.
- ``OFFICIAL_PARSERS``: how public evaluators read answers, see evaluation/official.
- ``SCORERS``: official metrics beyond accuracy, see evaluation/official/scorers.py.
- ``OLD_FORMS``: functions that bring settings of an earlier version into today's form; "recipe" or "task".

Ours are named below; others are found by their entry points, ``[project.entry-points."llavaction.plugins"]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from llavaction.base.notes import note
from llavaction.base.registry import attribute

PLUGINS = ("kitchen_mini.plugin",)
"""Modules that are plug-ins wherever they can be found, installed or not."""
GROUP = "llavaction.plugins"
"""Group of the entry points; each names a module."""


@cache
def plugins() -> tuple[ModuleType, ...]:
    """All plug-ins. One that cannot be imported is left out, and a note says why."""
    ours = [name for name in PLUGINS if find_spec(name.partition(".")[0]) is not None]
    modules = []
    for name in dict.fromkeys((*ours, *(point.value for point in metadata.entry_points(group=GROUP)))):
        try:
            modules.append(import_module(name))
        except Exception as error:  # somebody else's code
            note(f"the plug-in '{name}' cannot be used: {error}")
    return tuple(modules)


def plugin_name(plugin: ModuleType) -> str:
    """What a plug-in is called: its package, with hyphens, as packages are called where they are installed from."""
    return plugin.__name__.partition(".")[0].replace("_", "-")


def with_plugins(kind: str, built_in: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A registry with what plug-ins add to it under the name ``kind``; of equal names the first stays."""
    entries = dict(built_in or {})
    for plugin in plugins():
        for name, value in getattr(plugin, kind, {}).items():
            entries.setdefault(name, value)
    return entries


def named_folder(kind: str, name: str) -> Path | None:
    """The folder that a name of a plug-in stands for ("bundled"); None if it is no such name.

    Args:
        kind: "CHECKPOINTS" or "SPECIALISTS".
        name: what the user gave.

    Raises:
        InputError: the plug-in lacks the folder.
    """
    folders = with_plugins(kind)
    return attribute(folders[name])() if name in folders else None


def in_todays_form(what: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings, in which plug-ins have put their keys of earlier versions in today's places.

    Args:
        what: "recipe" or "task".
        values: as read.
    """
    for plugin in plugins():
        place = getattr(plugin, "OLD_FORMS", {}).get(what)
        values = values if place is None else attribute(place)(values)
    return values
