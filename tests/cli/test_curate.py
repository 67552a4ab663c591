"""The commands of curation, on a generated kitchen_mini."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kitchen_mini.renderer import KitchenMiniConfig, generate
from llavaction.base.errors import InputError
from llavaction.base.records import read_records, write_records
from llavaction.cli.data import data
from llavaction.curation.records import TrainingRecord
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.recipes import collected
from llavaction.video.library import VideoLibrary
from llavaction.video.probe import probe

MIXTURES = collected("mixtures")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    settings = {"width": 64, "height": 48, "train_videos": 6, "validation_videos": 2, "test_videos": 0}
    generate(folder, seed=0, workers=1, settings=KitchenMiniConfig.from_mapping(settings))
    return folder


def _annotations(mini: Path) -> Path:
    return next(mini.rglob("EPIC_100_train.csv")).parent


def test_curate_export_import(mini: Path, tmp_path: Path) -> None:
    annotations = _annotations(mini)
    foretold = tmp_path / "p.jsonl"
    call("simulate-specialist", "--annotations", annotations, "--split", "train", "--output", foretold)
    out = tmp_path / "out"
    mixture = MIXTURES["kitchen-mini"]
    done = call(
        "curate", "--annotations", annotations, "--split", "train", "--mixture", mixture, "--predictions", foretold,
        "--output", out,
    )  # fmt: skip
    assert "hard_action_recognition" in done.stdout
    assert "does not name folds" in done.stderr
    records = list(read_records(out / "records.jsonl", TrainingRecord))
    assert f"{len(records)} records written" in done.stdout
    assert json.loads((out / "card.json").read_text())["licence"] == EpicKitchens(annotations).licence

    library = VideoLibrary(mini)
    lengths = {name: probe(library.path(name)).duration for name in {record.clip.video_id for record in records}}
    assert all(record.clip.stop <= lengths[record.clip.video_id] + 0.011 for record in records)

    call("export", out / "records.jsonl", "--format", "llava", "--output", tmp_path / "llava")
    done = call("import", tmp_path / "llava/llava.json", "--output", tmp_path / "again", "--json")
    assert json.loads(done.stdout)["records"] == len(records)
    assert (tmp_path / "again/records.jsonl").read_bytes() == (out / "records.jsonl").read_bytes()
    done = call("export", out / "records.jsonl", "--format", "ms-swift", "--output", tmp_path / "swift")
    assert "clips listed in clips.jsonl" in done.stdout


def test_the_length_of_a_whole_video_is_looked_up(mini: Path, tmp_path: Path) -> None:
    library = VideoLibrary(mini)
    name = library.video_ids[0]
    talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "That."}]
    entries = [{"id": str(i), "video": f"{v}.mp4", "conversations": talk} for i, v in enumerate((name, "nowhere"))]
    entries.append({**entries[0], "id": "late", "start_timestamp": 1, "end_timestamp": 9999})
    (tmp_path / "x.json").write_text(json.dumps(entries))
    done = call("import", tmp_path / "x.json", "--videos", mini, "--output", tmp_path / "out")
    assert done.exit_code == 3
    assert "1 of 3 records were left out" in done.stderr
    assert "1 clips end after their video, e.g. record 'late' until 9999.0 s" in done.stderr
    done = call("import", tmp_path / "x.json", "--videos", mini, "--output", tmp_path / "out", "--allow-missing")
    assert done.exit_code == 0
    assert "2 records written" in done.stdout
    assert "record 2 of x.json left out" in done.stderr
    record, _ = read_records(tmp_path / "out/records.jsonl", TrainingRecord)
    assert record.clip.duration == pytest.approx(probe(library.path(name)).duration)
    (tmp_path / "x.json").write_text(json.dumps(entries[:2]))
    with pytest.raises(InputError, match="does not say where the clip"):
        call("import", tmp_path / "x.json", "--output", tmp_path / "out")


def test_predictions_that_are_not_enough(mini: Path, tmp_path: Path) -> None:
    annotations = _annotations(mini)
    arguments = ("curate", "--annotations", annotations, "--output", tmp_path / "out", "--mixture")
    with pytest.raises(InputError, match="needs out-of-fold predictions"):
        call(*arguments, MIXTURES["kitchen-mini"])
    call("simulate-specialist", "--annotations", annotations, "--split", "validation", "--output", tmp_path / "p.jsonl")
    with pytest.raises(InputError, match="no prediction for"):
        call(*arguments, MIXTURES["kitchen-mini"], "--predictions", tmp_path / "p.jsonl")
    write_records(tmp_path / "empty.jsonl", [])
    done = call(*arguments, MIXTURES["kitchen-mini-random"], "--json")
    assert json.loads(done.stdout)["counts"]["hard_action_recognition"] > 30


@pytest.mark.parametrize("command", ["curate", "import", "export"])
def test_help_is_quick_for_it_opens_no_video(command: str) -> None:
    code = (
        f"import sys, llavaction.cli.main as m\ntry: m.cli(['data', '{command}', '--help'])\n"
        "except SystemExit: print(sorted({'av', 'numpy', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
