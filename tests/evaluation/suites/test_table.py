"""The table of a suite: which figure is ours, and how published ones stand to its interval."""

from __future__ import annotations

import csv
import io

import pytest

from llavaction.base.errors import InputError
from llavaction.evaluation.suites.config import Entry, Published, Suite
from llavaction.evaluation.suites.formats import FORMATS
from llavaction.evaluation.suites.table import ABOVE, BELOW, INSIDE, OTHER, Outcome, figure_in, stands, table_of

FIGURE = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 40, "clusters": 12}


def published(value: float, **more: object) -> Published:
    return Published.from_mapping({"model": "A|B", "value": value, "source": "a paper, Table 1", **more})


def test_how_a_published_figure_stands() -> None:
    values = {49.9: BELOW, 50.0: INSIDE, 60.0: INSIDE, 70.0: INSIDE, 70.1: ABOVE}
    assert {value: stands(published(value), FIGURE, 40) for value in values} == values
    assert stands(published(60, comparable=False), FIGURE, 40) == OTHER
    assert stands(published(60, questions=41), FIGURE, 40) == OTHER
    assert stands(published(60, questions=40), FIGURE, 40) == INSIDE
    assert stands(published(60), {"value": 0.6, "low": None, "high": None}) is None


def test_which_figure_is_ours() -> None:
    other = {"value": 0.1, "low": 0.0, "high": 0.2}
    assert figure_in({"accuracy": FIGURE}) == FIGURE
    assert figure_in({"map": FIGURE, "decisions": {}}) == FIGURE
    assert figure_in({"overall": {"two_stage": {"action": FIGURE, "verb": other}}, "accuracy": other}) == FIGURE
    assert figure_in({"overall": {"two_stage": {"verb": other}}}, "overall.two_stage.verb") == other
    scores = {"official": "exact_match", "scores": {"exact_match": {"all": FIGURE}, "same": {"all": other}}}
    assert figure_in(scores) == FIGURE and figure_in(scores, "scores.same.all") == other
    assert figure_in({"a": {"b": 0.25}}, "a.b") == {"value": 0.25, "low": None, "high": None}
    for metrics, place in (({"map": None}, None), ({"accuracy": FIGURE}, "accuracy.none"), ({"a": True}, "a")):
        with pytest.raises(InputError, match="has no figure at"):
            figure_in(metrics, place)


def test_every_form_has_every_row() -> None:
    entry = Entry.from_mapping({
        "name": "one", "title": "One <b>", "settings": {"frames": 8, "stages": ["letters", "texts"], "seed": 3},
        "figures": {"top": "accuracy", "none": "nowhere"},
        "published": [{"model": "A|B", "value": 65.0, "source": "a paper, Table 1", "figure": "top"}],
    })  # fmt: skip
    two, three = Entry(name="two"), Entry(name="three")
    suite = Suite(name="s", models=("A|B", "C"), benchmarks=(entry, two, three))
    counts = {"questions": 40, "failed": 2, "unparsed": 1}
    outcomes = [
        Outcome(entry, "done", metrics={"accuracy": FIGURE, "counts": counts}),
        Outcome(two, "missing", why="no file; get it: there"),
        Outcome(three, "failed", why="it broke"),
    ]
    table = table_of(suite, outcomes, "oracle")
    top, none, missing, failed = table["rows"]
    assert (top["value"], top["low"], top["high"], top["asked"], top["videos"]) == (0.6, 0.5, 0.7, 40, 12)
    assert top["published"] == {"A|B": {"value": 65.0, "stands": INSIDE, "source": "a paper, Table 1"}}
    assert top["settings"] == {"frames": 8, "stages": ["letters", "texts"]}
    assert top["notes"] == ["2 could not be asked", "1 had an unreadable answer"]
    assert none["value"] is None and none["notes"][0] == "metrics.json has no figure at 'nowhere'"
    assert [row["status"] for row in (missing, failed)] == ["missing", "failed"] and missing["asked"] is None
    texts = {suffix: write(table) for suffix, write in FORMATS.items()}
    line = "| One <b>, top | 40 | 60.0 [50.0, 70.0] | 65.0 (inside) |  | frames 8, stages letters+texts |"
    assert texts["md"].splitlines()[2] == line
    assert texts["md"].splitlines()[0].startswith("| benchmark | asked | ours [95 % interval] | A\\|B | C |")
    assert "- One <b>, top, A|B 65.0: a paper, Table 1" in texts["md"]
    assert "- two: missing: no file; get it: there" in texts["md"]
    assert "<td>One &lt;b&gt;, top</td>" in texts["html"] and "<b>" not in texts["html"]
    assert r"60.0 [50.0, 70.0] & 65.0 (inside) &" in texts["tex"] and texts["tex"].count(r"\\") == 5
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert rows[0]["value"] == "0.6" and rows[0]["A|B"] == "65.0" and rows[0]["A|B stands"] == "inside"
    assert [row["status"] for row in rows] == ["done", "done", "missing", "failed"] and rows[3]["why"] == "it broke"
