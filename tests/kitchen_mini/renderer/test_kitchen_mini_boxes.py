"""Object boxes of kitchen_mini: where the renderer puts things, at a fixed rate, for training alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from helpers.kitchen_mini_scenes import SECONDS, film, kitchen_state, small, staged
from kitchen_mini.boxes import HAND, FrameBoxes, ObjectBox
from kitchen_mini.renderer import KitchenMiniConfig, generate
from kitchen_mini.renderer.boxes import BoxTracer
from kitchen_mini.renderer.generation import boxes_path, video_path
from kitchen_mini.renderer.script import scripts
from kitchen_mini.renderer.state import SLOTS, Step
from kitchen_mini.renderer.world import NOUN_IDS
from llavaction.base.records import file_sha256, read_records

SETTINGS = small(boxes_per_second=3, train_videos=2, validation_videos=1, test_videos=1)
STRIDE = 4  # of 12 frames a second


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boxes") / "mini"
    generate(folder, settings=SETTINGS, workers=1)
    return folder


def boxes_of(folder: Path, video_id: str) -> list[FrameBoxes]:
    return list(read_records(boxes_path(folder, video_id), FrameBoxes))


@pytest.mark.parametrize("box", [(0.2, 0.1, 0.2, 0.5), (0.2, 0.5, 0.4, 0.5), (0.4, 0.1, 0.2, 0.5)])
def test_boxes_have_an_inside(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValidationError, match="nothing lies between"):
        ObjectBox(noun=0, box=box)


def test_only_train_has_boxes_and_at_the_rate_asked_for(dataset: Path) -> None:
    planned = scripts(SETTINGS, 0)
    trained = [script for script in planned if script.split == "train"]
    found = {path.stem for path in (dataset / "boxes").rglob("*.jsonl")}
    assert found == {script.video_id for script in trained} and len(trained) == 2
    for script in trained:
        frames = boxes_of(dataset, script.video_id)
        count = round(script.duration * SETTINGS.fps)
        assert [frame.time for frame in frames] == [round(n / SETTINGS.fps, 4) for n in range(0, count, STRIDE)]
        assert {frame.video_id for frame in frames} == {script.video_id}
    assert KitchenMiniConfig().box_stride == 0 and small(boxes_per_second=100).box_stride == 1


def test_what_is_in_view_and_what_is_used(dataset: Path) -> None:
    middles = 0
    for script in scripts(SETTINGS, 0):
        if script.split != "train":
            continue
        for frame in boxes_of(dataset, script.video_id):
            for item in frame.boxes:
                left, top, right, bottom = item.box
                assert right >= 0 and bottom >= 0 and left <= 1 and top <= 1  # rounded
                assert HAND <= item.noun < len(NOUN_IDS)
                assert not (item.noun == HAND and item.used)
            used = {item.noun for item in frame.boxes if item.used}
            event = next((event for event in script.events if event.begin <= frame.time < event.end), None)
            if event is None:
                assert not used
                continue
            noun, phase = NOUN_IDS[event.step.noun], (frame.time - event.begin) / (event.end - event.begin)
            assert used <= {noun}
            if 0.2 < phase < 0.8:
                assert bool(used) == any(item.noun == noun for item in frame.boxes)
                middles += bool(used)
    assert middles > 20


def test_boxes_lie_where_things_are_drawn() -> None:
    noun, step = "cup", Step("take", "salt", SLOTS[3])  # in whose first frame the hand is not there yet
    there, away = kitchen_state(cup=SLOTS[2], salt=SLOTS[3]), kitchen_state(salt=SLOTS[3])
    changed = np.abs(film(there, step)[0] - film(away, step)[0]).max(-1) > 24
    tracer = BoxTracer(staged(there, step, name="v"), small(camera_motion=0.0), 0)
    (box,) = [item.box for item in next(tracer.boxes(1)).boxes if item.noun == NOUN_IDS[noun]]
    rows, columns = np.nonzero(changed)
    height, width = changed.shape
    drawn = columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height
    assert changed.sum() > 10 and drawn[:3] == pytest.approx(box[:3], abs=2 / height)
    assert -1 / height < drawn[3] - box[3] < 5 / height  # the box is without the shadow below


def test_what_is_opened_is_on_at_its_end() -> None:
    step = Step("open", "drawer", "drawer0")
    tracer = BoxTracer(staged(kitchen_state(), step), small(camera_motion=0.0), 0)
    frames = list(tracer.boxes(1))
    drawer = NOUN_IDS["drawer"]
    first, last = ({item.on for item in frame.boxes if item.noun == drawer} for frame in (frames[0], frames[-1]))
    assert first == {False} and True in last and len(frames) == SECONDS * 12
    assert any(item.noun == HAND for item in frames[len(frames) // 2].boxes)


def test_missing_boxes_are_made_again_and_videos_left_alone(dataset: Path) -> None:
    script = scripts(SETTINGS, 0)[0]
    path, video = boxes_path(dataset, script.video_id), video_path(dataset, script.video_id)
    digest, made = file_sha256(path), video.stat().st_mtime_ns
    path.unlink()
    assert generate(dataset, settings=SETTINGS, workers=1).rendered_videos == 1
    assert file_sha256(path) == digest and video.stat().st_mtime_ns == made
    assert generate(dataset, settings=SETTINGS, workers=1).rendered_videos == 0
