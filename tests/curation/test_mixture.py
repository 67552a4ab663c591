"""Mixtures: the right amount of each, the same on every run, and clear errors."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
import yaml

from helpers.kitchen_days import day, material, predictions
from llavaction.base.errors import InputError
from llavaction.base.records import file_sha256, read_records, write_records
from llavaction.curation.mixture import curate, load_mixture, take_share
from llavaction.curation.narration import DirectNarration, DirectNarrationSettings
from llavaction.curation.out_of_fold import load_out_of_fold
from llavaction.curation.records import TrainingRecord
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.datasets.registry import open_annotations
from llavaction.recipes import collected
from llavaction.specialists.predictions import PredictedClasses, write_predictions

MIXTURES = collected("mixtures")


def _write(path: Path, **values: object) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def foretold(kitchen: EpicKitchens, tmp_path: Path) -> Path:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, predictions(kitchen).values(), PredictedClasses.of(kitchen.vocabulary))
    return path


def test_records_are_not_replaced_by_others(kitchen: EpicKitchens, tmp_path: Path) -> None:
    mixture = _write(tmp_path / "m.yaml", tasks=[{"task": "direct_narration"}])
    curate(kitchen, mixture, tmp_path / "out")
    before = (tmp_path / "out" / "records.jsonl").read_bytes()
    curate(kitchen, mixture, tmp_path / "out")
    assert (tmp_path / "out" / "records.jsonl").read_bytes() == before
    _write(mixture, seed=5, tasks=[{"task": "direct_narration", "cap": 3}])
    with pytest.raises(
        InputError, match=r"seed was 0, now 5; the m.yaml changed; counts.direct_narration was \d+, now 3"
    ):
        curate(kitchen, mixture, tmp_path / "out")
    assert (tmp_path / "out" / "records.jsonl").read_bytes() == before


def test_what_is_noted_anew_makes_no_other_records(kitchen: EpicKitchens, tmp_path: Path) -> None:
    path, mixture = tmp_path / "old.jsonl", _write(tmp_path / "m.yaml", tasks=[{"task": "caption"}])
    write_records(path, [p.model_copy(update={"clip": None}) for p in predictions(kitchen).values()])
    made = curate(kitchen, mixture, tmp_path / "out", predictions=[path])
    assert "old.jsonl does not say which videos and times" in made.notes[0]
    card = tmp_path / "out" / "card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "notes": []}))  # as an earlier version left it
    assert curate(kitchen, mixture, tmp_path / "out", predictions=[path]) == made


@pytest.mark.parametrize("recipe", sorted(MIXTURES))
def test_every_recipe(kitchen: EpicKitchens, foretold: Path, tmp_path: Path, recipe: str) -> None:
    card = curate(kitchen, MIXTURES[recipe], tmp_path / "out", predictions=[foretold])
    records = list(read_records(tmp_path / "out/records.jsonl", TrainingRecord))
    counts = Counter(record.record_id.split(":")[0] for record in records)
    assert counts == card.counts
    assert len({record.record_id for record in records}) == len(records)
    segments = len(kitchen.segments("train"))
    for settings in card.tasks:
        lost = sum(count for why, count in card.left_out.get(settings["name"], {}).items() if why != "weight or cap")
        assert counts[settings["name"]] == round(settings["weight"] * (segments - lost))
    saved = json.loads((tmp_path / "out/card.json").read_text())
    assert saved["counts"] == dict(counts)
    assert saved["sources"][f"{recipe}.yaml"] == file_sha256(MIXTURES[recipe])
    assert saved["sources"]["predictions.jsonl"] == file_sha256(foretold)
    assert saved["sources"]["EPIC_100_train.csv"] == file_sha256(kitchen.folder / "EPIC_100_train.csv")
    assert saved["licence"] == kitchen.licence
    assert saved["notes"] == []


def test_the_order_of_the_annotations_has_no_effect(kitchen: EpicKitchens, foretold: Path, tmp_path: Path) -> None:
    other = day(tmp_path / "annotations")
    file = other.folder / "EPIC_100_train.csv"
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *reversed(rows)]) + "\n")
    mixture = MIXTURES["kitchen-mini"]
    curate(kitchen, mixture, tmp_path / "a", predictions=[foretold])
    curate(kitchen, mixture, tmp_path / "b", predictions=[foretold])
    assert (tmp_path / "a/records.jsonl").read_bytes() == (tmp_path / "b/records.jsonl").read_bytes()
    curate(EpicKitchens(other.folder), mixture, tmp_path / "c", predictions=[foretold])
    straight, turned = (
        {record.record_id: record for record in read_records(tmp_path / name / "records.jsonl", TrainingRecord)}
        for name in ("a", "c")
    )
    assert straight == turned
    assert len(straight) > 1000


def test_two_entries_of_one_task(kitchen: EpicKitchens, tmp_path: Path) -> None:
    tasks = [
        {"task": "part_choice", "part": "verb", "options": 3},
        {"task": "part_choice", "name": "objects", "part": "noun", "options": 4},
        {"task": "stand_in", "name": "told", "of": {"task": "part_choice", "part": "noun", "options": 4}},
    ]
    card = curate(kitchen, _write(tmp_path / "m.yaml", tasks=tasks), tmp_path / "out")
    records = list(read_records(tmp_path / "out/records.jsonl", TrainingRecord))
    assert set(card.counts) == {"part_choice", "objects", "told"}
    assert len({record.record_id for record in records}) == len(records) == sum(card.counts.values()) > 600
    assert Counter(record.words is not None for record in records)[True] == card.counts["told"]


def test_the_seed_changes_the_draws_and_not_the_amounts(kitchen: EpicKitchens, foretold: Path, tmp_path: Path) -> None:
    files = []
    for seed in (0, 1):
        tasks = [{"task": "hard_action_recognition", "weight": 0.5}]
        mixture = _write(tmp_path / f"{seed}.yaml", seed=seed, tasks=tasks)
        curate(kitchen, mixture, tmp_path / str(seed), predictions=[foretold])
        files.append({r.record_id for r in read_records(tmp_path / f"{seed}/records.jsonl", TrainingRecord)})
    assert len(files[0]) == len(files[1]) == round(len(kitchen.segments("train")) / 2)
    assert 0.3 < len(files[0] & files[1]) / len(files[0]) < 0.7


@pytest.mark.parametrize(("weight", "cap", "wanted"), [(2.5, None, 615), (2.5, 300, 300), (0.1, None, 25), (1, 7, 7)])
def test_weights_and_caps(kitchen: EpicKitchens, weight: float, cap: int | None, wanted: int) -> None:
    assert len(kitchen.segments("train")) == 246
    settings = DirectNarrationSettings(task="direct_narration", name="n", weight=weight, cap=cap)
    share = take_share(DirectNarration(settings, material(kitchen)))
    assert len(share.turns) == len({(s.segment_id, turn) for s, turn in share.turns}) == wanted
    per_segment = Counter(segment.segment_id for segment, _ in share.turns)
    assert max(per_segment.values()) - (min(per_segment.values()) if len(per_segment) == 246 else 0) <= 1
    assert share.left_out.get("weight or cap", 0) == 246 - len(per_segment)
    places = [list(kitchen.segments("train")).index(segment) for segment, _ in share.turns]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "the mixture is empty"),
        ({"tasks": []}, "the mixture is empty"),
        ({"tasks": [{"task": "direct_naration"}]}, "did you mean 'direct_narration'"),
        ({"tasks": [{"task": "caption", "wieght": 2}]}, "did you mean 'weight'"),
        ({"tasks": [{"task": "hard_action_recognition", "optoins": 3}]}, "did you mean 'options'"),
        ({"tasks": [{"task": "caption", "cap": 0}]}, "cap: Input should be greater than 0"),
        ({"tasks": [{"task": "caption", "weight": 0}]}, "weight: Input should be greater than 0"),
        ({"sede": 1, "tasks": [{"task": "caption"}]}, "did you mean 'seed'"),
        ({"tasks": [{"task": "caption"}, {"task": "caption"}]}, "two tasks are called 'caption'"),
        ({"tasks": [{}]}, "unknown task 'None'"),
        ({"tasks": ["caption"]}, "not a valid MixtureConfig"),
    ],
)
def test_mixtures_that_are_not(tmp_path: Path, values: dict[str, object], message: str) -> None:
    path = _write(tmp_path / "m.yaml", **values)
    with pytest.raises(InputError) as error:
        load_mixture(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))


def test_other_files_that_are_no_mixtures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_mixture(tmp_path / "m.yaml")
    (tmp_path / "m.yaml").write_text("tasks: [")
    with pytest.raises(InputError, match="not readable as YAML"):
        load_mixture(tmp_path / "m.yaml")


def test_a_name_that_stands_for_the_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "video,start,stop,label\na,0,1,walk\na,1,2,see <video>\nb,0,1,walk\nc,0,2,see <video>\n"
    )
    mixture = _write(tmp_path / "m.yaml", tasks=[{"task": "direct_narration"}])
    with pytest.raises(InputError, match=r"is called 'see <video>', and '<video>' stands for the clip"):
        curate(open_annotations(tmp_path), mixture, tmp_path / "out", split="train")


def test_a_mixture_that_leaves_nothing(kitchen: EpicKitchens, tmp_path: Path) -> None:
    tasks = [{"task": "hard_action_recognition", "options": 20, "miner": "random", "pool": 19}]
    mixture = _write(tmp_path / "m.yaml", tasks=[{"task": "direct_narration", "weight": 0.001}])
    with pytest.raises(InputError, match=r"no record can be made of split 'train'.*'weight or cap': 246"):
        curate(kitchen, mixture, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    card = curate(kitchen, _write(mixture, tasks=tasks), tmp_path / "out")
    assert sum(card.counts.values()) + sum(card.left_out.get("hard_action_recognition", {}).values()) == 246


def test_out_of_fold_files_are_joined(kitchen: EpicKitchens, tmp_path: Path) -> None:
    table, vocabulary = kitchen.segments("train"), kitchen.vocabulary
    known = predictions(kitchen)
    paths = [tmp_path / f"{fold}.jsonl" for fold in range(3)]
    classes = PredictedClasses.of(vocabulary)
    for fold, path in enumerate(paths):
        write_predictions(
            path, [p.model_copy(update={"fold": None}) for p in known.values() if p.fold == fold], classes
        )
    joined, notes = load_out_of_fold(paths, table, vocabulary)
    assert set(joined) == set(known)
    assert notes == []
    _, notes = load_out_of_fold(paths[:1], table, vocabulary)
    assert "does not name folds" in notes[0]
    write_records(paths[2], [next(iter(known.values()))])
    with pytest.raises(InputError, match=r"predicts 'P09_01_0', which 0.jsonl predicts too"):
        load_out_of_fold(paths, table, vocabulary)
    wrong = known["P09_01_0"].model_copy(update={"actions": ((77, 0),), "scores": (0.0,)})
    write_records(paths[2], [wrong])
    with pytest.raises(InputError, match=r"predicts verb 77 with noun 0 for 'P09_01_0'"):
        load_out_of_fold(paths[2:], table, vocabulary)


def test_no_file_hides_another_of_its_name(kitchen: EpicKitchens, tmp_path: Path) -> None:
    mixture = _write(tmp_path / "m.yaml", tasks=[{"task": "caption"}])
    known, classes = predictions(kitchen), PredictedClasses.of(kitchen.vocabulary)
    paths = [tmp_path / f"fold-{fold}" / "predictions.jsonl" for fold in range(3)]
    for fold, path in enumerate(paths):
        write_predictions(path, [p for p in known.values() if p.fold == fold], classes)
    card = curate(kitchen, mixture, tmp_path / "out", predictions=paths)
    names = ("predictions.jsonl", "predictions.jsonl (2)", "predictions.jsonl (3)")
    assert [card.sources[name] for name in names] == sorted(map(file_sha256, paths))
    moved = Path(shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name} moved", ignore=lambda *_: ["out"]))
    again = [moved / "." / path.relative_to(tmp_path) for path in reversed(paths)]
    assert curate(kitchen, moved / "m.yaml", tmp_path / "out", predictions=again).sources == card.sources
    first = next(p for p in known.values() if p.fold == 0)
    spoilt = first.model_copy(update={"actions": first.actions[::-1]})
    write_predictions(paths[0], [spoilt, *(p for p in known.values() if p.fold == 0 and p is not first)], classes)
    with pytest.raises(InputError, match=r"the predictions\.jsonl.* changed"):
        curate(kitchen, mixture, tmp_path / "out", predictions=paths)


def test_a_mixture_named_like_a_table(kitchen: EpicKitchens, tmp_path: Path) -> None:
    mixture = _write(tmp_path / "EPIC_100_verb_classes.csv", tasks=[{"task": "caption"}])
    card = curate(kitchen, mixture, tmp_path / "out")
    assert card.sources["EPIC_100_verb_classes.csv"] == file_sha256(kitchen.folder / "EPIC_100_verb_classes.csv")
    assert card.sources["EPIC_100_verb_classes.csv (2)"] == file_sha256(mixture)


def test_a_full_disk_loses_nothing(kitchen: EpicKitchens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = _write(tmp_path / "m.yaml", tasks=[{"task": "caption"}])
    curate(kitchen, mixture, tmp_path / "out")
    before = (tmp_path / "out/records.jsonl").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        curate(kitchen, mixture, tmp_path / "out")
    assert (tmp_path / "out/records.jsonl").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["records.jsonl"]


@pytest.mark.parametrize(("weight", "cap"), [(1e9, 10**9), (1e300, None), (30_000, None)])
def test_an_immense_weight_is_refused_before_memory_is_taken(
    kitchen: EpicKitchens, weight: float, cap: int | None
) -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match="of 246 segments, more than 2,000,000"):
        take_share(
            DirectNarration(DirectNarrationSettings(task="t", name="n", weight=weight, cap=cap), material(kitchen))
        )
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_cap_under_an_immense_weight_is_what_is_made(kitchen: EpicKitchens) -> None:
    settings = DirectNarrationSettings(task="t", name="n", weight=1e9, cap=7)
    assert len(take_share(DirectNarration(settings, material(kitchen))).turns) == 7
