"""docs/benchmarks.md tells of every public benchmark what its description says."""

from __future__ import annotations

import yaml

from helpers.benchmark_table import BEGIN, DOCUMENT, END, drawn
from helpers.public_benchmarks import FILES


def test_the_document_is_drawn_from_the_descriptions() -> None:
    """Where it is not: python tests/helpers/benchmark_table.py."""
    said = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert said.strip() == drawn().strip()
    for name in FILES:
        block = said.partition(f"## {name}\n")[2].partition("```yaml\n")[2].partition("```")[0]
        assert yaml.safe_load(block)["like"] == name
