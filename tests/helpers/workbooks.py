"""Small .xlsx workbooks, and annotations of animals in the forms that Animal Kingdom has."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"

CLASSES = ("Attending", "Eating", "Flapping tail", "Keeping still", "Walking", "Yawning")
"""Of the animals."""
CLIPS = (
    ("AAACXZTV", "train", "0,1"),
    ("AAAUILHH", "train", "3"),
    ("AABCQPTK", "train", "3,4"),
    ("AABDBVRM", "test", "1,5"),
    ("AABFEVRM", "test", "4"),
)
"""Video, split and labels."""


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]], *, inline: bool = False) -> Path:
    """Write sheets of texts, numbers, None (no cell) and errors ("#N/A"); texts are shared unless ``inline``."""
    texts: list[str] = []
    parts: dict[str, str] = {}
    for number, rows in enumerate(sheets.values(), start=1):
        body = "".join(
            f'<row r="{line}">{"".join(_cell(value, column, line, texts, inline) for column, value in enumerate(row))}'
            "</row>"
            for line, row in enumerate(rows, start=1)
        )
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>'
        )
    named = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"/>'
        for number, name in enumerate(sheets, start=1)
    )
    parts["xl/workbook.xml"] = f'<workbook xmlns="{MAIN}" xmlns:r="{DOCUMENT}"><sheets>{named}</sheets></workbook>'
    targets = "".join(
        f'<Relationship Id="rId{number}" Type="{DOCUMENT}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    parts["xl/_rels/workbook.xml.rels"] = f'<Relationships xmlns="{PACKAGE}">{targets}</Relationships>'
    if texts:
        shared = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{shared}</sst>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}')
    return path


def _cell(value: object, column: int, line: int, texts: list[str], inline: bool) -> str:
    place = f"{chr(65 + column)}{line}"
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f'<c r="{place}" t="n"><v>{value}</v></c>'
    text = str(value)
    if text.startswith("#"):
        return f'<c r="{place}" t="e"><f>{text}</f><v>{text}</v></c>'
    if inline:
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'
    if text not in texts:
        texts.append(text)
    return f'<c r="{place}" t="s"><v>{texts.index(text)}</v></c>'


def animal_sheets() -> dict[str, list[list[object]]]:
    """The sheets AR and Action; as in the release, Yawning has no id and the classes stand in another order."""
    clips: list[list[object]] = [["S/N", "video_id", "type", "labels", "list_animal_action"]]
    clips += [
        [number, video, split, int(labels) if labels.isdecimal() else labels, "[('Otter', 'Eating')]"]
        for number, (video, split, labels) in enumerate(CLIPS, start=1)
    ]
    order = (4, 1, 5, 0, 3, 2)
    classes: list[list[object]] = [["Label", "Category", "Action", "Description"]]
    classes += [["#N/A" if place == 5 else place, "General", CLASSES[place], "It does so"] for place in order]
    return {"AR": clips, "CARe": [["S/N"]], "Action": classes}
