"""What every run folder holds: the complete configuration, what its videos are known by, the environments."""

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
from llavaction.base.fingerprints import FileFacts, same_content
from llavaction.base.records import read_json, write_json, write_text

METRICS = "metrics.json"
"""The file of what was measured; there once a run is complete."""

VIDEOS = "videos.json"
"""The file of what the run's videos are known by."""

MOST_SAID = 6
"""Differing settings are named up to here."""

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
        config: complete and resolved. Mappings under a key "fingerprint" and keys that end in "_sha256" hold digests of
            contents; a difference in them is named without its value.
        started: there are predictions already.
        free: keys ("workers", "resolved.backend") that may change between start and restart, because they do not decide
            the result.

    Raises:
        InputError: the run was started with other settings or contents; each differing one is named.
    """
    path = folder / "config.yaml"
    if started and path.is_file():
        differing = _differences(read_config(folder), _plain(config), frozenset(free))
        if differing:
            more = f"; and {len(differing) - MOST_SAID} more" if len(differing) > MOST_SAID else ""
            raise InputError(
                "this run was started with other settings: " + "; ".join(differing[:MOST_SAID]) + more,
                file=path,
                hint="start it with what it was started with, or choose another output folder",
            )
    elif started:
        raise InputError(
            "the folder holds predictions but no config.yaml, so nobody can say how they were made",
            file=folder,
            hint="choose another output folder",
        )
    write_text(path, yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True))


def hold_to_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Make sure that a folder is empty or was made as it is to be made now, by the ``card.json`` in it.

    Raises:
        InputError: it holds something made otherwise; each difference is named.
    """
    path = folder / "card.json"
    if path.is_file() and (differing := _differences(read_json(path), _plain(card), ("made_by", "notes"))):
        raise InputError(
            "holds what was made otherwise: " + "; ".join(differing[:MOST_SAID]),
            file=folder,
            hint="give another output folder, or delete this one",
        )


def settle_videos(folder: Path, facts: Mapping[str, FileFacts], *, started: bool) -> None:
    """Write what the run's videos are known by, or make sure that they are those the run was started with.

    Videos that were not there at the start may have come since; one that has gone is remembered.

    Args:
        folder: the run folder; gets ``videos.json``.
        facts: of each video that is there, by its name.
        started: there are predictions already.

    Raises:
        InputError: a video has another content than at the start.
    """
    path = folder / VIDEOS
    known = _read_videos(path) if started and path.is_file() else {}
    changed = sorted(name for name in facts.keys() & known.keys() if not same_content(known[name], facts[name]))
    if changed:
        old, new = known[changed[0]], facts[changed[0]]
        sizes = f"{old['bytes']:,} bytes then, {new['bytes']:,} now" if old["bytes"] != new["bytes"] else "other bytes"
        raise InputError(
            f"{len(changed)} of the run's {len(known)} videos changed since it was started; "
            f"the first: '{changed[0]}' ({sizes})",
            file=path,
            hint="bring back the videos of then, or choose another output folder",
        )
    if known != {**known, **facts} or not path.is_file():
        write_json(path, {"schema_version": 1, "videos": {**known, **facts}})


def _read_videos(path: Path) -> dict[str, FileFacts]:
    content = read_json(path)
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise InputError("expected the videos of a run", file=path)
    for name, facts in videos.items():
        if not isinstance(facts, dict) or not isinstance(facts.get("bytes"), int):
            raise InputError(f"'{name}' has no size: expected what a video is known by", file=path)
    return videos


def _plain(value: Any) -> Any:
    """Mappings as dicts, tuples as lists: what YAML reads back."""
    return json.loads(json.dumps(value, default=str))


def _differences(old: Any, new: Any, free: Collection[str] = (), path: tuple[str, ...] = ()) -> list[str]:
    """A sentence for each key whose values differ."""
    key = ".".join(path)
    if key in free or old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(name for name in new if name not in old)]
        return [line for name in names for line in _differences(old.get(name), new.get(name), free, (*path, str(name)))]
    if path[-2:-1] in (("fingerprint",), ("sources",)):
        return [f"the {path[-1]} changed"]
    if key.endswith("_sha256"):
        return [f"the {path[-1].removesuffix('_sha256').replace('_', ' ')} changed"]
    return [f"{key} was {old!r:.200}, now {new!r:.200}"]


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
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(package.parent)) else "")
    except (OSError, subprocess.SubprocessError):
        return None
