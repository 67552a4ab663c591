"""Figures (SVG, PDF) and tables (CSV, LaTeX) of runs, for papers."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from llavaction.base.files import whole
from llavaction.base.records import write_text
from llavaction.base.text import shown
from llavaction.evaluation.finished import FinishedRun, labels
from llavaction.evaluation.metrics import Pairs, confusion
from llavaction.evaluation.names import ActionNames

Cell = str | int | float | None

HEAT_MAP_CLASSES = 12

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_STYLE: Any = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "llavaction", "pdf.fonttype": 42}


@dataclass(frozen=True)
class HeatMap:
    """Which verbs are taken for which.

    Attributes:
        names: the most frequent verbs, rows and columns alike.
        rows: per verb its name, how many of its questions were answered, and a cell (count, share of the row) for each
            column and one for all other verbs.
    """

    names: Sequence[str]
    rows: Sequence[tuple[str, int, Sequence[tuple[int, float]]]]


def heat_map(pairs: Pairs, names: ActionNames) -> HeatMap | None:
    """Shares of chosen verbs for the most frequent right ones; None where the options have no classes."""
    counts = confusion(pairs, 0)
    totals: Counter[int] = Counter()
    for (true, _), n in counts.items():
        totals[true] += n
    if not totals:
        return None
    frequent = sorted(totals, key=lambda verb: (-totals[verb], verb))[:HEAT_MAP_CLASSES]
    rows = []
    for true in frequent:
        cells = [counts[true, chosen] for chosen in frequent]
        cells.append(totals[true] - sum(cells))
        rows.append((names.verb_name(true), totals[true], [(n, n / totals[true]) for n in cells]))
    return HeatMap([names.verb_name(verb) for verb in frequent], rows)


def write_figures(folder: str | Path, runs: Sequence[FinishedRun], pairs: Sequence[Any], names: Any) -> list[Path]:
    """Write what a paper shows of runs on one benchmark.

    ``accuracy`` (all runs, bars with 95 % intervals), and for each run ``classes-N`` (verbs, nouns, actions),
    ``confusions-N``, ``calibration-N`` and ``verbs-N`` (heat map; ``actions-N`` where labels are no
    pairs): tables as .csv and .tex, figures as .svg and .pdf.

    Args:
        folder: where they go.
        runs: evaluations, in the order they are shown.
        pairs: for each run its questions with predictions.
        names: of the classes.

    Returns:
        The files written.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (pip install 'llavaction[figures]').
        InputError: a file cannot be written.
    """
    folder, run_labels = Path(folder), labels(runs)
    paths = _table(folder / "accuracy", _accuracies(run_labels, runs))
    paths += _figure(folder / "accuracy", lambda axes: _bars(axes, run_labels, runs), (5, 0.5 + 0.35 * len(runs)))
    for number, (run, run_pairs) in enumerate(zip(runs, pairs, strict=True), start=1):
        metrics = run.metrics
        paths += _table(folder / f"classes-{number}", _classes(metrics))
        paths += _table(folder / f"confusions-{number}", _confusions(metrics))
        if metrics.get("calibration"):
            curve = metrics["calibration"]
            paths += _figure(folder / f"calibration-{number}", lambda axes, curve=curve: _dots(axes, curve), (3, 3))
        heat = heat_map(run_pairs, names)
        if heat is not None:
            part = "verb" if metrics["parts"].get("verb") else "action"
            draw = partial(_heat, heat=heat, part=part)
            paths += _figure(folder / f"{part}s-{number}", draw, (6, 5))
    return paths


def _accuracies(run_labels: Sequence[str], runs: Sequence[FinishedRun]) -> list[list[Cell]]:
    head = ["run", "accuracy", "low", "high", "questions", "videos", "answered", "unread", "not_asked", "chance"]
    rows: list[list[Cell]] = [[*head]]
    for name, run in zip(run_labels, runs, strict=True):
        share, counts = run.metrics["accuracy"], run.metrics["counts"]
        interval = [share["value"], share["low"], share["high"]] if counts["answered"] else [None] * 3
        values = [*interval, share["n"], share["clusters"]]
        rows.append([name, *values, counts["answered"], counts["unparsed"], counts["failed"], run.metrics["chance"]])
    return rows


def _classes(metrics: Mapping[str, Any]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [["of", "class", "questions", "right", "accuracy", "low", "high"]]
    for kind in ("verbs", "nouns", "actions"):
        for row in metrics.get(kind) or ():
            values = [row["n"], row["correct"], row["accuracy"], row["low"], row["high"]]
            rows.append([kind, row["name"], *values])
    return rows


def _confusions(metrics: Mapping[str, Any]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [["of", "right", "chosen", "how often", "questions"]]
    for kind, pairs in metrics.get("confusions", {}).items():
        rows += [[kind, row["true"], row["chosen"], row["n"], row["of"]] for row in pairs]
    return rows


def _table(path: Path, rows: Sequence[Sequence[Cell]]) -> list[Path]:
    """The same rows as CSV (numbers as they are) and as a LaTeX tabular (shares with four decimals)."""
    stream = io.StringIO()
    rows = [["" if cell is None else shown(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    csv.writer(stream, lineterminator="\n").writerows(rows)
    columns = "l" + "r" * (len(rows[0]) - 1)
    body = [" & ".join(map(_tex, row)) + r" \\" for row in rows]
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", body[0], r"\hline", *body[1:], r"\hline", r"\end{tabular}"]
    files = [path.with_name(path.name + suffix) for suffix in (".csv", ".tex")]
    for file, text in zip(files, (stream.getvalue(), "\n".join(lines) + "\n"), strict=True):
        write_text(file, text)
    return files


def _tex(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.4f}"
    return latex(str(cell))


def latex(text: str) -> str:
    """Text in which LaTeX sees no command."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _figure(path: Path, draw: Any, size: tuple[float, float]) -> list[Path]:
    """A drawing as SVG and PDF; the same one gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    files = []
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        for suffix, undated in ((".svg", {"Date": None}), (".pdf", {"CreationDate": None})):
            files.append(path.with_name(path.name + suffix))
            with whole(files[-1]) as part:
                figure.savefig(part, format=suffix[1:], metadata=undated)
    return files


def _plain(text: str) -> str:
    """Text in which a drawing sees no mathematics."""
    return shown(text).replace("$", r"\$")


def _bars(axes: Any, run_labels: Sequence[str], runs: Sequence[FinishedRun]) -> None:
    for place, run in enumerate(reversed(runs)):
        share = run.metrics["accuracy"]
        if not run.metrics["counts"]["answered"]:
            continue
        value = 100 * share["value"]
        reach = [[max(value - 100 * share["low"], 0)], [max(100 * share["high"] - value, 0)]]
        axes.barh(place, value, xerr=reach, color="#4477aa", ecolor="#222222", capsize=3, height=0.6)
    axes.axvline(100 * runs[0].metrics["chance"], color="#888888", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(runs)), [_plain(name) for name in reversed(run_labels)])
    axes.set_xlim(0, 100)
    axes.set_xlabel("right answers, % (95 % interval; dashed: guessing)")


def _dots(axes: Any, calibration: Mapping[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1)
    sizes = [20 + 200 * bin["n"] / calibration["n"] for bin in calibration["bins"]]
    points = [(bin["confidence"], bin["accuracy"]) for bin in calibration["bins"]]
    axes.scatter(*zip(*points, strict=True), s=sizes, color="#4477aa", alpha=0.8)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the choice", ylabel="share of right answers")


def _heat(axes: Any, heat: HeatMap, part: str) -> None:
    columns = [*heat.names, "any other"]
    axes.imshow([[share for _, share in cells] for _, _, cells in heat.rows], vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(columns)), [_plain(name) for name in columns], rotation=60, ha="right")
    axes.set_yticks(range(len(heat.rows)), [_plain(f"{name} ({n})") for name, n, _ in heat.rows])
    axes.set(xlabel=f"{part} of the chosen option", ylabel=f"right {part} (questions answered)")
