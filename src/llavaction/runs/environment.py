"""The environments a run was made in: versions and kind of machine."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.records import read_json, write_json

PACKAGES = (
    "llavaction", "accelerate", "av", "numpy", "peft", "pillow", "safetensors", "scipy", "tokenizers", "torch",
    "transformers",
)  # fmt: skip


def record_environment(folder: Path, more: Mapping[str, Any] | None = None) -> None:
    """Add the present environment, and ``more`` of it, to ``environment.json`` unless it is the last one there."""
    path = folder / "environment.json"
    stored = read_json(path) if path.is_file() else {"environments": []}
    if isinstance(stored, dict) and "environments" not in stored and "python" in stored:
        stored = {"environments": [stored]}  # a training of an earlier version kept one
    known = stored.get("environments") if isinstance(stored, dict) else None
    if not isinstance(known, list):
        raise InputError("has no list of 'environments'", file=path, hint="give another output folder")
    current = {**environment(), **(more or {})}
    if not known or known[-1] != current:
        write_json(path, {**stored, "schema_version": 1, "environments": [*known, current]})


def count_cached(folder: Path, answers: int) -> None:
    """Add to ``answers_from_the_cache`` of ``environment.json``: answers of the run that nobody was asked for."""
    path = folder / "environment.json"
    if not answers or not path.is_file():
        return
    stored = read_json(path)
    before = stored.get("answers_from_the_cache", 0) if isinstance(stored, dict) else 0
    write_json(path, {**stored, "answers_from_the_cache": (before if isinstance(before, int) else 0) + answers})


def environment() -> dict[str, Any]:
    """Versions and kind of machine; nothing that names the machine or its user."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "accelerator": _accelerator(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _accelerator() -> str | None:
    """Name of the GPU, asked only where something has imported torch already."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())


@cache  # the code that runs is the code that was there when it was imported
def _commit() -> str | None:
    """Commit of the source tree this package is run from, "+" behind it if files were changed; None if installed."""
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        if package != Path(git("rev-parse", "--show-toplevel")).resolve() / "src" / "llavaction":
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(package.parent)) else "")
    except (OSError, subprocess.SubprocessError):
        return None
