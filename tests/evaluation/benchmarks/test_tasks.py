"""Descriptions of recognition: they are sent to the command that runs them, and hold what real files hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from llavaction.base.errors import InputError
from llavaction.cli.main import cli
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.datasets.multi_label import open_multi_label
from llavaction.evaluation.benchmarks import open_benchmark
from llavaction.evaluation.benchmarks.protocol import known_protocols, load_protocol
from llavaction.evaluation.benchmarks.tasks import command_of

TASKS = {
    "epic_kitchens_100": "recognition",
    "animal_kingdom": "multi_label",
    "meccano": "recognition",
    "epfl_smart_kitchen": "recognition",
}


def test_four_benchmarks_of_recognition_come_along() -> None:
    found = {name: load_protocol(path) for name, path in known_protocols().items() if name in TASKS}
    assert {name: protocol.task for name, protocol in found.items()} == TASKS
    assert all(protocol.source.metric and protocol.source.faults for protocol in found.values())
    assert load_protocol(known_protocols()["nextqa"]).task == "questions"


def test_eval_names_the_command_that_runs_them(tmp_path: Path) -> None:
    own = tmp_path / "kitchens.yaml"
    own.write_text("like: epic_kitchens_100\nfile: annotations\nvideos: my videos\npredictions: tim.jsonl\n")
    result = CliRunner().invoke(cli, ["eval", str(own), "--backend", "oracle", "--output", str(tmp_path / "run")])
    assert isinstance(result.exception, InputError)
    said = str(result.exception)
    assert "asks no questions: its segments are recognised" in said
    words = f"llavaction recognise --annotations {tmp_path}/annotations --split validation --predictions"
    assert f"{words} {tmp_path}/tim.jsonl --videos '{tmp_path}/my videos' --backend MODEL" in said
    with pytest.raises(InputError, match="several labels") as refused:
        open_benchmark("animal_kingdom")
    assert refused.value.hint == (
        "run: llavaction multilabel --annotations ANNOTATIONS --split test --videos VIDEOS --backend MODEL "
        "--output runs/animal-kingdom"
    )
    meccano = load_protocol(known_protocols()["meccano"])
    assert "--stages label_set_prior" in command_of(meccano, None)


def test_commands_are_ones_that_there_are() -> None:
    for name, task in TASKS.items():
        words = command_of(load_protocol(known_protocols()[name]), None).split()
        known = CliRunner().invoke(cli, [words[1], "--help"]).output
        assert all(word in known for word in words if word.startswith("--")), task


def test_real_files_hold_what_is_expected(shared: Path) -> None:
    kitchens = load_protocol(known_protocols()["epic_kitchens_100"])
    assert len(EpicKitchens(shared / "data" / "ek100").segments(kitchens.split)) == kitchens.expected["segments"]
    animals = load_protocol(known_protocols()["animal_kingdom"])
    found = open_multi_label(shared / "data" / "animal_kingdom" / "AR_metadata.xlsx")
    clips = found.of_split(animals.split)
    shown = int(found.truth(clips).any(0).sum())
    assert {"clips": len(clips), "classes": len(found.classes.ids), "classes shown": shown} == animals.expected
