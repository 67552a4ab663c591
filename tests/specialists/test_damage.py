"""Folders of specialists and of trainings whose files are damaged: what is wrong, by file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llavaction.base.errors import InputError
from llavaction.specialists.classifier import Specialist, fingerprint
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.labels import ClassName, SpecialistLabels
from llavaction.training.checkpoints import hold_to_data
from llavaction.training.meter import read_metrics


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: {name: value for name, value in values.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("settings"), "config.json: has no 'settings'"),
        (lambda values: {**values, "facts": [1]}, "'facts' that are no mapping"),
        (
            lambda values: {**values, "settings": {**values["settings"], "channels": 10**9}},
            "less than or equal to 1024",
        ),
        (lambda values: {**values, "settings": {**values["settings"], "channels": 1024}}, "does not fit config.json"),
        (lambda values: {**values, "settings": {**values["settings"], "dropout": float("nan")}}, "finite|less than"),
        (lambda values: [values], "is not the configuration of a specialist"),
    ],
)
def test_a_damaged_configuration(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    names = (ClassName(id=0, key="take"), ClassName(id=1, key="put"))
    labels = SpecialistLabels(verbs=names, nouns=names, actions=((0, 1),))
    Specialist.untrained(SpecialistConfig(channels=8, frames=2, height=16, width=16), labels).save(tmp_path)
    assert len(fingerprint(tmp_path)) == 32
    path = tmp_path / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=message):
        Specialist.load(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"stage": "a", "step": 1', "not JSON"),
        (b'{"stage": "caf\xe9", "step": 1}', "not UTF-8"),
        (b"[" * 5000, "nested deeper"),
        (b"[1]", "has no 'stage' and 'step'"),
        (b'{"stage": "a", "step": "1"}', "has no 'stage' and 'step'"),
        (b'{"stage": "\\ud800", "step": 1}', "half a surrogate pair"),
    ],
)
def test_a_damaged_log(tmp_path: Path, line: bytes, message: str) -> None:
    good = b'{"stage": "a", "step": 1, "loss": NaN}\n'
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(good + line + b"\n" + good)
    with pytest.raises(InputError, match=rf"metrics.jsonl:2: .*{message}"):
        read_metrics(path)
    path.write_bytes(good + line)  # cut short by a kill
    assert [entry["step"] for entry in read_metrics(path)] == [1]


def test_damaged_notes_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1/trainer_state.json").write_text("{}")
    (tmp_path / "data.json").write_text("[1]")
    with pytest.raises(InputError, match=r"data.json: is not what a training notes"):
        hold_to_data(tmp_path, {"a": 1}, write=False)
