"""Keys of recipes by their names of earlier versions, read for one release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llavaction.base.notes import note

OF_A_STAGE = {
    "frames": "num_frames",
    "schedule": "lr_schedule",
    "warm_up": "warmup_ratio",
    "group": "length_group_batches",
    "clip": "max_grad_norm",
}
"""A stage's keys."""
OF_RECORDS = {"frames": "num_frames"}
"""A records file's keys."""
OF_RATES = {"tower": "vision_tower", "language": "language_model"}
"""The parts of ``learning_rates``."""


def todays_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe, or a stage of one, with every key by its name of today; each old one is noted."""
    renamed = _renamed(values, OF_A_STAGE)
    if isinstance(renamed.get("learning_rates"), Mapping):
        renamed["learning_rates"] = _renamed(renamed["learning_rates"], OF_RATES)
    if isinstance(renamed.get("records"), list | tuple):
        renamed["records"] = [
            _renamed(item, OF_RECORDS) if isinstance(item, Mapping) else item for item in renamed["records"]
        ]
    if isinstance(renamed.get("stages"), list | tuple):
        renamed["stages"] = [todays_keys(stage) if isinstance(stage, Mapping) else stage for stage in renamed["stages"]]
    return renamed


def todays_path(key: str) -> str:
    """A dotted key, "learning_rates.vision_tower", with every step by its name of today."""
    steps = key.split(".")
    names: Mapping[str, str] = OF_A_STAGE
    for place, step in enumerate(steps):
        if step in names:
            _say(step, names[step])
            steps[place] = names[step]
        if step == "learning_rates":
            names = OF_RATES
        elif step == "records":
            names = OF_RECORDS
        elif step == "stages":
            names = OF_A_STAGE
        elif not step.isdigit():
            names = {}
    return ".".join(steps)


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    renamed = {}
    for key, value in values.items():
        name = names.get(key, key)
        if name != key and name in values:
            name = key  # both are there: the old one is refused as unknown
        elif name != key:
            _say(key, name)
        renamed[name] = value
    return renamed


def _say(old: str, new: str) -> None:
    note(f"a recipe says '{old}', which is called '{new}' now; the next release will not read it")
