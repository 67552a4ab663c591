"""The map of docs/architecture.md: every module with the first line of its docstring.

python tests/helpers/module_map.py  # writes it into the document
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"


def modules(folder: Path | None = None, name: str = "") -> dict[str, str]:
    """Packages ("llavaction/cli/") and modules with their glosses, rooms in the order of the layers."""
    if folder is None:
        return modules(ROOT / "src" / "llavaction", "llavaction/") | modules(
            ROOT / "src" / "kitchen_mini", "kitchen_mini/"
        )
    layers = re.findall(r'"[a-z_]+\.(\w+)",', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = {name: _gloss(folder / "__init__.py")}
    found |= {name + path.name: _gloss(path) for path in sorted(folder.glob("*.py")) if path.stem != "__init__"}
    rooms = [path.parent for path in sorted(folder.glob("*/__init__.py"))]
    for room in sorted(rooms, key=lambda path: layers.index(path.name) if path.name in layers else len(layers)):
        found |= modules(room, f"{name}{room.name}/")
    return found


def _gloss(path: Path) -> str:
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    return re.sub(r":\w+:|`", "", first).rstrip(".")


def drawn() -> str:
    """The map as the document shows it."""
    lines = {}
    for name, gloss in modules().items():
        depth = name.rstrip("/").count("/")
        lines["  " * depth + name.rstrip("/").rpartition("/")[2] + "/" * name.endswith("/"), name] = gloss
    width = max(len(shown) for shown, _ in lines) + 2
    return "".join(f"{shown:<{width}}{gloss}\n" for (shown, _), gloss in lines.items())


def write() -> None:
    """Put the map of today into the document."""
    before, start, rest = DOCUMENT.read_text(encoding="utf-8").partition("## The map\n")
    said, fence, rest = rest.partition("```text\n")
    DOCUMENT.write_text(before + start + said + fence + drawn() + rest[rest.index("```") :], encoding="utf-8")


if __name__ == "__main__":
    write()
