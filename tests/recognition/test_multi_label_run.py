"""Several actions in one clip, from annotations and a model, or a file of scores, to decisions and metrics."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from helpers.evaluation_fakes import FakeLibrary
from llavaction.actions.segments import Clip
from llavaction.backends.base import Capability, OptionScores, Query, QuestionError
from llavaction.backends.baselines import ChanceBackend
from llavaction.base.errors import InputError
from llavaction.base.records import read_json, read_records
from llavaction.base.seeding import hashed_rng
from llavaction.datasets.multi_label import MultiLabelAnnotations, open_multi_label
from llavaction.recognition.clip_scores import DECISIONS, SCORES, ClipDecision, ClipScores, load_scores
from llavaction.recognition.multi_label import Thresholds, decision_metrics, fit_thresholds, mean_average_precision
from llavaction.recognition.multi_label_config import MultiLabelConfig
from llavaction.recognition.multi_label_run import HELD_OUT, run_multi_label
from llavaction.runs.folder import RunFolder
from llavaction.runs.locks import RunLockedError

NAMES = ("dig", "groom", "rear", "walk")
RATES = (0.5, 0.35, 0.25, 0.1)
OFFSETS = dict(zip(NAMES, (0.0, 9.0, -4.0, 2.0), strict=True))
"""How much likelier than the others a name is anyway, whatever the clip."""
SIZES = {"train": 40, "validation": 120, "test": 90}
CONFIG = MultiLabelConfig(annotations="mice.csv", split="validation", backend="fake", batch_size=3)


def write_mice(folder: Path) -> Path:
    """A table of clips, two a video, that show none to four of the actions."""
    lines = ["video,start,stop,split,labels"]
    for split, size in SIZES.items():
        for number in range(size):
            shown = hashed_rng("mice", split, number).random(4) < RATES
            labels = ";".join(name for name, is_shown in zip(NAMES, shown, strict=True) if is_shown)
            lines.append(f"{split}{number // 2:02d},{number % 2 * 2},{number % 2 * 2 + 1.5},{split},{labels}")
    path = folder / "mice.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def mice(tmp_path: Path) -> MultiLabelAnnotations:
    return open_multi_label(write_mice(tmp_path))


@dataclass(frozen=True)
class FakeScores:
    raw: np.ndarray
    prior: np.ndarray
    lengths: np.ndarray

    @property
    def per_token(self) -> np.ndarray:
        return self.raw / self.lengths

    @property
    def prior_corrected(self) -> np.ndarray:
        return self.raw - self.prior


@dataclass
class FakeReading:
    owner: Observer
    clip_id: str
    heads: None = None

    def letters(self, queries: Sequence[Query]) -> list[OptionScores]:
        raise NotImplementedError

    def texts(self, query: Query, texts: Sequence[str]) -> FakeScores:
        assert query.options == () and "in a few words" in query.prompt
        light = 0 if query.clip is None else int(query.clip.frames.sum())
        noise = hashed_rng("noise", self.clip_id, light).normal(size=len(texts))
        shown = np.array([name in self.owner.shows.get(self.clip_id, ()) for name in texts])
        prior = np.array([OFFSETS[name] for name in texts]) - 30
        return FakeScores(prior + 2.5 * shown + noise, prior, np.array([1 + len(name) for name in texts]))


@dataclass
class Observer:
    """Knows what clips show, not too well."""

    shows: dict[str, tuple[str, ...]]
    name: str = "observer"
    needs_frames: int = 2
    decision_rule: str = "label texts"
    capabilities: frozenset[Capability] = frozenset({"read"})
    head_sizes: tuple[int, int, int] | None = None
    delay: float = 0.0
    refuses: frozenset[str] = frozenset()
    read_clips: list[str] = field(default_factory=list)

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        raise NotImplementedError

    def generate(self, queries: Sequence[Query]) -> list[str]:
        raise NotImplementedError

    def read(self, query: Query) -> FakeReading:
        time.sleep(self.delay)
        if query.query_id in self.refuses:
            raise QuestionError("the clip does not fit the model", question_id=query.query_id)
        self.read_clips.append(query.query_id)
        return FakeReading(self, query.query_id)


def observer(mice: MultiLabelAnnotations, **settings: float | frozenset[str]) -> Observer:
    shows = {clip.clip_id: tuple(mice.classes.names[place] for place in clip.labels) for clip in mice.clips}
    return Observer(shows, **settings)  # type: ignore[arg-type]


def of_split(split: str) -> MultiLabelConfig:
    return CONFIG.model_copy(update={"split": split})


def test_every_class_of_every_clip_is_scored_without_what_is_likely_anyway(mice: MultiLabelAnnotations, tmp_path: Path):
    result = run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), tmp_path / "run")
    records = list(read_records(tmp_path / "run" / SCORES, ClipScores))
    clips = mice.of_split("validation")
    assert [record.clip_id for record in records] == [clip.clip_id for clip in clips]
    assert (records[1].video_id, records[1].start, records[1].stop) == ("validation00", 2.0, 3.5)
    assert all(tuple(record.scores) == NAMES for record in records)
    scores, truth = result.scores.scores, mice.truth(clips)
    assert scores[truth].mean() == pytest.approx(2.5, abs=0.2) and scores[~truth].mean() == pytest.approx(0, abs=0.2)
    assert result.metrics["map"]["value"] == pytest.approx(mean_average_precision(scores, truth), abs=1e-6)
    assert result.metrics["map"]["clusters"] == 60 and result.metrics["map"]["low"] > 0.75
    assert {name: found["classes"] for name, found in result.metrics["groups"].items() if found} == {"tail": 4}
    assert result.metrics["decisions"] is None and result.decisions == [] and result.asked_now == 120
    counts = {"clips": 120, "scored": 120, "failed": 0, "with_note": 0, "without_score": 0}
    assert result.metrics["counts"] == counts and read_json(tmp_path / "run" / "metrics.json") == result.metrics
    raw = run_multi_label(
        CONFIG.model_copy(update={"form": "raw"}), mice, observer(mice), FakeLibrary(), tmp_path / "raw"
    )
    offsets = raw.scores.scores - scores
    assert offsets == pytest.approx(np.broadcast_to([OFFSETS[name] - 30 for name in NAMES], scores.shape), abs=1e-5)


def test_thresholds_of_validation_decide_on_test(mice: MultiLabelAnnotations, tmp_path: Path):
    file = tmp_path / "thresholds.json"
    fitted = run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), tmp_path / "fit", fit=file)
    clips = mice.of_split("validation")
    rule = fitted.metrics["rule"]
    assert rule == "label texts, prior-corrected, observer"
    assert Thresholds.load(file) == fit_thresholds(fitted.scores.scores, mice.truth(clips), NAMES, rule)
    assert fitted.metrics["decisions"]["thresholds"] == HELD_OUT
    assert not (tmp_path / "fit" / DECISIONS).exists()

    before = file.read_bytes()
    decided = run_multi_label(of_split("test"), mice, observer(mice), FakeLibrary(), tmp_path / "test", thresholds=file)
    assert file.read_bytes() == before
    of_test = mice.of_split("test")
    truth, chosen = mice.truth(of_test), decided.scores.scores >= np.array(Thresholds.load(file).thresholds)
    wanted = decision_metrics(chosen, truth)
    for name in ("jaccard", "f1_micro", "f1_macro", "precision", "recall", "exact"):
        assert decided.metrics["decisions"][name]["value"] == pytest.approx(wanted[name], abs=1e-6)
    assert wanted["f1_micro"] > 0.75
    lines = list(read_records(tmp_path / "test" / DECISIONS, ClipDecision))
    assert len(lines) == 90 and lines == decided.decisions
    for line, clip, row in zip(lines, of_test, chosen, strict=True):
        assert line.clip_id == clip.clip_id and set(line.truth) == {NAMES[place] for place in clip.labels}
        assert set(line.classes) == {name for name, is_chosen in zip(NAMES, row, strict=True) if is_chosen}
    per_class = decided.metrics["per_class"]
    assert [row["threshold"] for row in per_class] == pytest.approx(Thresholds.load(file).thresholds, abs=1e-6)
    assert [row["decided"] for row in per_class] == chosen.sum(0).tolist()


def test_a_finished_folder_decides_and_fits_without_asking(mice: MultiLabelAnnotations, tmp_path: Path):
    backend, file = observer(mice), tmp_path / "thresholds.json"
    run_multi_label(CONFIG, mice, backend, FakeLibrary(), tmp_path / "run")
    again = run_multi_label(CONFIG, mice, backend, FakeLibrary(), tmp_path / "run", fit=file)
    given = run_multi_label(CONFIG, mice, backend, FakeLibrary(), tmp_path / "run", thresholds=file)
    assert len(backend.read_clips) == 120 and (again.asked_now, given.asked_now) == (0, 0)
    assert (tmp_path / "run" / DECISIONS).is_file()
    run_multi_label(CONFIG, mice, backend, FakeLibrary(), tmp_path / "run")
    assert not (tmp_path / "run" / DECISIONS).exists()  # nothing stays that metrics.json does not speak of


def test_a_broken_video_fails_alone_and_is_asked_again(mice: MultiLabelAnnotations, tmp_path: Path):
    first, second, third, fourth, *_ = (clip.clip_id for clip in mice.of_split("validation"))
    library = FakeLibrary(bad=frozenset({first}), crash=frozenset({second}), partial=frozenset({third}))
    backend = observer(mice, refuses=frozenset({fourth}))
    result = run_multi_label(CONFIG, mice, backend, library, tmp_path / "run")
    counts = {"clips": 120, "scored": 117, "failed": 3, "with_note": 1, "without_score": 0}
    assert result.metrics["counts"] == counts and result.metrics["map"]["n"] == 117
    by_id = {record.clip_id: record for record in read_records(tmp_path / "run" / SCORES, ClipScores)}
    assert by_id[first].error == "validation00.mp4: is damaged from its first byte on" and not by_id[first].scores
    assert by_id[second].error == "ValueError: the decoder fell over"
    assert (by_id[third].note, by_id[third].stand_ins) == ("validation01.mp4: ends early", (1,))
    assert by_id[fourth].error == "the clip does not fit the model"
    assert run_multi_label(CONFIG, mice, observer(mice), library, tmp_path / "run").asked_now == 0
    mended = run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), tmp_path / "run", retry_failed=True)
    assert mended.metrics["counts"]["scored"] == 120 and mended.asked_now == 6
    fresh = run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), tmp_path / "fresh")
    assert np.array_equal(fresh.scores.scores, mended.scores.scores)


def test_a_killed_process_loses_nothing(mice: MultiLabelAnnotations, tmp_path: Path):
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
    home = tmp_path / "run"
    process = subprocess.Popen([sys.executable, __file__, str(tmp_path / "mice.csv"), str(home)], env=environment)
    path, deadline = home / SCORES, time.monotonic() + 60
    while not (path.is_file() and path.read_bytes().count(b"\n") >= 6):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    with pytest.raises(RunLockedError):
        run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), home)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = path.read_bytes().count(b"\n")
    assert 6 <= kept < 120 and not (home / "metrics.json").exists()
    rest = run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), home)
    run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), tmp_path / "whole")
    assert rest.asked_now == 120 - kept
    for name in (SCORES, "metrics.json"):
        assert (home / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@dataclass
class Measured(FakeLibrary):
    """Knows how long its videos are; notes which spans are read."""

    unknown: frozenset[str] = frozenset()
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)

    def length(self, video_id: str, segment_id: str | None = None) -> float:
        if video_id in self.unknown:
            raise InputError("is no video", file=f"/somewhere/{video_id}.mp4")
        return 7.25

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None):  # type: ignore[no-untyped-def]
        self.spans[clip.video_id] = (clip.start, clip.stop)
        return super().read(clip, count, segment_id=segment_id)


def test_whole_videos_are_read_to_their_end(tmp_path: Path):
    (tmp_path / "a.csv").write_text(
        "video,start,stop,labels\nv1,,,dig\nv2,,,walk;dig\nv3,2,,groom\nv4,1,2,rear\nv5,9,,rear\n"
    )
    found, library = open_multi_label(tmp_path), Measured(unknown=frozenset({"v2"}))
    result = run_multi_label(of_split("all"), found, observer(found), library, tmp_path / "run")
    records = {record.clip_id: record for record in read_records(tmp_path / "run" / SCORES, ClipScores)}
    assert (library.spans["v1"], library.spans["v3"], library.spans["v4"]) == ((0, 7.25), (2, 7.25), (1, 2))
    assert records["v1"].stop is None and records["v4_1_2"].stop == 2.0
    assert records["v2"].error == "v2.mp4: is no video"
    assert records["v5_9_end"].error == "the video ends at 7.25 s, before the clip starts at 9.00 s"
    assert result.metrics["groups"] is None and result.metrics["counts"]["failed"] == 2  # nothing is for training


def test_scores_of_a_file_count_as_those_of_the_run_that_wrote_it(mice: MultiLabelAnnotations, tmp_path: Path):
    asked = run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), tmp_path / "run", fit=tmp_path / "t.json")
    turned = [NAMES.index(name) for name in ("walk", "dig", "rear", "groom")]
    columns = np.array([NAMES[place].upper() for place in turned])
    np.savez(
        tmp_path / "s.npz", scores=asked.scores.scores[::-1, turned], clips=np.array(asked.scores.clips[::-1]),
        classes=columns,
    )  # fmt: skip
    for name, file in (("jsonl", tmp_path / "run" / SCORES), ("npz", tmp_path / "s.npz")):
        config = MultiLabelConfig(annotations="mice.csv", split="validation", scores=str(file))
        read = run_multi_label(config, mice, None, None, tmp_path / name, fit=tmp_path / f"{name}.json")
        assert {**read.metrics, "rule": ""} == {**asked.metrics, "rule": ""} and read.asked_now == 0
        assert Thresholds.load(tmp_path / f"{name}.json").thresholds == Thresholds.load(tmp_path / "t.json").thresholds
        assert not (tmp_path / name / SCORES).exists()
    np.savez(tmp_path / "s.npz", scores=asked.scores.scores[:50], clips=np.array(asked.scores.clips[:50]),
             classes=np.array(NAMES))  # fmt: skip
    config = MultiLabelConfig(annotations="mice.csv", split="validation", scores=str(tmp_path / "s.npz"))
    with pytest.raises(InputError, match="started with other settings: the scores changed"):
        run_multi_label(config, mice, None, None, tmp_path / "npz")
    part = run_multi_label(config, mice, None, None, tmp_path / "part")
    assert part.metrics["counts"]["without_score"] == 70 and part.metrics["counts"]["scored"] == 50


def _npz(path: Path, **changes: np.ndarray) -> Path:
    arrays = {"scores": np.zeros((2, 4)), "clips": np.array(["a", "b"]), "classes": np.array(NAMES)}
    np.savez(path, **(arrays | changes))
    return path


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scores": np.zeros((2, 3))}, r"its scores are float64 \[2, 3\]; expected \[2, 4\] numbers"),
        ({"scores": np.full((2, 4), np.inf)}, "clip 'a' has a score that is no finite number"),
        ({"clips": np.array(["a", "a"])}, "has the clip 'a' twice"),
        ({"clips": np.array([1, 2])}, r"its 'clips' are int64 \[2\], not a row of texts"),
        ({"classes": np.array(["dig", "groom", "rear", "wlak"])}, "has no score of 1 classes, the first 'walk'"),
        ({"clips": np.array(["a", None], dtype=object)}, "cannot be read without unpickling"),
    ],
)
def test_arrays_that_are_no_scores(tmp_path: Path, changes: dict[str, np.ndarray], problem: str):
    with pytest.raises(InputError, match=problem):
        load_scores(_npz(tmp_path / "s.npz", **changes), NAMES)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('{"clip_id": "a", "scores": {"dig": 1}}', r"s.jsonl:1: has no score of 3 classes, the first 'groom'"),
        ('{"clip_id": "a"}', "expected either scores or an error"),
        ('{"clip_id": "a", "error": "x"}\n{"clip_id": "a", "error": "x"}', r"s.jsonl:2: clip 'a' stands here for the"),
        ('{"clip_id": "a", "error": "x"}', "has no scored clip"),
        ('{"clip_id": "a", "scores": {"dig": NaN}}', "s.jsonl:1"),
    ],
)
def test_lines_that_are_no_scores(tmp_path: Path, lines: str, problem: str):
    (tmp_path / "s.jsonl").write_text(lines + "\n")
    with pytest.raises(InputError, match=problem):
        load_scores(tmp_path / "s.jsonl", NAMES)


def test_what_does_not_go_together_is_refused(mice: MultiLabelAnnotations, tmp_path: Path):
    home, file = tmp_path / "run", tmp_path / "t.json"
    run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), home, fit=file)
    with pytest.raises(InputError, match="started with other settings: form was 'prior', now 'raw'"):
        run_multi_label(CONFIG.model_copy(update={"form": "raw"}), mice, observer(mice), FakeLibrary(), home)
    raw = of_split("test").model_copy(update={"form": "raw"})
    with pytest.raises(InputError, match=r"fitted on other scores \(.*prior-corrected, observer\) than these \(.*raw"):
        run_multi_label(raw, mice, observer(mice), FakeLibrary(), tmp_path / "raw", thresholds=file)
    Thresholds(classes=("dig", "fly"), thresholds=(0.0, 0.0), positives=(1, 1)).save(tmp_path / "o.json")
    with pytest.raises(InputError, match="thresholds of 2 classes, the annotations have 4"):
        run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), home, thresholds=tmp_path / "o.json")
    with pytest.raises(InputError, match="either fitted here or given"):
        run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), home, fit=file, thresholds=file)
    with pytest.raises(InputError, match="does not say how likely every label is"):
        run_multi_label(CONFIG, mice, ChanceBackend(), FakeLibrary(), tmp_path / "chance")
    with pytest.raises(InputError, match="no videos were given"):
        run_multi_label(CONFIG, mice, observer(mice), None, tmp_path / "blind")
    with pytest.raises(InputError, match="none of the first 33 questions could be asked"):
        bad = frozenset(clip.clip_id for clip in mice.clips)
        run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(bad=bad), tmp_path / "bad")
    for wrong, message in (
        ({"backend": None}, "either a backend or a file of scores"),
        ({"scores": "s.npz"}, "either a backend or a file of scores"),
        ({"option_orders": 2}, "leave option_orders at 1"),
    ):
        with pytest.raises(InputError, match=message):
            MultiLabelConfig.from_mapping({**CONFIG.model_dump(), **wrong})
    nameless = replace(mice, classes=replace(mice.classes, named=False))
    with pytest.raises(InputError, match="classes have no names") as refused:
        run_multi_label(CONFIG, nameless, observer(mice), FakeLibrary(), tmp_path / "nameless")
    assert "--classes" in str(refused.value.hint)


def test_clips_without_labels_are_decided_but_not_measured(mice: MultiLabelAnnotations, tmp_path: Path):
    run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), tmp_path / "run", fit=tmp_path / "t.json")
    bare = replace(mice, clips=tuple(replace(clip, labels=()) for clip in mice.clips))
    result = run_multi_label(
        of_split("test"), bare, observer(mice), FakeLibrary(), tmp_path / "new", thresholds=tmp_path / "t.json"
    )
    assert result.metrics["map"] is None and result.metrics["decisions"] is None
    assert sum(bool(decision.classes) for decision in result.decisions) > 40
    with pytest.raises(InputError, match="nothing to fit thresholds to"):
        run_multi_label(
            of_split("test"), bare, observer(mice), FakeLibrary(), tmp_path / "new", fit=tmp_path / "u.json"
        )


def test_limit_is_the_same_for_all_and_grows(mice: MultiLabelAnnotations, tmp_path: Path):
    few, more = (
        run_multi_label(
            CONFIG.model_copy(update={"limit": limit}), mice, observer(mice), FakeLibrary(), tmp_path / str(limit)
        ).scores.clips
        for limit in (5, 9)
    )
    assert (len(few), len(more)) == (5, 9) and set(few) < set(more)


def test_the_folder_is_held_while_it_is_written(mice: MultiLabelAnnotations, tmp_path: Path):
    with RunFolder(tmp_path / "run"), pytest.raises(RunLockedError):
        run_multi_label(CONFIG, mice, observer(mice), FakeLibrary(), tmp_path / "run")


if __name__ == "__main__":
    annotations = open_multi_label(sys.argv[1])
    run_multi_label(CONFIG, annotations, observer(annotations, delay=0.02), FakeLibrary(), sys.argv[2])
