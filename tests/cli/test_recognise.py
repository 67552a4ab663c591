from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kitchen_mini.renderer import KitchenMiniConfig, generate
from llavaction.base.errors import InputError
from llavaction.base.records import read_json, read_records
from llavaction.cli.main import cli
from llavaction.datasets.registry import open_annotations
from llavaction.recognition.records import Recognition
from llavaction.specialists.challenge import check_submission
from llavaction.specialists.predictions import load_predictions
from llavaction.testing.tiny import write_tiny

SPECIALIST = ("epochs=1", "channels=8", "frames=4", "height=24", "width=32")
SMALL = KitchenMiniConfig(
    width=64, height=48, fps=6, train_videos=6, validation_videos=0, test_videos=4, min_segments=6, max_segments=8,
    train_participants=2, unseen_test_participants=2, unseen_share=1.0,
)  # fmt: skip


def call(*arguments: str | Path) -> Result:
    return CliRunner(catch_exceptions=False).invoke(cli, [*map(str, arguments)], standalone_mode=False)


KEPT_BACK = ("narration", "verb", "verb_class", "noun", "noun_class", "all_nouns", "all_noun_classes")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, a specialist of it with its predictions, and a tiny model."""
    home = tmp_path_factory.mktemp("models")
    generate(home / "data", seed=1, settings=SMALL, workers=1)
    source = ("--annotations", home / "data/annotations", "--videos", home / "data/videos")
    settings = [part for setting in SPECIALIST for part in ("--set", setting)]
    call("specialist", "train", *source, "--output", home / "specialist", *settings)
    call("specialist", "predict", home / "specialist", *source, "--split", "test", "--output", home / "p.jsonl")
    write_tiny(home / "tiny", "llava_video")
    return home


def test_a_split_is_recognised(models: Path, tmp_path: Path):
    source = ("--annotations", models / "data/annotations", "--split", "test", "--predictions", models / "p.jsonl")
    oracle = json.loads(
        call("recognise", *source, "--backend", "oracle", "--output", tmp_path / "oracle", "--json").stdout
    )
    overall = oracle["overall"]
    assert overall["two_stage"]["action"] == overall["specialist_top_k"]
    assert overall["two_stage"]["action"]["value"] > overall["specialist"]["action"]["value"]
    assert oracle["groups"]["seen participants"] is None  # nobody in the test split is known
    done = call(
        "recognise", *source, "--backend", models / "tiny", "--videos", models / "data/videos", "--frames", "2",
        "--candidates", "3", "--limit", "6", "--output", tmp_path / "tiny",
    )  # fmt: skip
    assert "6 of 6 segments recognised" in done.stdout
    assert "specialist's top 3, all" in done.stdout
    assert "challenge's accuracy" in done.stdout and "unseen participants, top-5" in done.stdout
    found = list(read_records(tmp_path / "tiny" / "recognitions.jsonl", Recognition))
    assert [len(recognition.candidates) for recognition in found] == [3] * 6
    assert all(len(recognition.candidate_names) == 3 for recognition in found)
    assert all(recognition.name in recognition.candidate_names for recognition in found)
    call(
        "recognise", *source, "--backend", "chance", "--candidates", "4", "--limit", "6",
        "--output", tmp_path / "chance",
    )  # fmt: skip
    compared = json.loads(call("compare", tmp_path / "tiny", tmp_path / "chance", "--json").stdout)
    truths = [recognition.action == recognition.truth for recognition in found]
    assert compared["questions"] == 6 and compared["a"]["accuracy"]["value"] == pytest.approx(sum(truths) / 6, abs=1e-6)
    with pytest.raises(InputError, match="did not answer the same questions"):
        call("compare", tmp_path / "tiny", tmp_path / "oracle")
    call("report", tmp_path / "tiny", tmp_path / "chance", "--output", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "6 of 6 segments recognised" in page and "the specialist alone" in page and "Mistakes it was surest" in page
    with pytest.raises(InputError, match="these runs are recognitions"):
        call("report", tmp_path / "tiny", "--figures", tmp_path / "f", "--output", tmp_path / "r.html")
    with pytest.raises(InputError, match="no videos were given"):
        call("recognise", *source, "--backend", models / "tiny", "--output", tmp_path / "blind")
    with pytest.raises(InputError, match="did you mean 'bundled'"):
        call("recognise", *source, "--backend", "bundeld", "--output", tmp_path / "x")


def test_a_split_whose_classes_are_kept_back(models: Path, tmp_path: Path):
    annotations = tmp_path / "annotations"
    shutil.copytree(models / "data/annotations", annotations)
    with (annotations / "EPIC_100_test.csv").open(newline="") as stream:
        rows = [{k: v for k, v in row.items() if k not in KEPT_BACK} for row in csv.DictReader(stream)]
    with (annotations / "EPIC_100_test_timestamps.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    (annotations / "EPIC_100_test.csv").unlink()
    videos = ("--videos", models / "data/videos", "--split", "test")
    outputs = ("--output", tmp_path / "p.jsonl", "--challenge", tmp_path / "c.zip")
    done = call("specialist", "predict", models / "specialist", "--annotations", annotations, *videos, *outputs)
    assert "the classes of this split are not known" in done.stdout
    assert (tmp_path / "p.jsonl").read_bytes() == (models / "p.jsonl").read_bytes()  # the same, truth known or not
    assert (tmp_path / "c.zip").stat().st_size > 1000
    source = ("--annotations", annotations, "--predictions", tmp_path / "p.jsonl", "--backend", models / "tiny")
    done = call("recognise", *source, *videos, "--frames", "2", "--limit", "4", "--output", tmp_path / "run")
    assert "4 of 4 segments recognised" in done.stdout
    found = list(read_records(tmp_path / "run" / "recognitions.jsonl", Recognition))
    assert all(recognition.truth is None and recognition.action in recognition.candidates for recognition in found)
    metrics = read_json(tmp_path / "run" / "metrics.json")
    assert metrics["overall"] is None and "challenge" not in metrics
    with pytest.raises(InputError, match="can only be predicted and recognised"):
        call("benchmark", "build", "--annotations", annotations, "--split", "test", "--output", tmp_path / "b")


def test_a_submission_of_what_was_recognised(models: Path, tmp_path: Path):
    """Of a split with classes and without: every class has a score, the chosen action comes first."""
    annotations = tmp_path / "annotations"
    shutil.copytree(models / "data/annotations", annotations)
    with (annotations / "EPIC_100_test.csv").open(newline="") as stream:
        rows = [{k: v for k, v in row.items() if k not in KEPT_BACK} for row in csv.DictReader(stream)]
    with (annotations / "EPIC_100_blind_timestamps.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    source = ("recognise", "--annotations", annotations, "--predictions", models / "p.jsonl", "--backend", "prior")
    dataset, written = open_annotations(annotations), []
    verbs, nouns = sorted(dataset.vocabulary.verbs), sorted(dataset.vocabulary.nouns)
    ids = [segment.segment_id for segment in dataset.segments("test")]
    levels = ("--sls-pretraining", "5", "--sls-data", "4")
    for split in ("test", "blind"):
        path = tmp_path / f"{split}.zip"
        done = call(*source, "--split", split, "--output", tmp_path / split, "--challenge", path, *levels)
        assert "would be refused" not in done.stderr
        assert ("challenge's accuracy" in done.stdout) == (split == "test")
        assert check_submission(path, ids, verbs, nouns) == []
        found = list(read_records(tmp_path / split / "recognitions.jsonl", Recognition))
        read = load_predictions(path, ids, dataset.vocabulary.actions, say=lambda _: None)
        assert [read[recognition.segment_id].actions[0] for recognition in found] == [item.action for item in found]
        with zipfile.ZipFile(path) as archive:
            written.append(archive.read("test.json"))
    assert written[0] == written[1]  # whether classes are known or not
    submission = json.loads(written[0])
    assert [submission[key] for key in ("sls_pt", "sls_tl", "sls_td")] == [5, 3, 4]
    table = read_json(tmp_path / "test" / "metrics.json")["challenge"]
    recognised = read_records(tmp_path / "test" / "recognitions.jsonl", Recognition)
    right = sum(recognition.action == recognition.truth for recognition in recognised)
    assert table["overall"]["action"]["top-1"] == pytest.approx(right / len(ids), abs=1e-6)
    few = call(
        *source, "--split", "test", "--limit", "5", "--output", tmp_path / "few", "--challenge", tmp_path / "few.json"
    )
    assert f"few.json would be refused: lacks {len(ids) - 5} of the split's {len(ids)} segments" in few.stderr
    with pytest.raises(InputError, match=r"a \.zip \(or \.json\) file"):
        call(*source, "--split", "test", "--output", tmp_path / "no", "--challenge", tmp_path / "no.txt")
    assert not (tmp_path / "no").exists()  # said before anything is asked


def test_stages_without_a_specialist(models: Path, tmp_path: Path):
    source = ("--annotations", models / "data/annotations", "--split", "test", "--videos", models / "data/videos")
    tiny = ("--backend", models / "tiny", "--frames", "2", "--limit", "6")
    stages = ("--stages", "heads,label_set_prior,letters", "--ranked-by", "heads", "--candidates", "3")
    done = call("recognise", *source, *tiny, *stages, "--output", tmp_path / "heads")
    assert "6 of 6 segments recognised, candidates ranked by heads" in done.stdout
    assert "best ranked, all" in done.stdout and "among the 3 candidates, all" in done.stdout
    assert "specialist" not in done.stdout
    found = list(read_records(tmp_path / "heads" / "recognitions.jsonl", Recognition))
    assert all(set(item.scores) == {"heads", "label_set_prior", "letters"} for item in found)
    call("report", tmp_path / "heads", "--output", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "the best ranked candidate" in page and "the specialist alone" not in page
    with pytest.raises(InputError, match="'chance' does not read a clip once for several stages"):
        call("recognise", *source, "--backend", "chance", *stages, "--output", tmp_path / "x")
