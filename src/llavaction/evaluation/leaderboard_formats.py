"""A leaderboard as text: Markdown, HTML, LaTeX or CSV."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from llavaction.base.text import shown
from llavaction.evaluation.comparison import p_value
from llavaction.evaluation.figures import latex
from llavaction.evaluation.leaderboard import LEVEL

_BETTER, _WORSE = "better", "worse"
_CSV_COLUMNS = (
    *("model", "benchmark", "accuracy", "low", "high", "questions", "videos", "interval", "group"),
    *("best_rank", "worst_rank", "difference", "p_holm"),
)


def markdown(board: Mapping[str, Any]) -> str:
    """As a Markdown table with the notes below."""
    head, *rows = _table(board)
    lines = [_row(head), _row(["---"] + ["---:"] * (len(head) - 1)), *map(_row, rows), ""]
    return "\n".join([*lines, *(f"- {shown(note)}" for note in _legend(board))]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(shown(cell).replace("|", "\\|") for cell in cells) + " |"


def html_page(board: Mapping[str, Any]) -> str:
    """As one self-contained HTML page."""
    head, *rows = _table(board)
    top = "".join(f"<th>{html.escape(shown(cell))}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(shown(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    notes = "".join(f"<li>{html.escape(shown(note))}</li>" for note in _legend(board))
    style = (
        "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
        "td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:right}"
        "td:first-child,th:first-child{text-align:left}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Leaderboard</title><style>{style}</style>'
        f"</head><body>\n<table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>\n"
        f"<ul>{notes}</ul>\n</body></html>\n"
    )


def latex_table(board: Mapping[str, Any]) -> str:
    """As a LaTeX tabular, with what it means as comments."""
    head, *rows = _table(board)
    lines = [" & ".join(latex(shown(cell)) for cell in row) + r" \\" for row in (head, *rows)]
    notes = [f"% {shown(note)}" for note in _legend(board)]
    columns = "l" + "r" * (len(head) - 1)
    table = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\hline",
        lines[0],
        r"\hline",
        *lines[1:],
        r"\hline",
        r"\end{tabular}",
    ]
    return "\n".join([*notes, *table]) + "\n"


def csv_table(board: Mapping[str, Any]) -> str:
    """As CSV, a row for each model and benchmark, shares from 0 to 1."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for row in board["rows"]:
        for name, cell in row["cells"].items():
            if cell is None:
                continue
            against, rank = cell.get("against", {}), cell.get("rank", ["", ""])
            numbers = [cell[key] for key in ("value", "low", "high", "n", "clusters", "method")]
            tested = [against.get("difference", ""), against.get("p_holm", "")]
            writer.writerow([shown(row["model"]), shown(name), *numbers, cell.get("group", ""), *rank, *tested])
    return stream.getvalue()


FORMATS = {"markdown": markdown, "html": html_page, "latex": latex_table, "csv": csv_table}
"""Name of a form to what writes it."""


def _table(board: Mapping[str, Any]) -> list[list[str]]:
    head = ["model", *board["benchmarks"]]
    return [head, *([row["model"], *map(_cell, row["cells"].values())] for row in board["rows"])]


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "–"
    text = f"{100 * cell['value']:.1f} [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"
    if "group" in cell:
        first, last = cell["rank"]
        return f"{text} {cell['group']}, rank {first if first == last else f'{first}–{last}'}"
    if "against" in cell:
        difference, p = cell["against"]["difference"], cell["against"]["p_holm"]
        judged = "" if p >= LEVEL else f", {_BETTER if difference > 0 else _WORSE}"
        return f"{text} ({100 * difference:+.1f}, {p_value(p)}{judged})"
    return text


def _legend(board: Mapping[str, Any]) -> list[str]:
    counts = {
        name: {(row["cells"][name]["n"], row["cells"][name]["clusters"]) for row in board["rows"] if row["cells"][name]}
        for name in board["benchmarks"]
    }
    sizes = "; ".join(
        f"{name}: " + " or ".join(f"{n} questions from {videos} videos" for n, videos in sorted(found))
        for name, found in counts.items()
    )
    notes = [f"Accuracy in %, with 95 % interval by video. {sizes}."]
    if board["reference"] is None:
        notes.append(
            "Models without a letter in common differ significantly; a rank is a range where significant differences "
            "leave it open."
        )
    else:
        notes.append(f"In brackets: points and corrected p-value against {board['reference']}.")
    notes.append(f"Sign-flip tests by video on common questions; p-values corrected by {board['correction']}.")
    return [*notes, *board["notes"]]
