"""One self-contained HTML file about one or several recognitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.records import write_text
from llavaction.base.version import __version__
from llavaction.evaluation.finished import FinishedRun, labels
from llavaction.evaluation.report import environment_of, template
from llavaction.recognition.accuracy import PARTS
from llavaction.recognition.records import Recognition

LISTED = 100
"""Segments named one by one; the others are counted."""


@dataclass(frozen=True)
class RecognitionView:
    """One run as the template sees it."""

    label: str
    anchor: str
    run: FinishedRun
    confusions: Sequence[tuple[str, str, int]]
    wrong: Sequence[Recognition]
    failed: Sequence[Recognition]
    noted: Sequence[Recognition]
    environment: Any

    @property
    def parts(self) -> tuple[str, ...]:
        """What accuracies are of: verb, noun and action, or the action alone."""
        overall = self.run.metrics.get("overall")
        return tuple(overall["two_stage"]) if overall else PARTS

    @property
    def groups(self) -> dict[str, Any]:
        """Accuracies by name of the group, all segments first; groups that cannot be measured are left out."""
        metrics = self.run.metrics
        values_of = {"all segments": metrics.get("overall"), **metrics.get("groups", {})}
        return {name: values for name, values in values_of.items() if values}


def write_recognition_report(path: str | Path, runs: Sequence[FinishedRun]) -> Path:
    """Write one HTML file about recognitions; no other file and no network is needed to read it.

    Args:
        path: the file to write.
        runs: recognitions, in the order they are shown.

    Raises:
        InputError: there are none, or one of the runs is none.
    """
    for run in runs:
        if not run.recognitions:
            raise InputError("is no recognition", file=run.folder, hint="report evaluations by themselves")
    views = [
        RecognitionView(
            label=label,
            anchor=f"run-{number}",
            run=run,
            confusions=confusions(run.recognitions),
            wrong=surest_mistakes(run.recognitions),
            failed=[recognition for recognition in run.recognitions if recognition.error is not None],
            noted=[recognition for recognition in run.recognitions if recognition.note is not None],
            environment=environment_of(run.folder),
        )
        for number, (label, run) in enumerate(zip(labels(runs), runs, strict=True), start=1)
    ]
    if not views:
        raise InputError("a report needs at least one run", hint="make one with: llavaction recognise ...")
    page = template("recognition.html.j2")
    write_text(path, page.render(views=views, listed=LISTED, version=__version__))
    return Path(path)


def confusions(recognitions: Sequence[Recognition], most: int = 20) -> list[tuple[str, str, int]]:
    """(right action, chosen action, how often), the most frequent first."""
    counts = Counter(
        (name_of_truth(recognition), recognition.name or str(recognition.action))
        for recognition in recognitions
        if recognition.action is not None and recognition.truth is not None and recognition.action != recognition.truth
    )
    return [(*pair, count) for pair, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]]


def surest_mistakes(recognitions: Sequence[Recognition], most: int = 20) -> list[Recognition]:
    """Wrong choices, the surest first."""
    wrong = [item for item in recognitions if item.action is not None and item.truth not in (None, item.action)]
    return sorted(wrong, key=lambda item: (-(item.confidence or 0.0), item.segment_id))[:most]


def name_of_truth(item: Recognition) -> str:
    """The right action in words where it is among the candidates, else by its classes."""
    if item.truth in item.candidates and item.candidate_names:
        return item.candidate_names[item.candidates.index(item.truth)]
    return "none of the candidates" if item.truth is None else f"class {item.truth[0]}, {item.truth[1]}"
