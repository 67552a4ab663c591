"""Predictions are held against the segments and classes at hand: by clip and by name, not by id and number alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from llavaction.base.errors import InputError
from llavaction.base.records import read_json, read_lines, write_records
from llavaction.cli.main import cli
from llavaction.curation.out_of_fold import load_out_of_fold
from llavaction.datasets.registry import open_annotations
from llavaction.questions.builder import build_benchmark
from llavaction.questions.config import BuildConfig
from llavaction.specialists.predictions import (
    Expected,
    PredictedClasses,
    Predictions,
    SpecialistPrediction,
    load_predictions,
    write_predictions,
)

LABELS = ("eat", "groom", "rear", "run", "sleep", "turn")
ROWS = [(f"m{i % 4}", 3 * i, 3 * i + 2, LABELS[i % len(LABELS)]) for i in range(36)]


def table(folder: Path, rows: Sequence[tuple[str, float, float, str]] = ROWS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["video_id,start,stop,label", *(",".join(map(str, row)) for row in rows)]
    (folder / "test.csv").write_text("\n".join(lines) + "\n")
    (folder / "train.csv").write_text(
        "\n".join([lines[0], *(f"t{i},0,1,{row[3]}" for i, row in enumerate(rows))]) + "\n"
    )
    return folder


def call(*arguments: str | Path) -> tuple[str, str]:
    done = CliRunner(catch_exceptions=False).invoke(cli, [*map(str, arguments)], standalone_mode=False)
    return done.stdout, done.stderr


def predicted(folder: Path, path: Path) -> Path:
    """The right label of every test segment first, then all others."""
    dataset = open_annotations(folder)
    actions = dataset.vocabulary.actions
    found = [
        SpecialistPrediction(
            segment_id=s.segment_id,
            actions=(s.action, *(a for a in actions if a != s.action)),
            scores=tuple(-float(i) for i in range(len(actions))),
            clip=s.clip,
        )
        for s in dataset.segments("test")
    ]
    write_predictions(path, found, PredictedClasses.of(dataset.vocabulary))
    return path


def read(folder: Path, path: Path, split: str = "test") -> Predictions:
    dataset = open_annotations(folder)
    segments = dataset.segments(split)
    expected = Expected.of(segments, dataset.vocabulary)
    return load_predictions(path, [s.segment_id for s in segments], dataset.vocabulary.actions, expected=expected)


def names_of(folder: Path, found: Predictions) -> list[str]:
    vocabulary = open_annotations(folder).vocabulary
    return [vocabulary.action_name(prediction.actions[0]) for prediction in found.values()]


@pytest.fixture
def before(tmp_path: Path) -> tuple[Path, Path]:
    folder = table(tmp_path / "before")
    return folder, predicted(folder, tmp_path / "p.jsonl")


def test_what_is_written_says_what_it_is_about(before: tuple[Path, Path]) -> None:
    lines = [values for _, values in read_lines(before[1])]
    assert lines[0] == {"schema_version": 1, "verbs": dict(zip("012345", LABELS, strict=True)), "nouns": {"0": ""}}
    assert lines[1]["clip"] == {"video_id": "m0", "start": 0.0, "stop": 2.0}
    assert names_of(before[0], read(*before)) == [row[3] for row in ROWS]


def test_a_row_removed_shifts_no_prediction(before: tuple[Path, Path], tmp_path: Path) -> None:
    after = table(tmp_path / "after", ROWS[4:])
    said = (
        r"p\.jsonl: predicts other segments than those of the same ids here, 32 of 32; the first: "
        r"'m0_test_1' is m0 0\.00-2\.00 s there and m0 12\.00-14\.00 s here"
    )
    with pytest.raises(InputError, match=said) as refused:
        read(after, before[1])
    assert "specialist predict" in str(refused.value.hint)
    for arguments in (
        ("recognise", "--split", "test", "--backend", "chance", "--output", tmp_path / "r"),
        ("benchmark", "build", "--split", "test", "--miner", "specialist", "--output", tmp_path / "b"),
    ):
        with pytest.raises(InputError, match="the first: 'm0_test_1'"):
            call(*arguments, "--annotations", after, "--predictions", before[1])
    with pytest.raises(InputError, match="the first: 'm0_test_1'"):
        dataset = open_annotations(after)
        load_out_of_fold([before[1]], dataset.segments("test"), dataset.vocabulary)
    assert len(read(table(tmp_path / "shorter", ROWS[:20]), before[1])) == 20  # the last ones: no id has moved


def test_times_that_were_rounded_are_the_same(before: tuple[Path, Path], tmp_path: Path) -> None:
    rows = [(video, start + 0.004, stop, label) for video, start, stop, label in ROWS]
    assert len(read(table(tmp_path / "after", rows), before[1])) == 36


def test_a_label_added_moves_numbers_and_no_name(
    before: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = table(tmp_path / "after", [*ROWS, ("m9", 0, 1, "dig")])
    found = read(after, before[1])
    assert names_of(after, found) == [row[3] for row in ROWS]
    assert next(iter(found.values())).actions[0] == (1, 0)  # "eat" was 0
    said = capsys.readouterr().err
    assert "numbers the classes otherwise than they are here: they are matched by name" in said
    assert "does not know 1 of the 7 labels here, such as 'dig'" in said
    call(
        "recognise", "--split", "test", "--backend", "chance", "--output", tmp_path / "r", "--annotations", after,
        "--predictions", before[1],
    )  # fmt: skip
    metrics = read_json(tmp_path / "r" / "metrics.json")
    assert metrics["overall"]["specialist"]["action"]["value"] == 1.0


def test_a_label_renamed_is_refused(before: tuple[Path, Path], tmp_path: Path) -> None:
    rows = [(*row[:3], "allogroom" if row[3] == "groom" else row[3]) for row in ROWS]
    with pytest.raises(InputError, match=r"predicts label 'groom' for 'm0_test_1', and no label of the dataset"):
        read(table(tmp_path / "after", rows), before[1])


def test_a_benchmark_made_before_a_label_was_added(before: tuple[Path, Path], tmp_path: Path) -> None:
    after = table(tmp_path / "after", [*ROWS, ("m9", 0, 1, "dig")])
    config = BuildConfig(split="test", miner="random", options=3)
    build_benchmark(open_annotations(after), config).save(tmp_path / "bench")
    with pytest.raises(InputError, match="knows no label 'dig'"):
        call("eval", tmp_path / "bench", "--backend", f"specialist:{before[1]}", "--output", tmp_path / "r")
    build_benchmark(open_annotations(before[0]), config).save(tmp_path / "old")
    newer = predicted(after, tmp_path / "newer.jsonl")
    call("eval", tmp_path / "old", "--backend", f"specialist:{newer}", "--output", tmp_path / "s")
    assert read_json(tmp_path / "s" / "metrics.json")["accuracy"]["value"] == 1.0


def test_files_that_do_not_say_are_read_and_named(
    before: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, path = before
    old = tmp_path / "old.jsonl"
    old.write_text("".join(json.dumps({k: v for k, v in values.items() if k != "clip"}) + "\n"
                           for _, values in read_lines(path) if "verbs" not in values))  # fmt: skip
    assert names_of(folder, read(folder, old)) == [row[3] for row in ROWS]
    said = capsys.readouterr().err
    assert "old.jsonl: does not say which videos and times its segments are: they are matched by id" in said
    assert "nor what its classes are called: they are matched by number" in said
    read(folder, path)
    assert "does not say" not in capsys.readouterr().err
    dataset = open_annotations(folder)
    config = BuildConfig(split="test", miner="specialist", options=3, predictions=old)
    assert "old.jsonl does not say which videos" in build_benchmark(dataset, config).card.notes[-1]
    _, notes = load_out_of_fold([old], dataset.segments("test"), dataset.vocabulary)
    assert "old.jsonl does not say which videos" in notes[0]
    results = {s.segment_id: {"verb": {"0": 1.0}, "noun": {"0": 1.0}} for s in dataset.segments("test")}
    (tmp_path / "c.json").write_text(json.dumps({"results": results}))
    read(folder, tmp_path / "c.json")
    assert "c.json: does not say which videos" in capsys.readouterr().err
    rows = {str(row): {"predictions": [0], "target": 0} for row in range(36)}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    read(folder, tmp_path / "rows.json")
    assert "rows.json: does not say which videos" in capsys.readouterr().err


def test_arrays_of_other_labels_are_refused(before: tuple[Path, Path], tmp_path: Path) -> None:
    ids = np.array([s.segment_id for s in open_annotations(before[0]).segments("test")])
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "p.npz", verb_output=rng.random((36, 5)), noun_output=np.zeros((36, 1)), narration_id=ids)
    with pytest.raises(InputError, match="has scores of 5 labels; the dataset has 6"):
        read(before[0], tmp_path / "p.npz")


def test_files_put_together_keep_their_classes(before: tuple[Path, Path], tmp_path: Path) -> None:
    folder, path = before
    ids = [s.segment_id for s in open_annotations(folder).segments("test")]
    turned = PredictedClasses(verbs=dict(enumerate(reversed(LABELS))), nouns={0: ""})
    half = [values for _, values in read_lines(path)][1:19]
    other = [
        SpecialistPrediction.model_validate({**values, "segment_id": name, "clip": None,
                                             "actions": [(5 - verb, 0) for verb, _ in values["actions"]]})
        for name, values in zip(ids[18:], half, strict=True)
    ]  # fmt: skip
    write_records(tmp_path / "b.jsonl", [turned, *other])
    first = "".join(path.read_text().splitlines(keepends=True)[:19])
    (tmp_path / "both.jsonl").write_text(first + (tmp_path / "b.jsonl").read_text())
    found = read(folder, tmp_path / "both.jsonl")
    assert names_of(folder, found) == [row[3] for row in ROWS[:18]] * 2


def test_a_simulated_specialist_says_what_it_is_about(tmp_path: Path) -> None:
    folder = table(tmp_path / "t")
    source = ("--annotations", folder, "--split", "test")
    call("data", "simulate-specialist", *source, "--output", tmp_path / "s.jsonl")
    assert len(read(folder, tmp_path / "s.jsonl")) == 36
    with pytest.raises(InputError, match="predicts other segments"):
        read(table(tmp_path / "after", ROWS[4:]), tmp_path / "s.jsonl")
