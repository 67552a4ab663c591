"""The changelog has the form of Keep a Changelog, and its newest version is the package's."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path

import yaml

import llavaction

ROOT = Path(__file__).parents[1]
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_versions_fall_with_their_dates_and_the_newest_is_the_packages() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    released = [heading.split(" - ") for heading in headings if heading != "Unreleased"]
    assert headings.count("Unreleased") <= 1 and headings[-len(released) :] == [" - ".join(pair) for pair in released]
    versions = [tuple(int(part) for part in version.split(".")) for version, _ in released]
    dates = [datetime.date.fromisoformat(date) for _, date in released]
    assert versions == sorted(set(versions), reverse=True) and dates == sorted(dates, reverse=True)
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= KINDS
    assert released[0][0] == llavaction.__version__


def test_the_version_is_the_same_wherever_it_is_written() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == llavaction.__version__
