"""Runs the benchmarks of a suite, each in its own run folder; what fails or is missing does not stop the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavaction.base.errors import LlavactionError, reason
from llavaction.base.files import is_full
from llavaction.base.records import write_json, write_text
from llavaction.evaluation.benchmarks.protocol import Protocol, load_protocol
from llavaction.evaluation.suites.config import Entry, Suite
from llavaction.evaluation.suites.formats import FORMATS
from llavaction.evaluation.suites.places import Missing, Ready, locate, read_places
from llavaction.evaluation.suites.table import Outcome, table_of

RESULT = "suite.json"
DESCRIPTIONS = "descriptions"
ERROR = "error.txt"
"""In a benchmark's run folder: the traceback of what nobody foresaw."""
WITHOUT_SPECIALIST = ("label_set_prior",)
"""Stages of recognition where no predictions of a specialist are there."""
COUNTED = ("questions", "segments", "clips")

Runner = Callable[..., Any]
"""A function of :mod:`llavaction.api` that runs a task; its result has ``metrics``."""


@dataclass(frozen=True)
class SuiteResult:
    """What came out of :func:`run_suite`.

    Attributes:
        folder: the suite's, with a run folder for each benchmark.
        outcomes: one for each benchmark, in the suite's order.
        table: as in ``suite.json``.
    """

    folder: Path
    outcomes: Sequence[Outcome]
    table: Mapping[str, Any]

    @property
    def failed(self) -> list[Outcome]:
        """Those that were begun and did not end."""
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    @property
    def missing(self) -> list[Outcome]:
        """Those whose files are not there."""
        return [outcome for outcome in self.outcomes if outcome.status == "missing"]


@dataclass(frozen=True)
class SuiteSettings:
    """What holds for every benchmark of a suite.

    Attributes:
        backend: who is asked.
        changes: take the place of the benchmarks' own settings (``limit``, ``frames``, ...).
        options: handed to every run as they are (``model_options``, ``retry_failed``, ``say``).
    """

    backend: str
    changes: Mapping[str, Any]
    options: Mapping[str, Any]


def run_suite(
    suite: Suite,
    data: str | Path,
    settings: SuiteSettings,
    output: str | Path,
    runners: Mapping[str, Runner],
    say: Callable[[str], None],
) -> SuiteResult:
    """Run every benchmark whose files are there, then write the table in all its forms.

    The folder can be that of a suite that was killed: runs that ended ask nothing again, one that was interrupted goes
    on. Writes ``suite.json`` and ``table.md``, ``.csv``, ``.html``, ``.tex``.

    Args:
        suite: the benchmarks.
        data: see :func:`llavaction.evaluation.suites.places.read_places`.
        settings: what holds for all of them.
        output: the suite's folder.
        runners: task to what runs it.
        say: takes what is being done, and what is missing.

    Raises:
        InputError: there is no such data, or the table cannot be written.
        OSError: the disk is full.
    """
    folder = Path(output)
    names = {entry.name: entry.folder or entry.name for entry in suite.benchmarks}
    places = read_places(data, tuple(names.values()))
    outcomes = []
    for entry in suite.benchmarks:
        say(f"{suite.name}: {entry.name}")
        outcome = _outcome(entry, places.get(names[entry.name]), settings, folder, runners)
        if outcome.why:
            say(f"{entry.name}: {outcome.status}: {outcome.why}")
        outcomes.append(outcome)
    table = table_of(suite, outcomes, settings.backend)
    write_json(folder / RESULT, table)
    for suffix, write in FORMATS.items():
        write_text(folder / f"table.{suffix}", write(table))
    return SuiteResult(folder, outcomes, table)


def _outcome(
    entry: Entry, place: Path | None, settings: SuiteSettings, folder: Path, runners: Mapping[str, Runner]
) -> Outcome:
    run_folder = folder / entry.name
    try:
        found = locate(entry, place, folder / DESCRIPTIONS / f"{entry.name}.yaml")
        if isinstance(found, Missing):
            return Outcome(entry, "missing", why=found.what)
        protocol = load_protocol(found.source) if found.source.is_file() else None
        metrics = _run(entry, found, protocol, settings, run_folder, runners)
    except LlavactionError as error:
        return Outcome(entry, "failed", why=reason(error), folder=run_folder)
    except Exception as error:  # one that fails does not stop the others; what it was is kept
        if is_full(error):
            raise
        write_text(run_folder / ERROR, traceback.format_exc())
        return Outcome(entry, "failed", why=f"{reason(error)} (see {run_folder / ERROR})", folder=run_folder)
    (run_folder / ERROR).unlink(missing_ok=True)
    counts = metrics.get("counts", {})
    total = next((counts[unit] for unit in COUNTED if unit in counts), 0)
    if total and counts.get("failed") == total:
        why = f"not one of {total} could be asked; their errors stand in the run folder"
        return Outcome(entry, "failed", why=why, folder=run_folder, metrics=metrics)
    notes = () if settings.changes.get("limit") else _unexpected(protocol, metrics)
    return Outcome(entry, "done", folder=run_folder, metrics=metrics, notes=notes)


def _run(
    entry: Entry,
    found: Ready,
    protocol: Protocol | None,
    settings: SuiteSettings,
    folder: Path,
    runners: Mapping[str, Runner],
) -> Mapping[str, Any]:
    """The metrics of a benchmark's run."""
    changes: dict[str, Any] = {**entry.settings, **settings.changes}
    if protocol is None or protocol.task == "questions":
        videos = found.videos
        if protocol is not None and protocol.videos is not None:
            videos = found.source.parent / protocol.videos
        result = runners["questions"](
            found.source, settings.backend, folder, videos=videos, **settings.options, **changes
        )
        return dict(result.metrics)
    home = found.source.parent
    annotations = home / (protocol.file or ".")
    common = {"videos": None if protocol.videos is None else home / protocol.videos, **settings.options}
    if protocol.task == "multi_label":
        result = runners["multi_label"](
            annotations, protocol.split, folder, model=settings.backend, **common, **changes
        )
        return dict(result.metrics)
    predictions = None if protocol.predictions is None else home / protocol.predictions
    if predictions is None:
        changes.setdefault("stages", WITHOUT_SPECIALIST)
    result = runners["recognition"](
        annotations, protocol.split, predictions, settings.backend, folder, **common, **changes
    )
    return dict(result.metrics)


def _unexpected(protocol: Protocol | None, metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a recognition was of another number of segments or clips than the release has."""
    if protocol is None or protocol.task == "questions":
        return ()
    counts, expected = metrics["counts"], protocol.expected
    wrong = [name for name in COUNTED if name in expected and counts.get(name) != expected[name]]
    return tuple(f"{counts.get(name)} {name}, the release has {expected[name]}" for name in wrong)
