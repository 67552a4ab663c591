from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from kitchen_mini.renderer import KitchenMiniConfig, generate
from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError, LlavactionError
from llavaction.cli.main import cli
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.specialists.predictions import load_predictions
from llavaction.video.library import VideoLibrary

SETTINGS = ("epochs=1", "channels=8", "frames=4", "height=24", "width=32")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kitchen")
    settings = KitchenMiniConfig(width=64, height=48, fps=6, train_videos=6, validation_videos=3, test_videos=0)
    generate(folder, settings=settings, workers=1)
    return folder


def call(*arguments: str | Path) -> dict[str, object]:
    done = CliRunner(catch_exceptions=False).invoke(cli, [*map(str, arguments), "--json"], standalone_mode=False)
    return json.loads(done.stdout)


def options(kitchen: Path, split: str) -> list[str | Path]:
    return ["--annotations", kitchen / "annotations", "--videos", kitchen / "videos", "--split", split]


def settings(*values: str) -> list[str]:
    return [part for value in values for part in ("--set", value)]


def test_train_predict_and_folds(kitchen: Path, tmp_path: Path):
    made = call("specialist", "train", *options(kitchen, "train"), "--output", tmp_path / "s", *settings(*SETTINGS))
    dataset = EpicKitchens(kitchen / "annotations")
    assert made["segments"] == len(dataset.segments("train"))
    assert len(made["loss"]) == 1
    outputs = ["--output", tmp_path / "p.jsonl", "--scores", tmp_path / "s.npz", "--challenge", tmp_path / "c.zip"]
    done = call(
        "specialist", "predict", tmp_path / "s", *options(kitchen, "validation"), *outputs, "--top-k", "7",
        *settings("pretraining=1"),
    )  # fmt: skip
    assert done["specialist"] == made["fingerprint"]
    segments = list(dataset.segments("validation"))
    overall = done["accuracy"]["overall"]
    assert overall["action"]["segments"] == len(segments) == done["predicted"]
    assert set(done["accuracy"]) == {"overall", "unseen participants", "tail"}
    ids, actions = [segment.segment_id for segment in segments], dataset.vocabulary.actions
    ours, official, dense = (load_predictions(tmp_path / f, ids, actions) for f in ("p.jsonl", "c.zip", "s.npz"))
    assert set(ours) == set(official) == set(dense) == set(ids)
    share = sum(segment.action in ours[segment.segment_id].actions[:5] for segment in segments) / len(segments)
    assert overall["action"]["top-5"] == pytest.approx(share, abs=1e-6)
    met = {segment.action for segment in dataset.segments("train")}
    assert all(len(p.actions) == 7 and set(p.actions) <= met for p in ours.values())
    pairs = call(
        "specialist", "predict", tmp_path / "s", *options(kitchen, "validation"), "--output", tmp_path / "q.jsonl",
        "--all-pairs", "--top-k", "1000",
    )  # fmt: skip
    assert pairs["predicted"] == len(segments)
    everything = load_predictions(tmp_path / "q.jsonl", ids, actions)
    classes = len(dataset.verbs) * len(dataset.nouns)
    assert {len(prediction.actions) for prediction in everything.values()} == {min(classes, 1000)}
    found = call(
        "specialist", "folds", *options(kitchen, "train"), "--output", tmp_path / "f", "--folds", "2",
        *settings(*SETTINGS),
    )  # fmt: skip
    assert found["predicted"] == made["segments"]
    train = [segment.segment_id for segment in dataset.segments("train")]
    folded = load_predictions(found["output"], train, actions)
    dealt = json.loads((tmp_path / "f" / "folds.json").read_text())
    assert all(folded[s.segment_id].fold == dealt[s.video_id] for s in dataset.segments("train"))


def test_what_a_person_sees(kitchen: Path, tmp_path: Path):
    arguments = ["specialist", "train", *options(kitchen, "train"), "--output", tmp_path, *settings(*SETTINGS)]
    done = CliRunner(catch_exceptions=False).invoke(cli, list(map(str, arguments)), standalone_mode=False)
    assert "specialist written to" in done.stdout
    assert "epoch 1 of 1: loss" in done.stderr
    arguments = ["specialist", "predict", tmp_path, *options(kitchen, "validation"), "--output", tmp_path / "p.jsonl"]
    done = CliRunner(catch_exceptions=False).invoke(cli, list(map(str, arguments)), standalone_mode=False)
    rows = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert rows[0] == "accuracy"
    assert {"overall, top-1", "overall, top-5", "tail, top-1", "unseen participants, top-1"} <= set(rows)


def test_rows_that_cannot_be_used_are_named(kitchen: Path, tmp_path: Path):
    annotations = Path(shutil.copytree(kitchen / "annotations", tmp_path / "annotations"))
    lines = (annotations / "EPIC_100_validation.csv").read_text().splitlines()
    cells = next(csv.reader([lines[2]]))
    lines[2] = lines[2].replace(cells[5], "soon")  # the stop
    (annotations / "EPIC_100_validation.csv").write_text("\n".join(lines) + "\n")
    source = ["--annotations", annotations, "--videos", kitchen / "videos", "--split", "validation"]
    arguments = ["specialist", "predict", "bundled", *source, "--output", tmp_path / "p.jsonl", "--top-k", "1"]
    arguments += ["--challenge", tmp_path / "c.zip", "--json"]
    done = CliRunner(catch_exceptions=False).invoke(cli, list(map(str, arguments)), standalone_mode=False)
    assert "EPIC_100_validation.csv:3: timestamp 'soon'" in done.stderr
    assert "c.zip would be refused: it lacks 1 segments whose rows were left out" in done.stderr
    found = json.loads(done.stdout)["accuracy"]["overall"]["action"]
    assert found["top-5"] > found["top-1"]  # though only one is written


def test_folders_of_frames_need_their_rate(kitchen: Path, tmp_path: Path):
    library = VideoLibrary(kitchen / "videos")
    for name in library.video_ids:
        frames = library.read(Clip(video_id=name, start=0, stop=60), 40).images
        (tmp_path / "frames" / name).mkdir(parents=True)
        for number, image in enumerate(frames, start=1):
            Image.fromarray(image).save(tmp_path / "frames" / name / f"frame_{number:010d}.jpg")
    source = ["--annotations", kitchen / "annotations", "--videos", tmp_path / "frames", "--split", "validation"]
    arguments = ["specialist", "predict", "bundled", *source, "--output", tmp_path / "p.jsonl", "--workers", "1"]
    with pytest.raises(InputError, match="do not tell their frame rate") as caught:
        call(*arguments)
    assert "Traceback" not in str(caught.value)
    assert call(*arguments, "--fps", "1")["predicted"] > 0


@pytest.mark.parametrize(
    ("setting", "message"), [("epoch=3", "did you mean 'epochs'"), ("channels=9", "multiple of 8")]
)
def test_settings_are_checked_before_anything_is_done(kitchen: Path, tmp_path: Path, setting: str, message: str):
    arguments = ["specialist", "train", *options(kitchen, "train"), "--output", tmp_path / "s", "--set", setting]
    with pytest.raises(LlavactionError, match=message):
        CliRunner(catch_exceptions=False).invoke(cli, list(map(str, arguments)), standalone_mode=False)
    assert not (tmp_path / "s").exists()


def test_what_could_not_be_used_is_counted(kitchen: Path, tmp_path: Path):
    dataset = EpicKitchens(kitchen / "annotations")
    (tmp_path / "labels").mkdir()
    lines = ["video_id,start,stop,label,split"]
    for split in ("train", "validation"):
        for s in dataset.segments(split):
            name = dataset.vocabulary.action_name(s.action)
            lines.append(f"{s.video_id},{s.start},{s.stop},{name},{split}")
    lines[3] = lines[3].replace(",train", ",nowhere")
    (tmp_path / "labels" / "mice.csv").write_text("\n".join(lines) + "\n")
    source = ["--annotations", tmp_path / "labels", "--videos", tmp_path / "videos"]
    shutil.copytree(kitchen / "videos", tmp_path / "videos")

    def run(*arguments: str | Path) -> Result:
        return CliRunner(catch_exceptions=False).invoke(cli, list(map(str, arguments)), standalone_mode=False)

    tiny = settings(*SETTINGS)
    done = run("specialist", "train", *source, "--split", "train", "--output", tmp_path / "a", *tiny)
    segments = len(dataset.segments("train")) - 1
    assert done.exit_code == 0
    assert "note: mice.csv:4: split 'nowhere' is none of" in done.stderr
    assert f"trained on {segments} of {segments} segments" in done.stdout
    assert "1 rows of the table left out, named above" in done.stdout

    table = dataset.segments("train")
    others = [video for video in table.videos if video != lines[3].split(",")[0]]
    for video in others[:2]:
        next((tmp_path / "videos").rglob(f"{video}.*")).unlink()
    used = segments - sum(len(table.of_video(video)) for video in others[:2])
    for command in (
        ("specialist", "train", *source, "--split", "train", "--output", tmp_path / "b", *tiny),
        ("specialist", "predict", tmp_path / "a", *source, "--split", "train", "--output", tmp_path / "p.jsonl"),
        ("specialist", "folds", *source, "--split", "train", "--output", tmp_path / "f", "--folds", "2", *tiny),
    ):
        done = run(*command)
        assert done.exit_code == 3
        assert f" {used} of {segments} segments" in done.stdout
        assert f"{segments - used} of {segments} segments left out (first: " in done.stdout
        assert "of the segments could not be used, more than 10%" in done.stderr
        assert run(*command, "--allow-missing").exit_code == 0
    made = json.loads(run(*command[:-1], command[-1], "--allow-missing", "--json").stdout)
    assert (made["segments"], made["used"], made["rows_left_out"]) == (segments, used, 1)


def test_a_label_that_the_specialist_does_not_know_is_named(kitchen: Path, tmp_path: Path):
    rows = [f"{s.video_id},{s.start},{s.stop}" for s in EpicKitchens(kitchen / "annotations").segments("train")]
    labels = [("groom", "rear", "run")[i % 3] for i in range(len(rows))]
    folder = tmp_path / "labels"
    folder.mkdir()

    def write() -> None:
        lines = ["video_id,start,stop,label", *(",".join(row) for row in zip(rows, labels, strict=True))]
        (folder / "train.csv").write_text("\n".join(lines) + "\n")

    write()
    source = ["--annotations", folder, "--videos", kitchen / "videos", "--split", "train"]
    call("specialist", "train", *source, "--output", tmp_path / "s", *settings(*SETTINGS))
    labels[5] = "grom"
    write()
    with pytest.raises(InputError, match=r"label 'grom' is none of the 3 that this specialist was") as refused:
        call("specialist", "predict", tmp_path / "s", *source, "--output", tmp_path / "p.jsonl")
    assert "did you mean 'groom'?" in str(refused.value.hint) and "class file" not in str(refused.value)
    labels[:] = ["run" if label != "run" else "rear" for label in labels]
    write()
    with pytest.raises(InputError, match=r"has no segment of 1 of the 3 labels .*the first 'groom'"):
        call("specialist", "predict", tmp_path / "s", *source, "--output", tmp_path / "p.jsonl")
