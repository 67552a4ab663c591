"""The mixture and the order in which it is seen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from helpers.kitchenette import clip_record, settings, text_record
from llavaction.base.errors import InputError
from llavaction.base.records import write_records
from llavaction.training.config import StageConfig, TrainConfig
from llavaction.training.mixture import Mixture, frames_of, load_mixture
from llavaction.training.sampler import MicroBatches, RecordSampler, steps_of
from llavaction.video.library import VideoLibrary


def made(lengths: list[int], shares: list[tuple[int, int, float]] | None = None, **values: Any) -> RecordSampler:
    records = [text_record(number) for number in range(len(lengths))]
    mixture = Mixture(records, [0] * len(records), shares or [(0, len(records), 1.0)])
    return RecordSampler(
        mixture, lengths, **{"steps": 6, "global_batch": 8, "micro_batch": 2, "group": 3, "seed": 0} | values
    )


def test_every_record_is_seen_as_often_as_it_should_be() -> None:
    schedule = made(list(range(20)), [(0, 10, 1.0), (10, 20, 2.5)], steps=35, group=4)
    assert schedule.mixture.pass_length == 35
    draws = [draw for step in range(35) for draw in schedule.batch(step)]
    assert len(draws) == 280 == 8 * 35  # eight passes exactly
    per_pass = Counter(draws)
    for turn in range(8):
        counts = [per_pass[record, turn] for record in range(20)]
        assert counts[:10] == [1] * 10
        assert sorted(counts[10:]) == [2] * 5 + [3] * 5
    thirds = {tuple(per_pass[record, turn] for record in range(10, 20)) for turn in range(8)}
    assert len(thirds) > 4  # other records get the fraction in other passes
    assert steps_of(2, 35, 8) == 9 and steps_of(8, 35, 8) == 35


def test_batches_are_of_like_length_and_come_in_random_order() -> None:
    lengths = [(number * 37) % 96 for number in range(96)]
    waste = {}
    for group in (0, 1, 12):
        schedule = made(lengths, steps=12, group=group)
        pieces = list(MicroBatches(schedule, 0, 1))
        assert len(pieces) == len(MicroBatches(schedule, 0, 1)) == 48
        assert sorted(draw.record for piece in pieces for draw in piece) == list(range(96))
        longest = [max(lengths[draw.record] for draw in piece) for piece in pieces]
        waste[group] = 1 - sum(lengths) / sum(2 * length for length in longest)
    assert waste[12] < 0.02 < waste[1] < 0.15 < waste[0]
    firsts = [lengths[made(lengths, steps=12, group=12).batch(step)[0].record] for step in range(12)]
    assert firsts != sorted(firsts) and firsts != sorted(firsts, reverse=True)
    assert made(lengths, steps=12, group=12).batch(5) == made(lengths, steps=12, group=12).batch(5)
    assert made(lengths, steps=12, group=12, seed=1).batch(5) != made(lengths, steps=12, group=12).batch(5)


@pytest.mark.parametrize("group", [0, 1, 4])
def test_processes_and_micro_batches_only_divide_what_a_batch_holds(group: int) -> None:
    lengths = [(number * 37) % 50 for number in range(50)]
    whole = [sorted(made(lengths, group=group).batch(step)) for step in range(6)]
    for world, micro in ((1, 8), (2, 2), (4, 1)):
        schedule = made(lengths, group=group, micro_batch=micro)
        own = [list(MicroBatches(schedule, rank, world)) for rank in range(world)]
        each = 8 // (micro * world)
        for step, expected in enumerate(whole):
            taken = [draw for pieces in own for piece in pieces[step * each : (step + 1) * each] for draw in piece]
            assert sorted(taken) == expected


def stage(home: Path, *records: dict[str, Any], **values: Any) -> StageConfig:
    return TrainConfig.from_mapping(settings(home, records=list(records), **values)).resolved()[0]


def test_caps_frames_and_missing_videos(home: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", [clip_record(number) for number in range(9)])
    write_records(tmp_path / "b.jsonl", [clip_record(number, video="lost") for number in range(4)] + [text_record(1)])
    library = VideoLibrary(home / "videos")
    config = stage(
        home, {"path": str(tmp_path / "a.jsonl"), "cap": 5, "frames": 2}, {"path": str(tmp_path / "b.jsonl")}
    )
    mixture = load_mixture(config, library, 0, (3, 3, 3))
    assert dict(mixture.missing) == {"lost": 4}
    assert list(mixture.frames) == [2, 2, 2, 2, 2, 0]
    names = [record.record_id for record in mixture.records]
    assert len(set(names)) == 6 and names[-1] == "text-1" and mixture.pass_length == 6
    others = {tuple(r.record_id for r in load_mixture(config, library, seed, None).records) for seed in range(5)}
    assert len(others) > 1
    assert [frames_of(clip_record(number), 4, 2) for number in range(3)] == [2, 3, 3]
    assert [frames_of(clip_record(number), 2, 2) for number in range(3)] == [2, 2, 2]
    assert frames_of(clip_record(0), 4, 0.1) == 1 and frames_of(text_record(0), 4, None) == 0


def test_mixtures_that_will_not_do(home: Path, tmp_path: Path) -> None:
    library = VideoLibrary(home / "videos")
    file = tmp_path / "a.jsonl"
    config = stage(home, {"path": str(file)})
    with pytest.raises(InputError, match="no such file"):
        load_mixture(config, library, 0, None)
    file.write_text("")
    with pytest.raises(InputError, match=r"a.jsonl: holds no training records"):
        load_mixture(config, library, 0, None)
    write_records(file, [clip_record(number, video="rde") for number in range(3)])
    with pytest.raises(InputError, match=r"is empty; 3 records of 1 missing videos were left out\n.*'rde'"):
        load_mixture(config, library, 0, None)
    with pytest.raises(InputError, match="record 'clip-0' shows a clip, but there is no folder of videos"):
        load_mixture(config, None, 0, None)
    write_records(file, [clip_record(number) for number in range(3)])
    with pytest.raises(
        InputError, match="record 'clip-1' is labelled noun class 2, the model's noun head has 2 classes"
    ):
        load_mixture(config, library, 0, (3, 2, 3))
    assert len(load_mixture(config, library, 0, None).records) == 3
