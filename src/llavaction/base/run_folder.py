"""What every run folder holds: the complete configuration, and the environments the run was made in."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.records import read_json, write_json, write_text

METRICS = "metrics.json"
"""The file of what was measured; there once a run is complete."""

PACKAGES = ("llavaction", "av", "numpy", "pillow", "safetensors", "scipy", "tokenizers", "torch", "transformers")


def read_config(folder: Path) -> dict[str, Any]:
    """``config.yaml`` of a run folder.

    Raises:
        InputError: it cannot be read as YAML.
    """
    path = folder / "config.yaml"
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise InputError("expected a mapping of settings", file=path)
    return values


def settle_config(folder: Path, config: Mapping[str, Any], *, started: bool, free: Collection[str] = ()) -> None:
    """Write the run's configuration, or make sure that it is the one the run was started with.

    Args:
        folder: the run folder.
        config: complete and resolved.
        started: there are predictions already.
        free: keys that may change between start and restart, because they do not decide the result.

    Raises:
        InputError: the run was started with other settings; each differing key is named.
    """
    path = folder / "config.yaml"
    if started and path.is_file():
        old, new = ({k: v for k, v in _plain(c).items() if k not in free} for c in (read_config(folder), config))
        differing = _differences(old, new)
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
            found += _differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        return found
    return [] if old == new else [f"{key} was {old!r}, now {new!r}"]


def record_environment(folder: Path) -> None:
    """Add the present environment to ``environment.json`` unless it is the last one there."""
    path = folder / "environment.json"
    stored = read_json(path) if path.is_file() else {"environments": []}
    known = stored.get("environments") if isinstance(stored, dict) else None
    if not isinstance(known, list):
        raise InputError("has no list of 'environments'", file=path, hint="give another output folder")
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
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        if package != Path(git("rev-parse", "--show-toplevel")).resolve() / "src" / "llavaction":
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(package)) else "")
    except (OSError, subprocess.SubprocessError):
        return None
