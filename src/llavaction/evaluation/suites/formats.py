"""The table of a suite as text: Markdown, CSV, HTML or LaTeX."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping
from typing import Any

from llavaction.base.text import shown
from llavaction.evaluation.figures import latex

_CSV = ("benchmark", "figure", "status", "asked", "unit", "videos", "value", "low", "high")


def markdown(table: Mapping[str, Any]) -> str:
    """As a Markdown table with the notes below."""
    head, *rows = _cells(table)
    lines = [_row(head), _row(["---"] + ["---:"] * (len(head) - 2) + ["---"]), *map(_row, rows), ""]
    return "\n".join([*lines, *(f"- {shown(note)}" for note in _notes(table))]) + "\n"


def csv_table(table: Mapping[str, Any]) -> str:
    """As CSV, a row for each figure; our shares from 0 to 1, published figures in percent."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_CSV, *(f"{model}{what}" for model in table["models"] for what in ("", " stands")), "why"])
    for row in table["rows"]:
        published = [row["published"].get(model, {}) for model in table["models"]]
        theirs = [_text(found.get(key)) for found in published for key in ("value", "stands")]
        writer.writerow([*(_text(row[key]) for key in _CSV), *theirs, _text(row["why"])])
    return stream.getvalue()


def html_page(table: Mapping[str, Any]) -> str:
    """As one self-contained HTML page."""
    head, *rows = ([html.escape(shown(cell)) for cell in row] for row in _cells(table))
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    top = "".join(f"<th>{cell}</th>" for cell in head)
    notes = "".join(f"<li>{html.escape(shown(note))}</li>" for note in _notes(table))
    title = html.escape(shown(f"{table['suite']}: {table['backend']}"))
    style = (
        "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
        "td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:left}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
        f"</head><body>\n<h1>{title}</h1>\n<table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>\n"
        f"<ul>{notes}</ul>\n</body></html>\n"
    )


def latex_table(table: Mapping[str, Any]) -> str:
    """As a LaTeX tabular, with what it means as comments."""
    head, *rows = _cells(table)
    lines = [" & ".join(latex(shown(cell)) for cell in row) + r" \\" for row in (head, *rows)]
    columns = "l" + "r" * (len(head) - 2) + "l"
    notes = [f"% {shown(note)}" for note in _notes(table)]
    body = [r"\hline", lines[0], r"\hline", *lines[1:], r"\hline"]
    return "\n".join([*notes, rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"]) + "\n"


FORMATS = {"md": markdown, "csv": csv_table, "html": html_page, "tex": latex_table}
"""Suffix of a form to what writes it."""


def _cells(table: Mapping[str, Any]) -> list[list[str]]:
    head = ["benchmark", "asked", "ours [95 % interval]", *table["models"], "settings"]
    return [head, *(_line(row, table["models"]) for row in table["rows"])]


def _line(row: Mapping[str, Any], models: list[str]) -> list[str]:
    name = _name(row)
    asked = "" if row["asked"] is None else f"{row['asked']:,}"
    settings = ", ".join(f"{key} {_told(value)}" for key, value in row["settings"].items())
    return [name, asked, _ours(row), *(_theirs(row["published"].get(model)) for model in models), settings]


def _ours(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return row["status"] if row["status"] != "done" else ""
    ends = "no interval" if row["low"] is None else f"{100 * row['low']:.1f}, {100 * row['high']:.1f}"
    return f"{100 * row['value']:.1f} [{ends}]"


def _theirs(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    return f"{found['value']:.1f} ({found['stands']})" if found["stands"] else f"{found['value']:.1f}"


def _notes(table: Mapping[str, Any]) -> list[str]:
    notes = [
        f"{table['suite']}, asked: {table['backend']}. Figures in %, with 95 % interval by video; whether a published "
        "figure lies inside it, above or below. Blank: not known.",
        *([table["about"]] if table["about"] else []),
    ]
    said: dict[str, list[str]] = {}
    for row in table["rows"]:
        for told in ([f"{row['status']}: {row['why']}"] if row["why"] else []) + row["notes"]:
            said.setdefault(told, []).append(_name(row))
    notes += [f"{'; '.join(names)}: {told}" for told, names in said.items()]
    for row in table["rows"]:
        name = _name(row)
        notes += [
            f"{name}, {model} {found['value']:.1f}: {found['source']}" for model, found in row["published"].items()
        ]
    return notes


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['benchmark']}, {row['figure']}" if row["figure"] else str(row["benchmark"])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(shown(cell).replace("|", "\\|") for cell in cells) + " |"


def _told(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _text(value: Any) -> Any:
    return "" if value is None else shown(value) if isinstance(value, str) else value
