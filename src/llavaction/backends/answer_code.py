"""What a model's answers hang on beside the question: its settings, the kind of machine, the code; as one digest."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from llavaction.base.fingerprints import digest_of_files
from llavaction.base.version import __version__

ROOMS = ("backends", "models")
"""Of this package: what lays questions out for a model and reads its answers."""


def answer_fingerprint(settings: Mapping[str, Any], device: torch.device, *parts: object) -> str:
    """SHA-256 of settings, kind of GPU and code.

    Args:
        settings: for the record of a run, digests of the weights and versions included.
        device: where the model is.
        parts: objects of classes that may be defined elsewhere: the model, its family.
    """
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    modules = sorted({type(part).__module__ for part in parts})
    known = {"settings": settings, "accelerator": accelerator, "code": code_digest(modules)}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def code_digest(modules: Iterable[str] = ()) -> str:
    """SHA-256 of the sources of our :data:`ROOMS`, of further modules, and of the version.

    An answer that was kept is not taken once any of them has changed: rather too few answers are taken than a wrong
    one.

    Args:
        modules: names of modules elsewhere, such as a plug-in's family; those without a source do not count.
    """
    parts = [__version__, _of_rooms()]
    for name in modules:
        source = inspect.getsourcefile(import_module(name))
        parts.append("" if source is None else digest_of_files([Path(source)]))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


@cache
def _of_rooms() -> str:
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (package / room).rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
