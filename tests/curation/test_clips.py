"""Clips cut for other trainers: right span, right pace, right size; what cannot be cut is named, never half there."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.records import read_records, write_records
from llavaction.curation import clips
from llavaction.curation.clips import cut_clips
from llavaction.curation.exports import export
from llavaction.curation.messages import ClipFile
from llavaction.curation.records import TrainingRecord
from llavaction.video.library import VideoLibrary
from llavaction.video.probe import probe
from llavaction.video.write import write_video

RATE, SECONDS = 10, 6


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> VideoLibrary:
    """A video that grows brighter by 40 every second, and one that is damaged."""
    folder = tmp_path_factory.mktemp("videos")
    grey = [np.full((60, 82, 3), 10 + 40 * (number // RATE), dtype=np.uint8) for number in range(RATE * SECONDS)]
    write_video(folder / "long.mp4", grey, RATE)
    (folder / "broken.mp4").write_bytes((folder / "long.mp4").read_bytes()[:300])
    return VideoLibrary(folder)


def clip(start: float, stop: float, video: str = "long") -> tuple[Clip, str | None]:
    return Clip(video_id=video, start=start, stop=stop), None


def record(name: str, video: str | None, start: float = 1.0) -> TrainingRecord:
    seen = None if video is None else Clip(video_id=video, start=start, stop=start + 2)
    said = ({"role": "user", "content": "<video>\nWhat?" if video else "Why?"}, {"role": "assistant", "content": "So."})
    return TrainingRecord(record_id=name, task="t", clip=seen, messages=said)


def test_a_clip_shows_its_span(library: VideoLibrary, tmp_path: Path) -> None:
    found = cut_clips({"a.mp4": clip(2.0, 4.0), "b.mp4": clip(0.0, 6.0)}, library, tmp_path, fps=5, short_side=30)
    assert (found.written, found.present, found.failed) == (2, 0, {})
    facts = probe(tmp_path / "a.mp4")
    assert (facts.frames, facts.duration, facts.height, facts.width) == (10, pytest.approx(2.0), 30, 40)
    shown = VideoLibrary(tmp_path).read(Clip(video_id="a", start=0, stop=2), 10).images.mean((1, 2, 3))
    assert np.allclose(shown, [90] * 5 + [130] * 5, atol=3)
    assert probe(tmp_path / "b.mp4").frames == 30


def test_short_long_and_small_clips(library: VideoLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "MOST_FRAMES", 12)
    cut_clips({"short.mp4": clip(1.0, 1.1), "long.mp4": clip(0.0, 6.0)}, library, tmp_path, fps=8, short_side=500)
    short, long = probe(tmp_path / "short.mp4"), probe(tmp_path / "long.mp4")
    assert short.frames == 2 and short.duration == pytest.approx(0.1, abs=0.01)
    assert long.frames == 12 and long.duration == pytest.approx(6.0)  # fewer frames a second, not a faster film
    assert (long.height, long.width) == (60, 82)  # never enlarged


def test_clips_that_were_cut_otherwise_are_not_taken_for_these(library: VideoLibrary, tmp_path: Path) -> None:
    cut_clips({"a.mp4": clip(2.0, 4.0)}, library, tmp_path, fps=5)
    with pytest.raises(InputError, match=r"cut with .*5.*not .*6") as caught:
        cut_clips({"a.mp4": clip(2.0, 4.0)}, library, tmp_path, fps=6)
    assert "another output folder" in str(caught.value)
    assert cut_clips({"a.mp4": clip(2.0, 4.0)}, library, tmp_path, fps=5).present == 1


def test_what_is_there_is_not_cut_again(library: VideoLibrary, tmp_path: Path) -> None:
    cut_clips({"a.mp4": clip(2.0, 4.0), "c.mp4": clip(5.0, 9.0)}, library, tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"kept")
    found = cut_clips({"a.mp4": clip(2.0, 4.0), "b.mp4": clip(0.0, 1.0), "c.mp4": clip(5.0, 9.0)}, library, tmp_path)
    assert (found.written, found.present) == (1, 2) and (tmp_path / "a.mp4").read_bytes() == b"kept"
    assert list(found.partial) == ["c.mp4"]


def test_clips_of_a_video_that_changed_are_cut_again(tmp_path: Path) -> None:
    for brightness in (40, 200):
        write_video(tmp_path / "v.mp4", np.full((20, 60, 82, 3), brightness, np.uint8), RATE)
        found = cut_clips({"a.mp4": clip(0.0, 1.0, "v")}, VideoLibrary(tmp_path), tmp_path / "clips")
        assert (found.written, found.present) == (1, 0)
        shown = VideoLibrary(tmp_path / "clips").read(Clip(video_id="a", start=0, stop=1), 4).images
        assert np.allclose(shown, brightness, atol=3)


def test_a_clip_past_the_end_is_shorter_not_slower(library: VideoLibrary, tmp_path: Path) -> None:
    found = cut_clips({"a.mp4": clip(4.0, 9.0)}, library, tmp_path, fps=5)
    facts = probe(tmp_path / "a.mp4")
    assert (facts.frames, facts.duration) == (10, pytest.approx(2.0))  # two of the five seconds are there
    shown = VideoLibrary(tmp_path).read(Clip(video_id="a", start=0, stop=2), 10).images.mean((1, 2, 3))
    assert np.allclose(shown, [170] * 5 + [210] * 5, atol=3)
    assert "ends at 6.00 s" in (found.partial["a.mp4"].problem or "") and found.partial["a.mp4"].frames == 10


def test_frames_that_stand_in_are_named(tmp_path: Path) -> None:
    damage_middle(tmp_path / "v.mp4")
    write_records(tmp_path / "r.jsonl", [record("one", "v", 0.0), record("two", "v", 4.0)])
    found = export(tmp_path / "r.jsonl", tmp_path / "out", "trl", library=VideoLibrary(tmp_path), fps=10)
    assert list(found.partial) == ["v_0.0_2.0.mp4"]
    first, second = read_records(tmp_path / "out" / "clips.jsonl", ClipFile)
    assert first.stand_ins and set(first.stand_ins) < set(range(20)) and "cannot be read" in (first.problem or "")
    assert (second.stand_ins, second.problem) == ((), None)
    again = export(tmp_path / "r.jsonl", tmp_path / "out", "trl", library=VideoLibrary(tmp_path), fps=10)
    assert again.partial == found.partial


def damage_middle(path: Path) -> None:
    """Six seconds, of which some frames of the second one cannot be decoded."""
    rng = np.random.default_rng(0)
    write_video(path, rng.integers(0, 255, (60, 60, 82, 3)).astype(np.uint8), RATE, gop=10)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for place, size in packets[13:16]:
        content[place : place + size] = bytes(size)
    path.write_bytes(content)


def test_what_cannot_be_cut_is_named(library: VideoLibrary, tmp_path: Path) -> None:
    wanted = {"x.mp4": clip(0, 1, "broken"), "y.mp4": clip(0, 1, "nowhere"), "z.mp4": clip(20, 21), "a.mp4": clip(5, 9)}
    found = cut_clips(wanted, library, tmp_path)
    assert set(found.failed) == {"x.mp4", "y.mp4", "z.mp4"} and found.written == 1  # one ends beyond its video
    assert "no video 'nowhere'" in found.failed["y.mp4"] and "ends at 6.00 s" in found.failed["z.mp4"]
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["a.mp4"]


def test_a_segment_kept_as_a_file(library: VideoLibrary, tmp_path: Path) -> None:
    own = {"s.mp4": (Clip(video_id="absent", start=100, stop=106), "long")}
    assert cut_clips(own, library, tmp_path, fps=2).failed == {}
    shown = VideoLibrary(tmp_path).read(Clip(video_id="s", start=0, stop=6), 6).images.mean((1, 2, 3))
    assert np.allclose(shown, 10 + 40 * np.arange(6), atol=3)


def test_an_export_leaves_out_what_has_no_clip(library: VideoLibrary, tmp_path: Path) -> None:
    records = [record("one", "long"), record("two", "long"), record("bad", "broken"), record("text", None)]
    write_records(tmp_path / "r.jsonl", records)
    found = export(tmp_path / "r.jsonl", tmp_path / "out", "trl", library=library, fps=4)
    assert (found.records, found.left_out, found.clips, found.without_clip) == (3, 0, 2, 1)
    assert list(found.uncut) == ["broken_1.0_3.0.mp4"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert [line["videos"] for line in lines] == [["clips/long_1.0_3.0.mp4"]] * 2 + [[]]
    (listed,) = read_records(tmp_path / "out" / "clips.jsonl", ClipFile)
    assert probe(tmp_path / "out" / listed.file).frames == 8


def test_llava_names_each_video_by_its_path(tmp_path: Path) -> None:
    grey = [np.full((48, 64, 3), 90, dtype=np.uint8)] * 20
    (tmp_path / "videos/p1").mkdir(parents=True)
    write_video(tmp_path / "videos/p1/one.MP4", grey, RATE)
    write_records(tmp_path / "r.jsonl", [record("a", "one"), record("b", "two"), record("text", None)])
    found = export(tmp_path / "r.jsonl", tmp_path / "out", "llava", library=VideoLibrary(tmp_path / "videos"))
    written = json.loads((tmp_path / "out/llava.json").read_text())
    assert [(entry["id"], entry.get("video")) for entry in written] == [("a", "p1/one.MP4"), ("text", None)]
    assert (found.records, found.without_clip, list(found.uncut)) == (2, 1, ["two"])


def test_a_folder_that_cannot_be_written(library: VideoLibrary, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        cut_clips({"a.mp4": clip(0, 1)}, library, tmp_path / "file")
