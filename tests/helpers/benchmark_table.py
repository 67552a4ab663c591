"""The tables of docs/benchmarks.md: the public benchmarks, by their descriptions.

python tests/helpers/benchmark_table.py  # writes them into the document
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.public_benchmarks import FILES
from llavaction.evaluation.benchmarks.protocol import Protocol, known_protocols, load_protocol

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- benchmark_table.py writes from here -->", "<!-- to here -->"


def drawn() -> str:
    """What stands between the marks."""
    protocols = {name: load_protocol(path) for name, path in known_protocols().items() if name in FILES}
    head = ["| `like:` | questions | metric | licence |", "|---|---|---|---|"]
    rows = [_row(name, protocol) for name, protocol in protocols.items()]
    return "\n".join([*head, *rows, "", *(line for name in protocols for line in _section(name, protocols[name]))])


def _row(name: str, protocol: Protocol) -> str:
    source, expected = protocol.source, protocol.expected
    count = expected.get("questions", expected.get("rows"))
    number = "" if count is None else f"{count:,}"
    return f"| [`{name}`](#{name}) | {number} | {source.metric} | {source.licence} |"


def _section(name: str, protocol: Protocol) -> list[str]:
    comment = []
    for line in known_protocols()[name].read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").removeprefix(" "))
    text = [f"    {line.strip()}\n" if line.startswith("  ") else _plain(line) for line in comment]
    source = protocol.source
    groups = [protocol.columns.group] if isinstance(protocol.columns.group, str) else protocol.columns.group or ()
    lines = [f"## {name}", "", f"{protocol.name}: {source.url}, {source.version}. {source.citation or ''}".strip(), ""]
    lines += [
        "\n".join(_spaced(text)),
        "",
        "```yaml",
        f"like: {name}",
        f"file: {_quoted(FILES[name][0])}",
        "videos: VIDEOS",
        "```",
    ]
    lines += ["", f"Metric: {source.metric} ({source.metric_source})."]
    lines += [f"Groups: {', '.join(protocol.groups) or ', '.join(groups)}."] if groups else []
    lines += [f"Prompt: {source.prompt.source}."] if source.prompt else []
    lines += ["", *(f"- {_plain(fault)}" for fault in source.faults or ()), ""]
    return lines


def _spaced(lines: list[str]) -> list[str]:
    """Indented lines as blocks of their own."""
    spaced: list[str] = []
    for line in lines:
        spaced += ["", line] if line.startswith("    ") else [line]
    return spaced


def _plain(text: str) -> str:
    """Text whose signs Markdown shows as they are."""
    return text.replace("<", "&lt;").replace("*", "\\*")


def _quoted(file: str) -> str:
    return f'"{file}"' if "*" in file else file


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{drawn()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
