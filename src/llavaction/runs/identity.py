"""What a run is known by: its complete configuration and the contents of its inputs; another one is refused."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import FileFacts, same_content
from llavaction.base.records import read_json, write_json, write_text

VIDEOS = "videos.json"
"""The file of what the run's videos are known by."""

MOST_SAID = 6
"""Differing settings are named up to here."""


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


def settle_config(
    folder: Path,
    config: Mapping[str, Any],
    *,
    started: bool,
    free: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Write the run's configuration, or make sure that it is the one the run was started with.

    Args:
        folder: the run folder.
        config: complete and resolved. Mappings under a key "fingerprint" and keys that end in "_sha256" hold digests of
            contents; a difference in them is named without its value.
        started: there are predictions already.
        free: keys ("workers", "resolved.backend") that may change between start and restart, because they do not decide
            the result.
        defaults: of settings; they stand for those that a folder of an earlier version does not name.

    Raises:
        InputError: the run was started with other settings or contents; each differing one is named.
    """
    path = folder / "config.yaml"
    if started and path.is_file():
        problem = "this run was started with other settings"
        hint = "start it with what it was started with, or choose another output folder"
        then = {**_plain(defaults or {}), **read_config(folder)}
        refuse_changes(then, config, problem, file=path, hint=hint, free=free)
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
    if path.is_file():
        hint = "give another output folder, or delete this one"
        free = ("made_by", "notes")
        refuse_changes(read_json(path), card, "holds what was made otherwise", file=folder, hint=hint, free=free)


def hold_to_noted(path: Path, facts: Mapping[str, Any], problem: str, *, hint: str) -> None:
    """Compare facts with those noted in a file, one by one; what was not noted is not compared.

    Raises:
        InputError: the ``problem`` and each difference; or the file holds no facts.
    """
    noted = read_json(path) if path.is_file() else {}
    if not isinstance(noted, dict):
        raise InputError("is not what a training notes of its data", file=path, hint="give another output folder")
    common = facts.keys() & noted.keys()
    then, now = ({name: known[name] for name in facts if name in common} for known in (noted, facts))
    refuse_changes(then, now, problem, file=path.parent, hint=hint)


def refuse_changes(then: Any, now: Any, problem: str, *, file: Path, hint: str, free: Collection[str] = ()) -> None:
    """Refuse to go on with what is not as it was.

    Args:
        then: as it was.
        now: as it is; ``fingerprint`` and ``_sha256`` as for :func:`settle_config`.
        problem: what the message begins with.
        file: where it is on record.
        hint: what to do.
        free: keys that may differ.

    Raises:
        InputError: something differs; what does is named.
    """
    if differing := _differences(then, _plain(now), frozenset(free)):
        more = f"; and {len(differing) - MOST_SAID} more" if len(differing) > MOST_SAID else ""
        raise InputError(f"{problem}: {'; '.join(differing[:MOST_SAID])}{more}", file=file, hint=hint)


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
