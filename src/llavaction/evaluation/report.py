"""One self-contained HTML file about one or several runs on a benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from llavaction.base.errors import InputError
from llavaction.base.records import read_json, write_text
from llavaction.base.statistics import paired_comparison
from llavaction.base.text import shown
from llavaction.base.version import __version__
from llavaction.evaluation.comparison import p_value
from llavaction.evaluation.failures import Example, Strip, film_strip, surest, view, worst
from llavaction.evaluation.figures import HeatMap, heat_map, write_figures
from llavaction.evaluation.finished import FinishedRun, labels
from llavaction.evaluation.metrics import Pairs, match, names_for
from llavaction.evaluation.names import ActionNames
from llavaction.evaluation.predictions import Prediction
from llavaction.questions.schema import Benchmark, Question
from llavaction.video.decoded import Library

TABLE_ROWS = 400
LISTED = 100
"""Questions named one by one where they could not be asked or read; the others are counted."""


@dataclass(frozen=True)
class RunView:
    """One run as the template sees it."""

    label: str
    anchor: str
    run: FinishedRun
    heat_map: HeatMap | None
    failures: Sequence[Example]
    successes: Sequence[Example]
    failed: Sequence[Prediction]
    unparsed: Sequence[Prediction]
    noted: Sequence[Prediction]
    environment: Any

    @property
    def of_answered(self) -> Mapping[str, Any] | None:
        """The accuracy over answered questions; None where no question was, or the run is from before it was kept."""
        accuracy: Mapping[str, Any] | None = self.run.metrics.get("accuracy_of_answered")
        return accuracy

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The run's ``metrics.json``."""
        return self.run.metrics


def write_report(
    path: str | Path,
    runs: Sequence[str | Path | FinishedRun],
    benchmark: Benchmark,
    library: Library | None = None,
    audit: Mapping[str, Any] | None = None,
    *,
    vocabulary: ActionNames | None = None,
    failures: int = 12,
    successes: int = 4,
    frames: int = 6,
    figures: str | Path | None = None,
) -> Path:
    """Write ``report.html``: no other file, no network and no account is needed to read it.

    Args:
        path: the file to write.
        runs: run folders, in the order they are shown; baselines come behind the models.
        benchmark: what the runs were made on.
        library: where the frames of the worst failures come from; without it they are shown without frames.
        audit: the benchmark's audit; the ``audit.json`` of its folder by default, if there is one.
        vocabulary: names of classes; the benchmark's own by default.
        failures: how many wrong answers to show of each run.
        successes: how many right ones.
        frames: how many frames of each.
        figures: folder for figures and tables as files, see :func:`llavaction.evaluation.figures.write_figures`.

    Returns:
        The path written.

    Raises:
        InputError: there are no runs, one is not finished, or one was made on another benchmark.
    """
    finished = [run if isinstance(run, FinishedRun) else FinishedRun.load(run) for run in runs]
    for run in finished:
        if run.recognitions:
            raise InputError("is a recognition, not an evaluation", file=run.folder, hint="report it by itself")
    finished.sort(key=lambda run: run.is_baseline)  # the models first, in the order given
    if not finished:
        raise InputError("a report needs at least one run", hint="make one with: llavaction eval ...")
    if audit is None and benchmark.folder is not None and (benchmark.folder / "audit.json").is_file():
        audit = read_json(benchmark.folder / "audit.json")
    names = names_for(benchmark, vocabulary)
    strips: dict[str, Strip] = {}

    def strip(question: Question) -> Strip:
        if question.question_id not in strips:
            strips[question.question_id] = film_strip(library, question, frames)
        return strips[question.question_id]

    pairs = [_pairs(benchmark, run) for run in finished]
    views = [
        RunView(
            label=label,
            anchor=f"run-{number}",
            run=run,
            heat_map=heat_map(run_pairs, names),
            failures=[view(question, item, strip(question)) for question, item in worst(run_pairs, failures)],
            successes=[view(question, item, strip(question)) for question, item in surest(run_pairs, successes)],
            failed=[item for _, item in run_pairs if item.parse_status == "failed"],
            unparsed=[item for _, item in run_pairs if item.parse_status == "unparsed"],
            noted=[item for _, item in run_pairs if item.note is not None],
            environment=environment_of(run.folder),
        )
        for number, (label, run, run_pairs) in enumerate(zip(labels(finished), finished, pairs, strict=True), start=1)
    ]
    text = template("report.html.j2").render(
        benchmark=benchmark,
        videos=len({question.clip.video_id for question in benchmark.questions}),
        views=views,
        differences=list(differences([view.label for view in views], pairs)),
        audit=audit,
        version=__version__,
        listed=LISTED,
        table_rows=TABLE_ROWS,
    )
    write_text(path, text)
    if figures is not None:
        write_figures(figures, finished, pairs, names)
    return Path(path)


def _pairs(benchmark: Benchmark, run: FinishedRun) -> Pairs:
    try:
        return match(benchmark, run.predictions)
    except InputError as error:
        raise InputError(error.problem, file=run.folder, hint=error.hint) from None


def environment_of(folder: Path) -> Any:
    """The last environment a run was made in; None where that is not on record."""
    path = folder / "environment.json"
    if not path.is_file():
        return None
    record = read_json(path)
    listed = record.get("environments") if isinstance(record, dict) else None
    if not isinstance(listed, list) or not listed or not isinstance(listed[-1], dict):
        raise InputError("expected the environments a run was made in", file=path)
    return listed[-1]


def differences(labels: Sequence[str], pairs: Sequence[Pairs]) -> Iterator[dict[str, Any]]:
    """Paired comparisons of every two runs (of the first with each other one, where there are more than four)."""
    run_pairs = combinations(range(len(pairs)), 2) if len(pairs) <= 4 else ((0, i) for i in range(1, len(pairs)))
    for a, b in run_pairs:
        second = {question.question_id: item.correct for question, item in pairs[b]}
        common = [(question, item.correct) for question, item in pairs[a] if question.question_id in second]
        if common:
            comparison = paired_comparison(
                [right for _, right in common],
                [second[question.question_id] for question, _ in common],
                [question.clip.video_id for question, _ in common],
            )
            yield {"a": labels[a], "b": labels[b], "comparison": comparison, "questions": len(common)}


def percent(share: float | None, digits: int = 1) -> str:
    """A share as text, "41.2 %" with a blank that does not break; a dash for None."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u00a0%"


def points(share: float | None) -> str:
    """A difference of shares as text, "+3.1"; a dash for None."""
    return "–" if share is None else f"{100 * share:+.1f}".replace("-", "−")


def clock(seconds: float) -> str:
    """Seconds as text, "1:02.50"."""
    minutes, remainder = divmod(round(seconds, 2), 60)
    return f"{int(minutes)}:{remainder:05.2f}"


def plain(value: Any) -> str:
    """Any scalar of a settings file as text."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def template(name: str) -> Any:
    """One of our templates, with the filters they use."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
        autoescape=True,
        finalize=lambda value: shown(value, lines=True) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "clock": clock,
        "p_value": p_value,
        "plain": plain,
    }
    return environment.get_template(name)
