from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.settings import differing

BASE: dict[str, Any] = {
    "backend": "/models/a",
    "backend_options": {},
    "frames": None,
    "prompt": "letters",
    "option_orders": 1,
    "decision": "likelihood",
    "batch_size": 4,
    "resolved": {
        "backend": "transformers:a",
        "frames": 8,
        "decision_rule": "option letters",
        "backend_settings": {"fingerprint": {"weights": "x"}, "frames": 8, "rule": "letters", "device": "cpu"},
    },
}


def changed(path: str, value: Any) -> FinishedRun:
    config = {**BASE, "resolved": {**BASE["resolved"]}}
    config["resolved"]["backend_settings"] = {**BASE["resolved"]["backend_settings"]}
    at = config
    *steps, last = path.split(".")
    for step in steps:
        at = at[step]
    at[last] = value
    return FinishedRun(Path("/runs/x"), config, [], {})


@pytest.mark.parametrize(
    ("path", "value", "about"),
    [
        ("prompt", "published", ["prompt"]),
        ("perspective", "third_person", ["prompt"]),
        ("resolved.frames", 16, ["frames"]),
        ("frames", 8, []),  # what is shown is the same
        ("resolved.backend_settings.frames", 16, ["frames"]),
        ("resolved.backend_settings.device", "cuda", ["how the model is run"]),
        ("resolved.backend_settings.rule", "texts", ["decision rule"]),
        ("resolved.backend_settings.fingerprint", {"weights": "y"}, ["model"]),
        ("backend", "/moved/a", []),  # the weights are the same
        ("option_orders", 3, ["option orders"]),
        ("decision", "generation", ["decision rule"]),
        ("resolved.decision_rule", "label texts", ["decision rule"]),
        ("subtitles", True, ["subtitles"]),
        ("batch_size", 8, []),
        ("a_setting_of_tomorrow", 1, ["a_setting_of_tomorrow"]),
    ],
)
def test_what_settings_are_about(path: str, value: Any, about: list[str]) -> None:
    assert list(differing(FinishedRun(Path("/runs/y"), BASE, [], {}), changed(path, value))) == about
