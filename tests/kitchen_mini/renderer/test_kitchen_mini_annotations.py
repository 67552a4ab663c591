"""The annotation files of kitchen_mini have the official form and say what is in the videos."""

from __future__ import annotations

import ast
import csv
import itertools
import re
from pathlib import Path

import pytest

from helpers.kitchen_mini_scenes import small
from kitchen_mini.renderer.annotations import (
    COLUMNS,
    frame_number,
    tail_classes,
    timestamp,
    write_annotations,
)
from kitchen_mini.renderer.script import scripts
from kitchen_mini.renderer.world import NOUNS, VERBS, spoken
from llavaction.datasets.epic_kitchens import EpicKitchens

OFFICIAL_HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,"
    "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
)
SETTINGS = small(train_videos=40, validation_videos=15, test_videos=15, max_segments=14, min_segments=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("annotations")
    write_annotations(folder, scripts(SETTINGS, 0), SETTINGS)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def segments(folder: Path) -> list[dict[str, str]]:
    return [row for split in ("train", "validation", "test") for row in rows(folder / f"EPIC_100_{split}.csv")]


def test_columns_are_the_official_ones(folder: Path) -> None:
    assert ",".join(COLUMNS) == OFFICIAL_HEADER
    for split in ("train", "validation", "test"):
        assert (folder / f"EPIC_100_{split}.csv").read_text().splitlines()[0] == OFFICIAL_HEADER


def test_headers_equal_those_of_the_real_files(folder: Path, shared: Path) -> None:
    compared = 0
    for path in folder.iterdir():
        real = shared / "data" / "ek100" / path.name
        if real.is_file():
            assert path.read_text().splitlines()[0] == real.read_text().splitlines()[0], path.name
            compared += 1
    assert compared >= 7


def test_cells_are_formed_like_the_real_ones(folder: Path, shared: Path) -> None:
    forms = {
        "narration_id": r"P\d\d_\d{2,3}_\d+",
        "narration_timestamp": r"\d\d:\d\d:\d\d\.\d{3}",
        "start_timestamp": r"\d\d:\d\d:\d\d\.\d\d",
        "stop_timestamp": r"\d\d:\d\d:\d\d\.\d\d",
        "start_frame": r"[1-9]\d*",
        "verb": r"[a-z]+(-[a-z]+)*",
        "noun": r"[a-z]+(:[a-z]+)*",
        "all_nouns": r"\['[a-z:]+'(, '[a-z:]+')*\]",
        "all_noun_classes": r"\[\d+(, \d+)*\]",
    }
    real = rows(shared / "data" / "ek100" / "EPIC_100_validation.csv")[:500]
    for name, form in forms.items():
        pattern = re.compile(form)
        assert all(pattern.fullmatch(row[name]) for row in segments(folder)), name
        assert sum(bool(pattern.fullmatch(row[name])) for row in real) > 0.95 * len(real), name


def test_rows_agree_with_themselves_and_the_classes(folder: Path) -> None:
    durations = {row["video_id"]: float(row["duration"]) for row in rows(folder / "EPIC_100_video_info.csv")}
    found = segments(folder)
    assert len({row["narration_id"] for row in found}) == len(found) > 400
    for row in found:
        start, stop = (
            sum(
                float(part) * unit for part, unit in zip(row[f"{end}_timestamp"].split(":"), (3600, 60, 1), strict=True)
            )
            for end in ("start", "stop")
        )
        assert 0 <= start < stop <= durations[row["video_id"]]
        assert 1.2 <= stop - start <= 3.4
        assert int(row["start_frame"]) == max(1, int(start * 12 + 1e-6))
        assert int(row["stop_frame"]) == int(stop * 12 + 1e-6)
        verb, nouns = VERBS[int(row["verb_class"])], ast.literal_eval(row["all_nouns"])
        assert row["verb"] in verb.instances
        assert nouns[0] == row["noun"]
        classes = ast.literal_eval(row["all_noun_classes"])
        assert classes[0] == int(row["noun_class"])
        assert all(noun in NOUNS[index].phrases for noun, index in zip(nouns, classes, strict=True))
        assert row["narration"].startswith(row["verb"].split("-")[0])
        assert all(spoken(noun) in row["narration"] for noun in nouns)
        assert row["narration_id"].startswith(f"{row['video_id']}_")
        assert row["video_id"].startswith(f"{row['participant_id']}_")


def test_segments_of_a_video_do_not_overlap(folder: Path) -> None:
    by_video: dict[str, list[tuple[int, str, str]]] = {}
    for row in segments(folder):
        index = int(row["narration_id"].rpartition("_")[2])
        by_video.setdefault(row["video_id"], []).append((index, row["start_timestamp"], row["stop_timestamp"]))
    for spans in by_video.values():
        ordered = sorted(spans)
        assert [index for index, _, _ in ordered] == list(range(len(ordered)))
        assert all(a[2] <= b[1] for a, b in itertools.pairwise(ordered))


def test_rows_are_in_the_official_order(folder: Path) -> None:
    found = rows(folder / "EPIC_100_train.csv")
    keys = [(row["participant_id"], row["video_id"]) for row in found]
    assert len(keys) == len(found)
    for video in set(keys):
        ids = [row["narration_id"] for row in found if row["video_id"] == video[1]]
        assert ids == sorted(ids)


def test_paraphrases_are_used(folder: Path) -> None:
    said = {}
    for row in segments(folder):
        said.setdefault(row["verb_class"], set()).add(row["verb"])
    assert len(said["0"]) >= 5
    assert sum(len(words) > 1 for words in said.values()) >= 12
    assert any(len(ast.literal_eval(row["all_nouns"])) == 2 for row in segments(folder))


def test_our_reader_takes_every_row(folder: Path) -> None:
    data = EpicKitchens(folder)
    assert data.splits == ("train", "validation", "test")
    assert sum(len(data.segments(split)) for split in data.splits) == len(segments(folder))
    assert not data.remarks
    assert not data.notes
    assert len(data.verbs) == 14
    assert len(data.nouns) == 22
    trained = {segment.participant_id for segment in data.segments("train")}
    for split, count in (("validation", 2), ("test", 4)):
        unseen = data.unseen_participants(split)
        here = {segment.participant_id for segment in data.segments(split)}
        assert len(unseen) == count
        assert here - trained == unseen
        assert here & trained
    counts = [s.verb_class for s in data.segments("train")]
    tail = data.tail("verb")
    assert 0 < sum(counts.count(verb) for verb in tail) <= 0.2 * len(counts)
    assert max(counts.count(verb) for verb in tail) <= min(counts.count(v) for v in data.verbs if v not in tail)


def test_class_files_list_each_phrase_once() -> None:
    for kinds in (VERBS, NOUNS):
        phrases = [phrase for kind in kinds for phrase in kind.instances]
        assert len(phrases) == len(set(phrases))
        assert all(kind.key in kind.instances for kind in kinds)


def test_tail_classes_hold_a_fifth() -> None:
    assert tail_classes({0: 50, 1: 30, 2: 15, 3: 5}, 5) == [2, 3, 4]
    assert tail_classes({0: 50, 1: 29, 2: 16, 3: 5}, 4) == [3]


def test_times_are_written_as_published() -> None:
    assert timestamp(3723.456, 3) == "01:02:03.456"
    assert timestamp(59.999, 2) == "00:01:00.00"
    assert frame_number(0.0, 12) == 1
    assert frame_number(1.89, 60) == 113
    assert frame_number(0.29, 100) == 29


def test_splits_without_videos_have_no_files(tmp_path: Path) -> None:
    settings = small(train_videos=0, validation_videos=0, test_videos=3)
    names = {path.name for path in write_annotations(tmp_path, scripts(settings, 0), settings)}
    assert names == {
        f"EPIC_100_{kind}.csv"
        for kind in ("test", "verb_classes", "noun_classes", "video_info", "unseen_participant_ids_test")
    }
    assert len(EpicKitchens(tmp_path).segments("test")) >= 12
