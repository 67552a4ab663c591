"""The table of a suite: our figures with their intervals beside those that were published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from llavaction.base.errors import InputError
from llavaction.base.statistics import BOOTSTRAP
from llavaction.evaluation.suites.config import Entry, Published, Suite

INSIDE, ABOVE, BELOW, OTHER = "inside", "above", "below", "other questions"
"""How a published figure stands to our interval; OTHER where it is not of the same questions."""
DEFAULT_PLACES = ("overall.two_stage.action", "map", "accuracy")
"""Where the official figure stands in metrics.json; of answers in free words see ``scores``."""
SHOWN = ("frames", "prompt", "decision", "parsing", "subtitles", "stages", "form")
"""Settings that the table tells."""
UNITS = ("questions", "segments", "clips")


@dataclass(frozen=True)
class Outcome:
    """What became of a benchmark.

    Attributes:
        entry: the benchmark.
        status: whether it was run to its end, failed, or lacks files.
        why: of the last two.
        folder: its run folder.
        metrics: of a run.
        notes: what is to be known of a run.
    """

    entry: Entry
    status: Literal["done", "failed", "missing"]
    why: str = ""
    folder: Path | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def table_of(suite: Suite, outcomes: Sequence[Outcome], backend: str) -> dict[str, Any]:
    """Everything ``suite.json`` holds.

    Returns:
        ``rows``, one for each figure: ``benchmark``, ``figure``, ``status``, ``why``, ``asked`` and of what (``unit``),
        ``value``, ``low``, ``high`` (shares; None where there is none), ``videos``, ``settings``, ``notes`` and
        ``published`` by model (``value`` in percent, ``stands``, ``source``).
    """
    rows = [row for outcome in outcomes for row in _rows(outcome)]
    return {
        "schema_version": 1,
        "suite": suite.name,
        "about": suite.about,
        "backend": backend,
        "models": list(suite.models),
        "rows": rows,
    }


def _rows(outcome: Outcome) -> list[dict[str, Any]]:
    entry = outcome.entry
    places: Mapping[str, str | None] = entry.figures or {"": None}
    return [_row(outcome, name, place) for name, place in places.items()]


def _row(outcome: Outcome, name: str, place: str | None) -> dict[str, Any]:
    entry, notes = outcome.entry, list(outcome.notes)
    figure: Mapping[str, Any] = {}
    if outcome.status == "done":
        try:
            figure = figure_in(outcome.metrics, place)
        except InputError as error:
            notes.append(error.problem)
        if figure.get("method", BOOTSTRAP) != BOOTSTRAP:
            notes.append(f"interval: {figure['method']}")
        notes += _lost(outcome.metrics)
    unit = next((name for name in UNITS if name in outcome.metrics.get("counts", {})), None)
    asked = figure.get("n") or (outcome.metrics["counts"][unit] if unit else None)
    return {
        "name": entry.name,
        "benchmark": entry.title or entry.name,
        "figure": name,
        "status": outcome.status,
        "why": outcome.why,
        "asked": asked,
        "unit": unit,
        "videos": figure.get("clusters"),
        **{key: figure.get(key) for key in ("value", "low", "high")},
        "settings": {key: _plain(entry.settings[key]) for key in SHOWN if key in entry.settings},
        "folder": None if outcome.folder is None else str(outcome.folder),
        "notes": notes,
        "published": {
            published.model: {
                "value": published.value,
                "stands": stands(published, figure, asked),
                "source": published.source,
            }
            for published in entry.published
            if published.figure == name
        },
    }


def figure_in(metrics: Mapping[str, Any], place: str | None = None) -> Mapping[str, Any]:
    """A figure of a run, with ``value``, ``low`` and ``high``.

    Args:
        metrics: as in ``metrics.json``.
        place: keys with dots between; None for the official figure.

    Raises:
        InputError: there is none at that place.
    """
    if place is None and isinstance(metrics.get("scores"), Mapping):
        place = f"scores.{metrics.get('official')}.all"
    for candidate in (place,) if place is not None else DEFAULT_PLACES:
        found: Any = metrics
        for key in candidate.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, int | float) and not isinstance(found, bool):
            return {"value": float(found), "low": None, "high": None}
        if isinstance(found, Mapping) and isinstance(found.get("value"), int | float):
            return found
    raise InputError(f"metrics.json has no figure at '{place or ', '.join(DEFAULT_PLACES)}'")


def stands(published: Published, figure: Mapping[str, Any], asked: int | None = None) -> str | None:
    """Whether a published figure lies inside our interval, above or below it; None where we have none.

    Args:
        published: the figure.
        figure: ours.
        asked: of how many questions ours is.
    """
    low, high = figure.get("low"), figure.get("high")
    if low is None or high is None:
        return None
    if not published.comparable or published.questions not in (None, asked):
        return OTHER
    share = published.value / 100
    return INSIDE if low <= share <= high else ABOVE if share > high else BELOW


def _lost(metrics: Mapping[str, Any]) -> list[str]:
    counts = metrics.get("counts", {})
    said = {"failed": "could not be asked", "unparsed": "had an unreadable answer", "hidden": "have hidden answers"}
    return [f"{counts[key]} {what}" for key, what in said.items() if counts.get(key)]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
