"""Every command that takes annotations takes every form of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.workbooks import write_workbook
from llavaction.cli.main import cli
from llavaction.datasets.registry import DATASETS, open_annotations

SESSIONS = ("YH2002_2023_12_04_10_15_23", "YH2025_2023_09_08_09_06_51", "YH2003_2023_05_17_09_08_58")


def meccano(folder: Path) -> None:
    for split in ("train", "val", "test"):
        rows = "".join(
            f"00{split},{n % 5},action_{n % 5},{12 * n + 1:05d}.jpg,{12 * n + 9:05d}.jpg\n" for n in range(20)
        )
        (folder / f"MECCANO_{split}_actions.csv").write_text(rows)


def epfl(folder: Path) -> None:
    verbs, nouns = ("Cut", "Take_off", "Carry"), ("Cucumber  ", "Tofu", "Pot_lid", "Knife")
    classes = [f"{verb}__{noun}" for verb in verbs for noun in nouns]
    (folder / "config.yaml").write_text(f"list_of_actions: {classes}\n")
    heads = ("Training", "Validation", "Test")
    text = "".join(f"{head} videos:\n{session}\n" for head, session in zip(heads, SESSIONS, strict=True))
    (folder / "split_file.txt").write_text(text)
    rows = [[float(n), n + 0.5, verbs[n % 3], nouns[n % 2], 0] for n in range(20)]
    for session in SESSIONS:
        (folder / session).mkdir()
        head = ["Start", "End", "Verbs", "Nouns", "Confusion"]
        write_workbook(folder / session / "actions_annotations.xlsx", {"Sheet1": [head, *rows]})


def call(*arguments: str | Path) -> str:
    done = CliRunner().invoke(cli, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(("form", "write"), [("meccano", meccano), ("epfl_smart_kitchen", epfl)])
def test_questions_and_recognition_of_new_forms(tmp_path: Path, form: str, write: Callable[[Path], None]) -> None:
    home = tmp_path / "annotations"
    home.mkdir()
    write(home)
    assert f"{type(open_annotations(home)).__module__}:{type(open_annotations(home)).__name__}" == DATASETS[form]
    source = ("--annotations", home, "--split", "test")
    call("benchmark", "build", *source, "--miner", "random", "--options", "3", "--output", tmp_path / "bench")
    assert len((tmp_path / "bench" / "questions.jsonl").read_text().splitlines()) == 20
    call("data", "simulate-specialist", *source, "--output", tmp_path / "p.jsonl")
    predicted = ("--predictions", tmp_path / "p.jsonl", "--backend", "oracle", "--output", tmp_path / "run", "--json")
    overall = json.loads(call("recognise", *source, *predicted))["overall"]
    assert overall["two_stage"]["action"] == overall["specialist_top_k"]
    assert set(overall["two_stage"]) == ({"action"} if form == "meccano" else {"verb", "noun", "action"})
    assert overall["stages"]["joined"]["action"]["top-5"]["n"] == 20
