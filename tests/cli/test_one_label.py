"""A table with one column of labels on the whole way: no noun is made up, and none is shown."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.annotation_files import random_rows, write_annotations
from kitchen_mini.renderer import KitchenMiniConfig, generate
from llavaction.actions.synonyms import Synonyms
from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.cli.main import cli
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.datasets.label_table import LabelTable
from llavaction.datasets.registry import open_annotations
from llavaction.questions.audit import audit_folder
from llavaction.questions.builder import build_benchmark
from llavaction.questions.config import BuildConfig
from llavaction.questions.schema import Benchmark

TINY = ("epochs=1", "channels=8", "frames=4", "height=24", "width=32")


def call(*arguments: str | Path) -> str:
    done = CliRunner(catch_exceptions=False).invoke(cli, [*map(str, arguments)], standalone_mode=False)
    return done.stdout + done.stderr


def write(path: Path, header: str, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path.parent


def as_labels(dataset: EpicKitchens, folder: Path) -> Path:
    """The segments of a dataset of verb-noun pairs as a table with one column of labels."""
    folder.mkdir(parents=True)
    with (folder / "behaviours.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["video_id", "start", "stop", "behaviour", "split", "id", "subject"])
        for split in dataset.splits:
            for s in dataset.segments(split):
                name = dataset.vocabulary.action_name(s.action)
                table.writerow([s.video_id, s.start, s.stop, name, split, s.segment_id, s.participant_id])
    return folder


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kitchen")
    settings = KitchenMiniConfig(width=64, height=48, fps=6, train_videos=4, validation_videos=5, test_videos=0)
    generate(folder, settings=settings, workers=1)
    as_labels(EpicKitchens(folder / "annotations"), folder / "labels")
    return folder


def test_a_table_of_labels_is_a_dataset(tmp_path: Path):
    labels = ("run", "groom: left wing", "Run", "rear", "run") * 4
    rows = [f"m{i % 5}.mp4,{i},{i + 1.5},{label}" for i, label in enumerate(labels)]
    dataset = open_annotations(write(tmp_path / "mice.csv", "video_id,start,stop,label", *rows))
    vocabulary = dataset.vocabulary
    assert isinstance(dataset, LabelTable)
    assert (dataset.name, dataset.splits, vocabulary.one_label) == (tmp_path.name, ("train", "validation"), True)
    names = [vocabulary.action_name(action) for action in vocabulary.actions]
    assert names == ["groom: left wing", "rear", "run"]
    assert [len(dataset.segments(split)) for split in ("train", "validation", "all")] == [16, 4, 20]
    assert len(dataset.segments("validation").videos) == 1
    first = next(iter(dataset.segments("all")))
    assert (first.segment_id, first.video_id, first.start, first.stop) == ("m0_1", "m0", 0.0, 1.5)
    assert any("'split'" in note for note in dataset.notes)


def test_labels_that_begin_alike_are_different(tmp_path: Path):
    rows = ("a,0,1,groom", "a,1,2,groom-left", "a,2,3,groom-right")
    vocabulary = open_annotations(write(tmp_path / "a.csv", "video,onset,offset,action", *rows)).vocabulary
    synonyms = Synonyms(vocabulary)
    assert [len(synonyms.also_true(action)) for action in vocabulary.actions] == [1, 1, 1]


def test_files_named_for_splits_and_a_column_of_splits(tmp_path: Path):
    header = "video_id,start,stop,label"
    write(tmp_path / "a" / "train.csv", header, "v1,0,1,run", "v1,1,2,rear")
    dataset = open_annotations(write(tmp_path / "a" / "val.csv", header, "v2,0,1,run"))
    assert {split: len(dataset.segments(split)) for split in dataset.splits} == {"train": 2, "validation": 1}
    write(tmp_path / "a" / "val.csv", header, "v1,0,1,run", "v2,0,1,rear")  # a video in both
    assert len({segment.segment_id for segment in open_annotations(tmp_path / "a").segments("all")}) == 4
    write(tmp_path / "a" / "validation.csv", header, "v2,0,1,run")
    with pytest.raises(InputError, match=r"two tables of the split 'validation': val\.csv and validation\.csv"):
        open_annotations(tmp_path / "a")
    rows = ("v1,0,1,run,training", "v2,0,1,run,test", "v2,1,2,rear,nowhere")
    dataset = open_annotations(write(tmp_path / "b" / "x.csv", f"{header},split", *rows))
    assert {split: len(dataset.segments(split)) for split in dataset.splits} == {"train": 1, "test": 1}
    assert [(remark.line, remark.refused) for remark in dataset.remarks] == [(4, True)]


@pytest.mark.parametrize("labels", ["train.csv", "mice.csv"])
def test_new_videos_have_a_table_without_labels(tmp_path: Path, labels: str):
    write(tmp_path / labels, "video_id,start,stop,label", "v1,0,1,run", "v1,1,2,rear", "v2,0,1,run")
    dataset = open_annotations(write(tmp_path / "test.csv", "file;onset;offset", "v8.mp4;0;1,5", "v8.mp4;1,5;3"))
    assert "test" not in dataset.splits
    first, second = dataset.segments("test", unlabelled=True)
    assert (first.segment_id, first.video_id, first.start, first.stop) == ("v8_test_1", "v8", 0.0, 1.5)
    assert (second.segment_id, second.labelled, second.action) == ("v8_test_2", False, (-1, -1))
    assert dataset.groups("test") == {} and len(dataset.vocabulary.actions) == 2
    with pytest.raises(InputError, match="has no split 'test'") as refused:
        dataset.segments("test")
    assert "test.csv has no labels: its segments can only be predicted and recognised" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("video_id,start,stop", "a,0,1", "lacks the column.s. label"),
        ("video_id,start,stop,label", "a,0,1,", "no row with a label"),
    ],
)
def test_a_table_without_labels_is_refused(tmp_path: Path, header: str, row: str, said: str):
    with pytest.raises(InputError, match=said) as refused:
        open_annotations(write(tmp_path / "a.csv", header, row))
    assert "video_id, start, stop, label" in str(refused.value.hint)


def test_labels_are_mined_and_audited_as_pairs_are(tmp_path: Path):
    pairs = EpicKitchens(write_annotations(tmp_path / "pairs", {"validation": random_rows(8, 60, 0)}))
    labels = open_annotations(as_labels(pairs, tmp_path / "labels"))
    shares = []
    for dataset, name in ((pairs, "pairs"), (labels, "one")):
        made = build_benchmark(dataset, BuildConfig(split="validation"), workers=1 + (name == "one")).save(
            tmp_path / f"{name} bench"
        )
        assert len(made.questions) == 480
        words = [[set(option.text.split()) for option in question.options] for question in made.questions]
        right = [of_options.pop(q.answer) for of_options, q in zip(words, made.questions, strict=True)]
        alike = [bool(mine & set().union(*others)) for mine, others in zip(right, words, strict=True)]
        shares.append(sum(alike) / len(alike))
    audit = audit_folder(made)
    assert max(attack["accuracy"] for attack in audit["attacks"]) < 0.27
    assert set(audit["similarity"]) == {"same word"}
    assert audit["similarity"]["same word"] == pytest.approx(shares[1], abs=1e-3)
    assert shares[1] == pytest.approx(shares[0], abs=0.08)


def test_the_whole_way(kitchen: Path, tmp_path: Path):
    labels = kitchen / "labels"
    known = {row["behaviour"] for row in csv.DictReader((labels / "behaviours.csv").open(encoding="utf-8"))}
    source = ["--annotations", labels, "--videos", kitchen / "videos"]
    bench, said = tmp_path / "bench", []
    said.append(call("benchmark", "build", "--annotations", labels, "--split", "validation", "--output", bench))
    said.append(call("benchmark", "audit", bench))
    for backend in ("chance", "oracle"):
        said.append(call("eval", bench, "--backend", backend, "--output", tmp_path / backend))
    tiny = [part for value in TINY for part in ("--set", value)]
    call("specialist", "train", *source, "--split", "train", "--output", tmp_path / "s", *tiny)
    predictions = tmp_path / "p.jsonl"
    said.append(call("specialist", "predict", tmp_path / "s", *source, "--output", predictions))
    with pytest.raises(InputError, match="no verb-noun pairs"):
        call(
            "specialist", "predict", tmp_path / "s", *source, "--output", predictions, "--challenge", tmp_path / "c.zip"
        )
    split = ["--split", "validation", "--predictions", predictions, "--output", tmp_path / "r"]
    with pytest.raises(InputError, match="no verb-noun pairs"):
        call("recognise", *source, *split, "--backend", "prior", "--challenge", tmp_path / "c.zip")
    said.append(call("recognise", *source, *split, "--backend", "prior"))
    (tmp_path / "new").mkdir()
    names = {path.name: path.read_text() for path in labels.iterdir()}
    for name, text in names.items():
        (tmp_path / "new" / name).write_text(text)
    first = next(iter(open_annotations(labels).segments("validation")))
    (tmp_path / "new" / "test.csv").write_text(f"video,start,stop\n{first.video_id},{first.start},{first.stop}\n")
    new = ["--annotations", tmp_path / "new", "--videos", kitchen / "videos"]
    call("specialist", "predict", tmp_path / "s", *new, "--split", "test", "--output", tmp_path / "new.jsonl")
    listed = call(
        "recognise", *new, "--split", "test", "--predictions", tmp_path / "new.jsonl", "--backend", "prior",
        "--output", tmp_path / "listed",
    )  # fmt: skip
    assert "1 of 1 segments recognised; their actions are not known" in listed
    assert [first.video_id, f"{first.start:.2f}"] in [line.split()[:2] for line in listed.splitlines()] and any(
        name in listed for name in known
    )
    call("report", tmp_path / "chance", tmp_path / "oracle", "--benchmark", bench, "--output", tmp_path / "report.html")

    for question in Benchmark.load(bench).questions:
        assert {option.text for option in question.options} <= known
    metrics = read_json(tmp_path / "oracle" / "metrics.json")
    assert metrics["accuracy"]["value"] == 1.0
    assert metrics["parts"] == {"verb": None, "noun": None}
    assert (metrics["verbs"], metrics["nouns"]) == ([], [])
    assert {row["name"] for row in metrics["actions"]} <= known
    assert read_json(tmp_path / "chance" / "metrics.json")["confusions"]["actions"][0]["true"] in known
    assert set(read_json(tmp_path / "r" / "metrics.json")["overall"]["two_stage"]) == {"action"}
    page = re.sub(r"(verb|noun)[ _]similarity", "", (tmp_path / "report.html").read_text(encoding="utf-8"))
    for text in (*said, re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)):
        assert not re.search(r"\bnouns?\b|\bverbs?\b", text), text[:2000]


def test_training_records_say_no_noun(kitchen: Path, tmp_path: Path):
    mixture = tmp_path / "mixture.yaml"
    mixture.write_text("split: train\ntasks:\n  - {task: caption}\n  - {task: open_qa}\n", encoding="utf-8")
    call("data", "curate", "--mixture", mixture, "--annotations", kitchen / "labels", "--output", tmp_path / "c")
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((tmp_path / "c").glob("*.jsonl")))
    messages = [m["content"] for line in text.splitlines() for m in json.loads(line)["messages"]]
    assert len(messages) > 50
    assert not [m for m in messages if "  " in m or "involves ." in m or "noun" in m or "verb" in m]
