"""Suites as data: those that come along, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from llavaction.backends.asking_config import AskingConfig
from llavaction.base.errors import InputError
from llavaction.evaluation.benchmarks.protocol import known_protocols, load_protocol
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.open_answers.config import OpenRunConfig
from llavaction.evaluation.suites.config import Entry, Suite, load_suite
from llavaction.recipes import collected, suite_file
from llavaction.recognition.config import RecognitionConfig
from llavaction.recognition.multi_label_config import MultiLabelConfig

CONFIGS: dict[str, type[AskingConfig]] = {
    "questions": RunConfig,
    "recognition": RecognitionConfig,
    "multi_label": MultiLabelConfig,
}


def task_and_config(entry: Entry) -> tuple[str, type[AskingConfig]]:
    """The task of an entry, and the configuration whose fields its settings are."""
    known = known_protocols()
    if entry.like is None:
        task = str(entry.describe.get("task", "questions"))
        return task, CONFIGS[task]
    protocol = load_protocol(known[entry.like])
    answers = protocol.reader in ("activitynet_qa", "egotempo", "charades_sta", "open_answers")
    return protocol.task, OpenRunConfig if answers else CONFIGS[protocol.task]


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_suites_that_come_along_have_settings_that_there_are(name: str) -> None:
    suite = load_suite(suite_file(name))
    assert suite.name == name and name in collected("eval") and name not in collected()
    for entry in suite.benchmarks:
        assert entry.get and (entry.like or entry.files or not entry.describe), entry.name
        if entry.like is not None and entry.like not in known_protocols():
            continue  # its description is not in this checkout
        _, config = task_and_config(entry)
        assert set(entry.settings) <= {*config.model_fields, "fps"}, entry.name


def test_published_figures_have_sources_and_stand_where_they_belong() -> None:
    paper = load_suite(suite_file("paper"))
    published = {(entry.name, figure.model): figure.value for entry in paper.benchmarks for figure in entry.published}
    assert published["ek100_mqa", "LLaVAction-7B"] == 73.4 and published["ek100_mqa", "GPT-4o"] == 52.2
    assert published["mvbench", "LLaVA-Video-7B"] == 58.6 and published["epic_kitchens_100", "LLaVAction-7B"] == 58.3
    assert ("meccano", "LLaVAction-7B") not in published  # not known, so not told
    assert all(figure.source for entry in paper.benchmarks for figure in entry.published)


def test_what_is_no_suite_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    one = {"name": "a"}
    figure = {"model": "X", "value": 1, "source": "s"}

    def with_figure(**changes: object) -> dict[str, object]:
        return {"models": ["X"], "benchmarks": [one | {"published": [{**figure, **changes}]}]}

    for values, problem in (
        ({"benchmarks": [one, one]}, "two benchmarks are called 'a'"),
        (with_figure() | {"models": []}, "none of the suite's models"),
        (with_figure(source=""), "source"),
        (with_figure(value=101), "100"),
        (with_figure(figure="f"), "published figure 'f' is none of"),
        ({"benchmarks": []}, "benchmarks"),
        ({"benchmarks": [{"name": "../a"}]}, "name"),
    ):
        with pytest.raises(InputError, match=problem):
            Suite.from_mapping({"name": "own", **values}, file=file)
    file.write_text("- a\n")
    with pytest.raises(InputError, match="expected a suite"):
        load_suite(file)
    with pytest.raises(InputError, match="no such file, and no suite is called so") as refused:
        suite_file("papr")
    assert "did you mean 'paper'" in str(refused.value.hint)
    file.write_text("benchmarks: [{name: a}, {name: b}]\n")
    suite = load_suite(file)
    assert suite.name == "own" and [entry.name for entry in suite.only(("b",)).benchmarks] == ["b"]
    with pytest.raises(InputError, match="has no benchmark 'c'"):
        suite.only(("c",))
