"""Every reader of files, on files damaged in seeded ways: it reads them, or says what is wrong; nothing else.

``LLAVACTION_FUZZ=5000 pytest tests/test_fuzz_readers.py`` tries so many files of every reader. A new reader is one line
in READERS: what writes a good folder, which files of it are damaged, and what reads it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from helpers.annotation_files import random_rows, write_annotations
from helpers.multi_label_files import MULTI_LABEL
from helpers.mutations import damaged_text
from helpers.question_files import QUESTION_FILES
from kitchen_mini.boxes import FrameBoxes, ObjectBox
from llavaction.actions.segments import Clip
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.base.errors import LlavactionError
from llavaction.base.records import Record, read_json, read_records, to_line, write_json, write_records
from llavaction.cli.options import mapping
from llavaction.curation.llava import read_llava
from llavaction.curation.mixture import load_mixture
from llavaction.curation.records import Message, TrainingRecord
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.datasets.registry import open_annotations
from llavaction.evaluation.predictions import Prediction, read_predictions
from llavaction.models.checkpoint import open_checkpoint
from llavaction.models.shards import open_weights, read_header
from llavaction.questions.builder import build_benchmark
from llavaction.questions.config import BuildConfig
from llavaction.questions.schema import Benchmark
from llavaction.recipes import mixture_file, recipe_file
from llavaction.recognition.records import Recognition
from llavaction.runs.environment import record_environment
from llavaction.runs.identity import read_config
from llavaction.runs.journal import Journal
from llavaction.specialists.classifier import Specialist
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.labels import ClassName, SpecialistLabels
from llavaction.specialists.predictions import (
    Expected,
    PredictedClasses,
    SpecialistPrediction,
    load_predictions,
    write_predictions,
)
from llavaction.testing.tiny import write_tiny
from llavaction.training.checkpoints import hold_to_data
from llavaction.training.config import load_config
from llavaction.training.meter import read_metrics
from llavaction.training.run import check_output
from llavaction.video.rates import read_rates

COUNT = int(os.environ.get("LLAVACTION_FUZZ", "0"))
USUAL = 120
"""Damaged files of every reader that are tried in CI."""
KEPT: dict[str, tuple[int, ...]] = {"shards": (744, 9664), "specialist predictions .pt": (743,)}
"""Seeds that once found a fault."""
SLOWEST = 5.0
"""Seconds a reader may take for one file."""
IDS = [f"P01_01_{number}" for number in range(6)]
CLASSES = {"verb": 4, "noun": 5}
ACTIONS = [(verb, noun) for verb in range(4) for noun in range(5)]
EXPECTED = Expected(
    {name: Clip(video_id="P01_01", start=i, stop=i + 1) for i, name in enumerate(IDS)},
    *({i: f"{kind} {i}" for i in range(count)} for kind, count in CLASSES.items()),
)
TWO_STAGE = recipe_file("kitchen-mini-two-stage")


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        write: makes a folder of good files.
        damaged: pattern of the files that are damaged, one at a time.
        read: reads the folder.
        share: of the usual number of files; less for slow readers.
    """

    write: Callable[[Path], object]
    damaged: str
    read: Callable[[Path], object]
    share: float = 1.0


def _annotations(folder: Path) -> None:
    write_annotations(folder, {"validation": random_rows(2, 8, 0), "train": random_rows(2, 8, 1)})
    (folder / "EPIC_100_video_info.csv").write_text("video_id,duration,fps,resolution\nP01_00,20.0,50,1x1\n")
    (folder / "EPIC_100_tail_verbs.csv").write_text("verb\n1\n")
    (folder / "EPIC_100_unseen_participant_ids_validation.csv").write_text("participant_id\nP03\n")


def _read_annotations(folder: Path) -> None:
    dataset = EpicKitchens(folder)
    for split in ("validation", "train"):
        _written(dataset.segments(split))
    assert isinstance(dataset.vocabulary, ActionVocabulary)
    dataset.groups("validation")
    dataset.sources("validation")
    json.dumps([*map(str, dataset.remarks), *dataset.notes], ensure_ascii=False).encode()


def _benchmark(folder: Path) -> None:
    _annotations(folder / "annotations")
    made = build_benchmark(
        EpicKitchens(folder / "annotations"), BuildConfig(split="validation", miner="random", options=3)
    )
    made.save(folder)
    shutil.rmtree(folder / "annotations")
    write_json(folder / "audit.json", {"attacks": [{"name": "prior", "accuracy": 0.5}]})


def _read_benchmark(folder: Path) -> None:
    found = Benchmark.load(folder)
    _written(found.questions)
    found.facts.train_counts  # noqa: B018
    read_json(folder / "audit.json")


def _written(records: object) -> None:
    """What was read can be written again."""
    for record in records:  # type: ignore[attr-defined]
        to_line(record).encode()


def _run(folder: Path) -> None:
    answers = [
        Prediction(
            question_id=name, video_id="v", answer=0, choice=0, parse_status="scored", decision_rule="option letters",
            scores=(-0.1, -2.5), margin=2.4,
        )
        for name in IDS
    ]  # fmt: skip
    write_records(folder / "predictions.jsonl", answers)
    values = {
        "schema_version": 1,
        "backend": "prior",
        "frames": 8,
        "resolved": {"backend": "prior", "frames": [1, 2.5]},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    write_json(folder / "environment.json", {"schema_version": 1, "environments": [{"python": "3.11"}]})


def _read_run(folder: Path) -> None:
    _written(read_predictions(folder))
    json.dumps(read_config(folder), default=str, ensure_ascii=False).encode()
    record_environment(folder)


def _recognitions(folder: Path) -> None:
    found = [
        Recognition(
            segment_id=name, clip=Clip(video_id="v", start=0, stop=1), verb=1, noun=2, confidence=0.9,
            candidates=((1, 2), (0, 1)), specialist_scores=(0.5, 0.25), option_scores=(-0.1, -2.0), truth=(1, 2),
            decision_rule="option letters",
        )
        for name in IDS
    ]  # fmt: skip
    write_records(folder / "recognitions.jsonl", found)


def _read_recognitions(folder: Path) -> None:
    with Journal(folder / "recognitions.jsonl", Recognition, "segment_id") as journal:
        _written(journal.done.values())


def _scores() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    verbs, nouns = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(6, 5)).astype(np.float32)
    return {"verb_output": verbs, "noun_output": nouns, "narration_id": np.array(IDS)}


def _submission() -> str:
    scores = _scores()
    results = {
        name: {
            kind: {str(i): float(x) for i, x in enumerate(scores[f"{kind}_output"][row])} for kind in ("verb", "noun")
        }
        for row, name in enumerate(IDS)
    }
    results[IDS[0]]["action"] = {"1,2": 0.5, "0,4": 0.25}
    return json.dumps({"version": "0.2", "challenge": "action_recognition", "results": results})


def _specialist_file(suffix: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / f"p{suffix}"
        if suffix == ".npz":
            np.savez(path, **_scores())
        elif suffix == ".own.npz":
            spans = {"video_id": np.array(["P01_01"] * 6), "start": np.arange(6.0), "stop": np.arange(6.0) + 1}
            names = {f"{kind}_names": np.array([f"{kind} {i}" for i in range(n)]) for kind, n in CLASSES.items()}
            np.savez(path, **_scores(), **spans, **names)
        elif suffix == ".compressed.npz":
            np.savez_compressed(path, **_scores())
        elif suffix == ".pt":
            scores = _scores()
            kept = {name: torch.from_numpy(scores[name]) for name in ("verb_output", "noun_output")}
            torch.save({**kept, "narration_id": IDS}, path)
        elif suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("test.json", _submission())
        elif suffix == ".rows.json":
            path.write_text(
                json.dumps({str(row): {"predictions": [row, 3, 1], "target": 2} for row in range(len(IDS))})
            )
        elif suffix == ".json":
            path.write_text(_submission())
        else:
            values = {"actions": ((0, 1), (1, 0)), "scores": (0.5, 0.2)}
            made = [SpecialistPrediction(segment_id=name, clip=clip, **values) for name, clip in EXPECTED.clips.items()]
            write_predictions(path, made, PredictedClasses(verbs=EXPECTED.verbs, nouns=EXPECTED.nouns))

    return write


def _read_specialist_file(folder: Path) -> None:
    (path,) = folder.glob("p.*")
    _written(load_predictions(path, IDS, ACTIONS, expected=EXPECTED).values())


def _mixture(folder: Path) -> None:
    shutil.copy(mixture_file("kitchen-mini"), folder / "m.yaml")


def _recipe(folder: Path) -> None:
    shutil.copy(TWO_STAGE, folder / "r.yaml")


def _training_records(folder: Path) -> None:
    talk = (Message(role="user", content="<video>\nWhat?"), Message(role="assistant", content="That."))
    clip = Clip(video_id="v", start=0.5, stop=2)
    made = [TrainingRecord(record_id=name, task="t", clip=clip, messages=talk) for name in IDS]
    write_records(folder / "records.jsonl", made)


def _boxes(folder: Path) -> None:
    seen = ObjectBox(noun=2, box=(0.1, 0.1, 0.5, 0.6), used=True)
    write_records(folder / "b.jsonl", [FrameBoxes(video_id="v", time=0.5 * i, boxes=(seen,)) for i in range(4)])


def _read_all(pattern: str, cls: type[Record]) -> Callable[[Path], object]:
    return lambda folder: _written(record for path in folder.glob(pattern) for record in read_records(path, cls))


def _llava(folder: Path) -> None:
    talk = [{"from": "human", "value": "<image>\nWhat?"}, {"role": "assistant", "content": "That."}]
    entries = [
        {"id": name, "video": "a/v.mp4", "start_timestamp": "00:00:01.5", "end_timestamp": 3.5, "conversations": talk,
         "question_type": "t", "verb_id": 1, "noun_id": 2, "action_id": 3}
        for name in IDS
    ]  # fmt: skip
    (folder / "x.json").write_text(json.dumps(entries, indent=1))
    (folder / "y.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def _read_llava(folder: Path) -> None:
    for name in ("x.json", "y.jsonl"):
        _written(read_llava(folder / name).records)


def _training(folder: Path) -> None:
    config = load_config(TWO_STAGE)
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    lines = [{"stage": "stage-1", "step": step, "loss": 0.5 / (step + 1)} for step in range(5)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "checkpoint-1").mkdir()
    write_json(folder / "checkpoint-1/trainer_state.json", {})
    write_json(folder / "data.json", {"1. file of records": "abc", "usable records": "5 (x)"})


def _read_training(folder: Path) -> None:
    read_metrics(folder / "metrics.jsonl")
    hold_to_data(folder, {"1. file of records": "abc", "usable records": "5 (x)"}, write=False)
    recipe = load_config(TWO_STAGE)
    check_output(recipe.model_copy(update={"output": folder}))


def _specialist(folder: Path) -> None:
    names = tuple(ClassName(id=i, key=key) for i, key in enumerate(("take", "put", "wash")))
    labels = SpecialistLabels(verbs=names, nouns=names, actions=((0, 0), (1, 2)))
    Specialist.untrained(SpecialistConfig(channels=8, frames=2, height=16, width=16), labels).save(folder)


def _checkpoint(folder: Path) -> None:
    write_tiny(folder)


def _read_checkpoint(folder: Path) -> None:
    found = open_checkpoint(folder)
    _ = found.context, found.trained_frames


def _shards(folder: Path) -> None:
    torch.manual_seed(0)
    from safetensors.torch import save_file

    places = {}
    for number, names in enumerate((("a", "b"), ("c",)), start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: torch.rand(3, 4) for name in names}, folder / file)
        places |= dict.fromkeys(names, file)
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": 144}, "weight_map": places})


def _read_shards(folder: Path) -> None:
    for tensor in open_weights(folder).values():
        tensor.load()
    for file in folder.glob("*.safetensors"):
        read_header(file)


def _settings(folder: Path) -> None:
    (folder / "value.txt").write_text("{a: 1, b: [1, 2.5, x], c: &d {e: f}, g: *d}")


def _read_settings(folder: Path) -> None:
    raw = (folder / "value.txt").read_bytes()
    mapping(["key=" + raw.decode("utf-8", "surrogateescape")])


def _labels(folder: Path) -> None:
    rows = [f"v{i % 3}.mp4;00:00:0{i},5;{i + 1};{('run', 'rear: left')[i % 2]};m{i % 2}" for i in range(8)]
    (folder / "mice.csv").write_text("\n".join(["Video;Onset;Offset;Behaviour;Subject", *rows]) + "\n")
    (folder / "test.csv").write_text("video_id,start,stop\nw1,0,1.5\nw2,1,2\n")


def _read_labels(folder: Path) -> None:
    dataset = open_annotations(folder)
    _written(dataset.segments("all"))
    _written(dataset.segments("test", unlabelled=True))
    assert dataset.vocabulary.one_label
    json.dumps([*map(str, dataset.remarks), *dataset.notes], ensure_ascii=False).encode()


def _rates(folder: Path) -> None:
    (folder / "fps.json").write_text('{"a": 30, "b": {"film_fps": 59.94, "images": "left_", "first": 1}}')
    (folder / "fps.csv").write_text("video_id;fps\na;29,97\nb;30\n")


def _read_rates(folder: Path) -> None:
    for path in folder.glob("fps.*"):
        read_rates(path)


READERS = {
    "rates": Reader(_rates, "fps.*", _read_rates),
    "labels": Reader(_labels, "*.csv", _read_labels),
    "annotations": Reader(_annotations, "*.csv", _read_annotations),
    "benchmark": Reader(_benchmark, "*.json*", _read_benchmark),
    "run": Reader(_run, "*.*", _read_run),
    "recognitions": Reader(_recognitions, "*.jsonl", _read_recognitions),
    **{
        f"specialist predictions {suffix}": Reader(_specialist_file(suffix), "p.*", _read_specialist_file, 0.6)
        for suffix in (".npz", ".own.npz", ".compressed.npz", ".pt", ".json", ".rows.json", ".zip", ".jsonl")
    },
    "mixture": Reader(_mixture, "*.yaml", lambda folder: load_mixture(folder / "m.yaml")),
    "recipe": Reader(_recipe, "*.yaml", lambda folder: load_config(folder / "r.yaml")),
    "training records": Reader(_training_records, "*.jsonl", _read_all("*.jsonl", TrainingRecord)),
    "boxes": Reader(_boxes, "*.jsonl", _read_all("*.jsonl", FrameBoxes)),
    "llava": Reader(_llava, "*.json*", _read_llava),
    "training": Reader(_training, "*.*", _read_training),
    "specialist": Reader(_specialist, "*.*", Specialist.load, 0.5),
    "checkpoint": Reader(_checkpoint, "*.*", _read_checkpoint, 0.2),
    "shards": Reader(_shards, "*.*", _read_shards),
    **{name: Reader(*parts) for name, parts in MULTI_LABEL.items()},
    **{name: Reader(*parts) for name, parts in QUESTION_FILES.items()},
    "settings": Reader(_settings, "*.txt", _read_settings),
}
"""Readers by name."""


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reader, good, tried = READERS[name], tmp_path / "good", tmp_path / "tried"
    good.mkdir()
    reader.write(good)
    reader.read(good)
    files = sorted(path for path in good.glob(reader.damaged) if path.is_file())
    refused = 0
    count = max(int((COUNT or USUAL) * reader.share), 1)
    for seed in (*KEPT.get(name, ()), *range(count)):
        rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
        chosen = files[int(rng.integers(0, len(files)))]
        shutil.copytree(good, tried)
        (tried / chosen.name).write_bytes(damaged_text(chosen.read_bytes(), chosen.suffix, rng))
        begun = time.process_time()
        try:
            reader.read(tried)
        except LlavactionError as error:
            refused += 1
            assert str(error).strip()
        except BaseException as error:
            keep = tmp_path / f"seed-{seed}-{chosen.name}"
            shutil.copy(tried / chosen.name, keep)
            raise AssertionError(f"{name}, seed {seed}: {keep.name} raises {type(error).__name__}: {error}") from error
        assert time.process_time() - begun < SLOWEST, f"{name}, seed {seed}: {chosen.name} takes too long"
        shutil.rmtree(tried)
    capfd.readouterr()
    assert refused >= count // 20  # the damage is real: a good part of it is noticed
