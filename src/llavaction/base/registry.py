"""Registries: plain dicts from a name to ``"module:attribute"``, imported only when asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from llavaction.base.errors import InputError


def suggestion(name: str, known: Iterable[str]) -> str:
    """A sentence naming the nearest known name, or all of them when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"


def resolve(registry: Mapping[str, str], name: str, kind: str) -> Any:
    """Import and return what ``name`` stands for.

    Args:
        registry: name to ``"package.module:attribute"``.
        name: what the user asked for.
        kind: what the registry holds, for the error message ("miner", "backend").

    Raises:
        InputError: the name is unknown; the message suggests the nearest one.
    """
    if name not in registry:
        raise InputError(f"unknown {kind} '{name}'", hint=suggestion(name, registry))
    return attribute(registry[name])


def attribute(place: str) -> Any:
    """Import and return what is at a place, ``"package.module:attribute"``."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
