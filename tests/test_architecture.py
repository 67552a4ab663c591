"""docs/architecture.md names every module there is, and no document names one that is not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
HISTORY = {"log.md"}
"""Documents that speak of what was."""
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
    if path.name not in HISTORY
]


def on_the_map() -> dict[str, str]:
    """Modules and packages ("llavaction/cli/") of the map with their glosses."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.partition("## The map")[2].partition("```text\n")[2].partition("```")[0]
    found: dict[str, str] = {}
    above: list[str] = []
    for line in block.splitlines():
        name, _, gloss = line.strip().partition(" ")
        del above[(len(line) - len(line.lstrip())) // 2 :]
        found["".join([*above, name])] = gloss.strip()
        if name.endswith("/"):
            above.append(name)
    return found


def test_the_map_names_every_module_and_says_what_it_holds() -> None:
    files = {str(path.relative_to(SOURCE)): path for path in SOURCE.rglob("*.py")}
    there = {name.removesuffix("__init__.py"): path for name, path in files.items()}
    named = on_the_map()
    lacking = {
        f"{name}: {ast.get_docstring(ast.parse(there[name].read_text(encoding='utf-8')))}".splitlines()[0]
        for name in there.keys() - named.keys()
    }
    assert lacking == set(), "docs/architecture.md, 'The map', lacks these"
    assert not named.keys() - there.keys(), "the map names modules that are gone"
    assert all(named.values())


def test_rooms_stand_on_the_map_in_the_order_of_the_layers() -> None:
    layers = re.findall(r'"llavaction\.(\w+)",', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rooms = [name.split("/")[1] for name in on_the_map() if re.fullmatch(r"llavaction/\w+/", name)]
    assert rooms == [layer for layer in layers if layer in rooms]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_documents_name_are_there(document: Path) -> None:
    folders = ("src", "tests", "benchmarks", "examples")
    known = [f"/{path.relative_to(ROOT)}" for folder in folders for path in (ROOT / folder).rglob("*.py")]
    examples = {"llava_next_video.py"}  # what add-a-model.md lets its reader write
    named = set(re.findall(r"`(?:llavaction/)?([\w/]+\.py)\b", document.read_text(encoding="utf-8")))
    lost = {name for name in named if not any(path.endswith(f"/{name}") for path in known)}
    assert {name for name in lost if Path(name).name not in examples} == set()
