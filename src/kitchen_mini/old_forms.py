"""Keys of earlier versions, read for one release: where recipes and mixtures say today what they said then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llavaction.base.notes import note
from llavaction.training.config import merged

_LESSON = ("new_layers", "seeing", "name_heads")


def recipe(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A recipe that says the lessons' keys under ``extra`` of their kind of stage, the shape of mini under ``start``.

    Recipes that runs have kept say every key, also those that mean nothing; these are dropped without a word.
    """
    renewed = _stage(values, None)
    if "mini" in renewed:
        shape = renewed.pop("mini")
        if renewed.get("model") == "mini" and isinstance(shape, Mapping):
            note("a recipe says 'mini', which is called 'start' now; the next release will not read it")
            renewed["start"] = _joined(renewed.get("start"), shape)
    stages = renewed.get("stages")
    if isinstance(stages, list | tuple):
        above = renewed.get("kind")
        renewed["stages"] = [_stage(stage, above) if isinstance(stage, Mapping) else stage for stage in stages]
    return renewed


def _stage(values: Mapping[str, Any], above: str | None) -> dict[str, Any]:
    """The keys of a stage, or those that hold for all.

    Args:
        values: as read.
        above: the kind of stage that holds for all.
    """
    renewed = dict(values)
    boxes, lesson = renewed.pop("boxes", None), {key: renewed.pop(key) for key in _LESSON if key in renewed}
    kind = renewed.get("kind", above)
    if boxes is not None:
        note("a recipe says 'boxes', which is called 'extra' of 'kind: boxes' now; the next release will not read it")
        kind, more = "boxes", boxes
    elif any(lesson.values()) or (lesson and kind == "lesson"):
        names = ", ".join(f"'{key}'" for key in lesson if lesson[key])
        if names:
            verb = "is" if names.count(",") == 0 else "are"
            note(
                f"a recipe says {names}, which {verb} part of 'extra' of 'kind: lesson' now; "
                "the next release will not read it"
            )
        kind, more = "lesson", lesson
    else:
        if kind == "boxes" and "boxes" in values and "kind" not in values:
            renewed["kind"] = "records"
        return renewed
    return renewed | {"kind": kind, "extra": _joined(renewed.get("extra"), more)}


def _joined(value: Any, more: Any) -> Any:
    """Settings and those moved to them; what is no settings is left for the reader to refuse."""
    if isinstance(more, Mapping) and (value is None or isinstance(value, Mapping)):
        return merged(value or {}, more)
    return more


def task(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task of a mixture whose ``stand_in`` and ``clutter`` were settings of every task."""
    if ("stand_in" not in entry and "clutter" not in entry) or "of" in entry or entry.get("task") == "stand_in":
        return entry
    settings = {key: value for key, value in entry.items() if key not in ("stand_in", "clutter")}
    if not entry.get("stand_in"):
        return settings
    note(
        "a mixture says 'stand_in: true', which is 'task: stand_in, of: {task: ...}' now; "
        "the next release will not read it"
    )
    shared: dict[str, Any] = {key: settings.pop(key) for key in ("weight", "cap", "labels") if key in settings}
    name = settings.pop("name", settings.get("task"))
    return {"task": "stand_in", "name": name, "clutter": entry.get("clutter", 0), **shared, "of": settings}
