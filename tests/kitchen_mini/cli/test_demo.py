"""The demo: one table, a report, people that are new to the models."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kitchen_mini import weights as bundled
from kitchen_mini.cli import demo as demo_module
from kitchen_mini.renderer import KitchenMiniConfig, generate
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.cli.main import cli
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.testing.tiny import write_tiny

SPECIALIST = ("epochs=1", "channels=8", "frames=4", "height=24", "width=32")
SMALL = KitchenMiniConfig(
    width=64, height=48, fps=6, train_videos=6, validation_videos=0, test_videos=4, min_segments=6, max_segments=8,
    train_participants=2, unseen_test_participants=2, unseen_share=1.0,
)  # fmt: skip


def call(*arguments: str | Path) -> Result:
    return CliRunner(catch_exceptions=False).invoke(cli, [*map(str, arguments)], standalone_mode=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A specialist of a small kitchen and a tiny model."""
    home = tmp_path_factory.mktemp("models")
    generate(home / "data", seed=1, settings=SMALL, workers=1)
    source = ("--annotations", home / "data/annotations", "--videos", home / "data/videos")
    settings = [part for setting in SPECIALIST for part in ("--set", setting)]
    call("specialist", "train", *source, "--output", home / "specialist", *settings)
    write_tiny(home / "tiny", "llava_video")
    return home


def test_the_demo_makes_one_table_and_a_report(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo_module, "DATA", SMALL.model_dump())
    arguments = ("demo", "--output", tmp_path, "--workers", "1", "--limit", "8", "--model", models / "tiny")
    done = call(*arguments, "--specialist", models / "specialist")
    rows = [line for line in done.stdout.splitlines() if line.startswith(("1 of 5: ", "all actions: "))]
    assert len(rows) == 8
    assert all(row.endswith("  8") for row in rows)
    metrics = read_json(tmp_path / "metrics.json")
    assert list(metrics["runs"]) == ["prior", "no-frames", "one-frame", "model", "specialist"]
    assert metrics["two_stage"]["counts"]["recognised"] == 8
    assert metrics["audit"]["chance"] == 0.2
    assert "one-frame" in (tmp_path / "report.html").read_text()
    # Goes on where it was: there is nothing left to ask.
    monkeypatch.setattr(HuggingFaceBackend, "score_options", None)
    call(*arguments, "--specialist", models / "specialist")
    assert read_json(tmp_path / "metrics.json") == metrics


def test_everybody_in_the_demo_is_new(tmp_path: Path):
    assert demo_module.SEED != 0  # the bundled models' training data has seed 0
    small = KitchenMiniConfig(**demo_module.DATA).model_copy(
        update={"width": 32, "height": 32, "fps": 4, "test_videos": 8, "train_videos": 1}
    )
    generate(tmp_path, seed=demo_module.SEED, settings=small, workers=1)
    dataset = EpicKitchens(tmp_path / "annotations")
    people = {segment.participant_id for segment in dataset.segments("test")}
    assert len(people) > 4
    assert people <= dataset.unseen_participants("test")


def test_a_demo_without_weights_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundled, "_HERE", tmp_path)
    with pytest.raises(InputError, match="no bundled video-language model"):
        call("demo", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
