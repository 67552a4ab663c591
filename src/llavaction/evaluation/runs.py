"""The folder of a run: its configuration, the environments it ran in, and reading it back."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import llavaction
from llavaction.base.errors import InputError
from llavaction.base.records import read_json, write_json, write_text
from llavaction.evaluation.predictions import Prediction, read_predictions

PACKAGES = ("llavaction", "av", "numpy", "pillow", "safetensors", "scipy", "tokenizers", "torch", "transformers")
FREE_KEYS = ("workers", "benchmark")
"""May change between start and restart: they do not decide the result (the questions are known by their hash)."""


@dataclass(frozen=True)
class FinishedRun:
    """A run folder whose every question has been dealt with.

    Attributes:
        folder: where it is.
        config: ``config.yaml``.
        predictions: in the benchmark's order.
        metrics: ``metrics.json``.
    """

    folder: Path
    config: Mapping[str, Any]
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the run's backend calls itself."""
        return str(self.config.get("resolved", {}).get("backend", self.config.get("backend", self.folder.name)))

    @property
    def questions_sha256(self) -> str:
        """Hash of the questions asked, options and answers included."""
        return str(self.config.get("resolved", {}).get("questions_sha256", ""))

    @classmethod
    def load(cls, folder: str | Path) -> FinishedRun:
        """Read a run folder.

        Raises:
            InputError: it is not a run folder, the run is not finished, or a file is damaged.
        """
        folder = Path(folder)
        if not (folder / "config.yaml").is_file():
            raise InputError(
                "not a run folder: it has no config.yaml", file=folder, hint="make one with: llavaction eval ..."
            )
        if not (folder / "metrics.json").is_file():
            raise InputError(
                "the run is not finished: it has no metrics.json",
                file=folder,
                hint="start it again with the same command; it does the rest",
            )
        return cls(folder, read_config(folder), read_predictions(folder), read_json(folder / "metrics.json"))


def read_config(folder: Path) -> dict[str, Any]:
    """``config.yaml`` of a run folder.

    Raises:
        InputError: it cannot be read as YAML.
    """
    path = folder / "config.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(f"not readable as YAML ({error})", file=path, line=mark.line + 1 if mark else None) from None
    if not isinstance(values, dict):
        raise InputError("expected a mapping of settings", file=path)
    return values


def settle_config(folder: Path, config: Mapping[str, Any], *, started: bool) -> None:
    """Write the run's configuration, or make sure that it is the one the run was started with.

    Args:
        folder: the run folder.
        config: complete and resolved.
        started: there are predictions already.

    Raises:
        InputError: the run was started with other settings; each differing key is named.
    """
    path = folder / "config.yaml"
    if started and path.is_file():
        differing = _differences(_plain(read_config(folder)), _plain(config))
        if differing:
            raise InputError(
                "this run was started with other settings: " + "; ".join(differing),
                file=path,
                hint="start it with the same settings, or choose another output folder",
            )
    elif started:
        raise InputError(
            "the folder holds predictions but no config.yaml, so nobody can say how they were made",
            file=folder,
            hint="choose another output folder",
        )
    write_text(path, yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    """Mappings as dicts, tuples as lists: what YAML reads back."""
    return json.loads(json.dumps(value, default=str))


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in [*old, *(name for name in new if name not in old)]:
            if key or name not in FREE_KEYS:
                found += _differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        return found
    return [] if old == new else [f"{key} was {old!r}, now {new!r}"]


def record_environment(folder: Path) -> None:
    """Add the present environment to ``environment.json`` unless it is the last one there."""
    path = folder / "environment.json"
    known = read_json(path)["environments"] if path.is_file() else []
    current = environment()
    if not known or known[-1] != current:
        write_json(path, {"schema_version": 1, "environments": [*known, current]})


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


def _commit() -> str | None:
    """Commit of the source tree this package is run from, "+" behind it if files were changed; None if installed."""
    package = Path(llavaction.__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        if package != Path(git("rev-parse", "--show-toplevel")).resolve() / "src" / "llavaction":
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(package)) else "")
    except (OSError, subprocess.SubprocessError):
        return None
