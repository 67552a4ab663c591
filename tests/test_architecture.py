"""docs/architecture.md names every module there is, and no document names one that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.module_map import DOCUMENT, ROOT, drawn, modules

HISTORY = {"log.md"}
"""Documents that speak of what was."""
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
    if path.name not in HISTORY
]


def test_the_map_names_every_module_in_the_order_of_the_layers() -> None:
    """Where it does not: python tests/helpers/module_map.py."""
    said = DOCUMENT.read_text(encoding="utf-8").partition("## The map")[2]
    block = said.partition("```text\n")[2].partition("```")[0]
    named, there = (re.findall(r"^ *\S+", text, re.MULTILINE) for text in (block, drawn()))
    assert named == there and len(there) > 200


def test_readme_names_every_room() -> None:
    house = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The house")[2]
    listed = re.findall(r"^ {6}(\w+/) +\S", house, re.MULTILINE)
    rooms = [name.removeprefix("llavaction/") for name in modules() if re.fullmatch(r"llavaction/\w+/", name)]
    assert sorted(listed) == sorted(rooms)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_documents_name_are_there(document: Path) -> None:
    folders = ("src", "tests", "benchmarks", "examples")
    known = [f"/{path.relative_to(ROOT)}" for folder in folders for path in (ROOT / folder).rglob("*.py")]
    examples = {"llava_next_video.py", "event_list.py"}  # what the guides let their reader write
    named = set(re.findall(r"`(?:llavaction/)?([\w/]+\.py)\b", document.read_text(encoding="utf-8")))
    lost = {name for name in named if not any(path.endswith(f"/{name}") for path in known)}
    assert {name for name in lost if Path(name).name not in examples} == set()
