"""Which frames are taken: the published numbers, and the same choice by time."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from llavaction.base.errors import InputError
from llavaction.video.sampling import (
    Timeline,
    centres,
    chunk_reads,
    frame_indices,
    frame_times,
    last_chunk,
    seconds_text,
)


def constant(rate: Fraction, frames: int, tick: float = 0.0) -> Timeline:
    times = np.arange(frames) / float(rate)
    return Timeline(np.round(times / tick) * tick if tick else times, rate, tick)


def test_golden_frame_choice(shared: Path) -> None:
    for case in json.loads((shared / "golden/text/frames.json").read_text()):
        jitter = np.random.RandomState(case["np_random_seed"]) if case["jitter"] else None
        found = frame_indices(case["start_frame"], case["end_frame"], case["num_segments"], jitter)
        assert found.tolist() == case["output"], case


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(25), Fraction(60000, 1001), Fraction(90)])
def test_golden_frame_choice_by_time(shared: Path, rate: Fraction) -> None:
    for case in json.loads((shared / "golden/text/frames.json").read_text()):
        if case["jitter"] or case["end_frame"] > 30_000:
            continue
        timeline = constant(rate, case["end_frame"])
        start, stop = (case[name] / float(rate) for name in ("start_frame", "end_frame"))
        assert timeline.pick(start, stop, case["num_segments"]).tolist() == case["output"], case


def test_golden_chunk_reader(shared: Path) -> None:
    for case in json.loads((shared / "golden/text/video_loader.json").read_text()):
        fps, length = case["fps"], case["chunk_len"]
        reads = chunk_reads(
            case["start_second"],
            case["end_second"],
            case["clip_length"],
            rate=fps,
            chunk_length=length,
            starts=range(0, case["video_len_seconds"], length),
            last_frames=round(length * fps),
        )
        published = [(int(name.rsplit("/", 1)[1].split(".")[0]), frames) for name, frames in case["reads"]]
        assert [(read.start, list(read.frames)) for read in reads] == published
        by_frame = [[read.start, frame] for read in reads for frame in read.frames]
        assert by_frame == case["frames_chunk_and_rel_id"]
        whole = frame_indices(
            round(case["start_second"] * fps),
            round(min(case["end_second"], 60 - 1 / fps) * fps),
            case["clip_length"],
        )
        text = seconds_text(whole / fps)
        # The published loader appends the text of the whole clip once for every chunk it opens.
        assert ",".join([text] * len(published)) == case["time_meta"]["frame_time"]


def test_golden_frame_folder(shared: Path) -> None:
    for case in json.loads((shared / "golden/text/frame_folder_loader.json").read_text()):
        args = case["args"]
        found = frame_indices(args["start_frame"], args["end_frame"], args["clip_length"])
        assert found.tolist() == case["frame_ids"]
        fps = (args["end_frame"] - args["start_frame"]) / (args["end_second"] - args["start_second"])
        assert seconds_text(found / fps, ", ") == case["time_meta"]["frame_time"]


def test_centres_of_equal_parts() -> None:
    assert frame_times(2.0, 4.0, 4).tolist() == [2.25, 2.75, 3.25, 3.75]
    assert frame_indices(0, 10, 4).tolist() == [1, 3, 6, 8]
    with pytest.raises(InputError, match="at least 1"):
        centres(0, 1, 0)


def test_jitter_comes_from_the_given_generator_and_stays_within_its_part() -> None:
    draws = [frame_indices(0, 160, 16, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draws[0].tolist() == draws[1].tolist() != draws[2].tolist()
    parts = np.arange(16) * 10
    assert np.all(draws[0] >= parts) and np.all(draws[0] < parts + 10)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30), Fraction(50), Fraction(60000, 1001)])
@pytest.mark.parametrize("tick", [0.0, 1e-3, 1 / 12800])
def test_choice_by_time_is_the_published_choice_at_constant_rate(rate: Fraction, tick: float) -> None:
    """Also where the container rounds timestamps to its tick, which alone would shift frames by one."""
    timeline = constant(rate, 4000, tick)
    rng = np.random.default_rng(5)
    for _ in range(300):
        start = round(float(rng.uniform(0, 50)), 2)
        stop = start + round(float(rng.uniform(0.01, 12)), 2)
        count = int(rng.integers(1, 65))
        ends = (int(np.round(second * float(rate))) for second in (start, stop))
        assert timeline.pick(start, stop, count).tolist() == frame_indices(*ends, count).tolist()


def test_frame_on_show_is_the_last_that_has_begun() -> None:
    timeline = Timeline(np.array([0.0, 0.1, 0.5, 0.55]), Fraction(10))
    assert timeline.on_show([0.0, 0.09, 0.1, 0.49, 0.5, 0.56, 9.0]).tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert timeline.is_variable
    assert timeline.duration == pytest.approx(0.65)
    even = constant(Fraction(30), 100)
    assert even.on_show(np.arange(100) / 30).tolist() == list(range(100))
    assert not even.is_variable


def test_variable_rate_follows_the_timestamps() -> None:
    """Ten frames in the first second, one in the second: equal times, not equal frame numbers."""
    timeline = Timeline(np.array([*(i / 10 for i in range(10)), 1.0]), Fraction(10))
    assert timeline.pick(0.0, 2.0, 4).tolist() == [2, 7, 10, 10]


def test_chunk_reads_truncate_twice_and_stop_at_the_last_frame() -> None:
    reads = chunk_reads(14.0, 16.0, 4, rate=59.94, chunk_length=15, starts=[0, 15], last_frames=899)
    assert [(read.start, read.frames) for read in reads] == [(0, (854, 884)), (15, (14, 44))]
    late = chunk_reads(29.0, 33.0, 2, rate=10, chunk_length=15, starts=[0, 15], last_frames=150)
    assert [(read.start, read.frames) for read in late] == [(15, (142, 146))]
    assert last_chunk(31.0, 15, [0, 15]) == 15
    with pytest.raises(InputError, match="no chunk begins"):
        last_chunk(3.0, 15, [15, 30])


def test_seconds_are_told_from_the_first_frame() -> None:
    assert seconds_text([2.0, 2.125, 3.5]) == "0.00s,0.12s,1.50s"
    assert seconds_text([]) == ""
