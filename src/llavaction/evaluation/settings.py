"""The settings in which runs differ, by what they are about: prompt, frames, model and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llavaction.evaluation.finished import FinishedRun

HOW_IT_RUNS = "how the model is run"
_OF_BACKENDS = {
    "frames": "frames",
    "sees": "frames",
    "rule": "decision rule",
    "normalisation": "decision rule",
    **dict.fromkeys(("device", "dtype", "attention", "torch", "transformers"), HOW_IT_RUNS),
    **dict.fromkeys(("shared_passes", "pass_tokens", "nodes_per_pass", "branching"), HOW_IT_RUNS),
}
"""Settings of backends that are about something else than the model."""
CAUSES = {
    **{
        f"{place}.{name}": about
        for place in ("backend_options", "resolved.backend_settings")
        for name, about in _OF_BACKENDS.items()
    },
    "prompt": "prompt",
    "perspective": "prompt",
    "frames": "frames",
    "resolved.frames": "frames",
    "subtitles": "subtitles",
    "option_orders": "option orders",
    "decision": "decision rule",
    "parsing": "parser",
    "parser": "parser",
    "backend": "model",
    "backend_options": "model",
    "resolved.backend": "model",
    "resolved.backend_settings": "model",
}
"""Key of a configuration, or the beginning of one, to what it is about; other keys are about themselves."""
WITHOUT_EFFECT = {
    "schema_version",
    "benchmark",
    "videos",
    "batch_size",
    "workers",
    "seed",
    "limit",
    "resolved.kind_of_backend",
    "resolved.questions",
    "resolved.questions_sha256",
    "resolved.decision_rule",
}
"""Keys that change no answer, or that the rows and the other keys tell already."""

_FINGERPRINT = "resolved.backend_settings.fingerprint."
Differences = dict[str, list[str]]
"""What settings are about to the sentences on them."""


def differing(first: FinishedRun, second: FinishedRun) -> Differences:
    """What the settings differ in, as "frames was 8, now 16" under "frames"; empty where they are the same."""
    if first.foreign or second.foreign:
        return _of_others(first, second)
    old, new = (_flat(run.config) for run in (first, second))
    if all("resolved.frames" in config for config in (old, new)):
        for config in (old, new):
            config.pop("frames", None)  # what was asked for; the other is what was shown
    if all(any(key.startswith(_FINGERPRINT) for key in config) for config in (old, new)):
        for config in (old, new):
            config.pop("backend", None)  # a folder, which may be spelled otherwise; the weights are known by digests
    found: Differences = {}
    for key in dict.fromkeys((*old, *new)):
        if key in WITHOUT_EFFECT or old.get(key) == new.get(key):
            continue
        about = next((CAUSES[part] for part in _prefixes(key) if part in CAUSES), key)
        found.setdefault(about, []).append(f"{key} was {old.get(key)!r:.80}, now {new.get(key)!r:.80}")
    rules = [config.get("resolved.decision_rule") for config in (old, new)]
    if not found and rules[0] != rules[1]:
        found["decision rule"] = [f"decision rule was {rules[0]!r:.80}, now {rules[1]!r:.80}"]
    return found


def _of_others(first: FinishedRun, second: FinishedRun) -> Differences:
    """Of results of other programs only the parser is known: it is the program's own."""
    readers = [run.foreign or str(run.config.get("parser") or run.config.get("parsing")) for run in (first, second)]
    found: Differences = {}
    if readers[0] != readers[1]:
        found["parser"] = [f"parser was {readers[0]}'s, now {readers[1]}'s"]
    return found | {"settings not on record": ["what else differs is not told by the files"]}


def _flat(config: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{path}{name}"
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{key}.")
        elif value not in ({}, None):
            flat[key] = value
    return flat


def _prefixes(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
