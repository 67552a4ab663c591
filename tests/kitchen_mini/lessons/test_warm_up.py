"""The warm-up of the vision tower: what lies on a patch, which pixels the tower sees, and a training that resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers.kitchenette import settings
from kitchen_mini.boxes import HAND, FrameBoxes, ObjectBox
from kitchen_mini.lessons.config import BoxesConfig
from kitchen_mini.lessons.patches import (
    FrameScaler,
    PatchItem,
    box_rows,
    channel_groups,
    load_frames,
    patch_targets,
    read_moments,
)
from kitchen_mini.lessons.warm_up import PatchLabeller, WarmUpTrainer, digests_of_boxes
from kitchen_mini.renderer import KitchenMiniConfig, generate
from llavaction.base.errors import InputError
from llavaction.base.records import read_records, write_records
from llavaction.models.checkpoint import load_model, open_checkpoint
from llavaction.models.llava_video import LlavaVideoProcessor
from llavaction.testing.tiny import write_tiny
from llavaction.training.checkpoints import checkpoints
from llavaction.training.config import TrainConfig
from llavaction.training.run import train
from llavaction.training.sampler import Draw
from llavaction.video.decode import read_all
from llavaction.video.library import VideoLibrary

NOUNS = 24


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three very short videos with boxes."""
    folder = tmp_path_factory.mktemp("kitchen") / "mini"
    values = {"width": 64, "height": 48, "train_videos": 3, "validation_videos": 0, "test_videos": 0}
    config = KitchenMiniConfig(**values, min_segments=1, max_segments=1, train_participants=2, boxes_per_second=3)
    generate(folder, settings=config, workers=1)
    return folder


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> LlavaVideoProcessor:
    found = open_checkpoint(write_tiny(tmp_path_factory.mktemp("tiny"), "llava_video"))
    return LlavaVideoProcessor.for_config(found.config, found.tokenizer, image_settings=found.image_settings)


def recipe(kitchen: Path, output: Path, *, boxes: dict[str, Any] | None = None, **values: Any) -> TrainConfig:
    boxes = boxes or {"path": str(kitchen / "boxes"), "nouns": NOUNS}
    more = {"kind": "boxes", "extra": boxes, "records": [], "videos": str(kitchen / "videos"), "weight_decay": 0.01}
    return TrainConfig.from_mapping(settings(kitchen, str(output), **more) | values)


def run(kitchen: Path, output: Path, **values: Any) -> list[dict[str, Any]]:
    return train(recipe(kitchen, output, **values)).metrics


def losses(lines: list[dict[str, Any]]) -> dict[int, tuple[float, ...]]:
    return {line["step"]: (line["loss"], line["grad_norm"], line["learning_rate"]) for line in lines if "loss" in line}


def targets(*boxes: ObjectBox, side: int = 2, nouns: int = 3) -> dict[str, list[list[int]]]:
    made = patch_targets(box_rows(FrameBoxes(video_id="v", time=0, boxes=boxes)), side, nouns)
    assert made.dtype == np.uint8 and made.shape == (side * side, 2 * nouns + 2)
    return {name: made[:, part].T.tolist() for name, part in channel_groups(nouns).items()}


def test_channels_of_a_patch() -> None:
    found = targets(
        ObjectBox(noun=1, box=(0, 0, 0.5, 0.5), used=True),
        ObjectBox(noun=2, box=(0, 0.5, 1, 1), on=True),
        ObjectBox(noun=HAND, box=(0.5, 0.0, 1, 0.5)),
    )
    nothing = [0, 0, 0, 0]
    assert found["nouns"] == [nothing, [1, 0, 0, 0], [0, 0, 1, 1]]  # patches row by row from the top
    assert found["used"] == [nothing, [1, 0, 0, 0], nothing]
    assert found["hand"] == [[0, 1, 0, 0]]
    assert found["on"] == [[0, 0, 1, 1]]
    assert not any(np.any(part) for part in targets().values())


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.0, 0.0, 0.5, 0.15), [1, 0, 0, 0]),  # 0.30 of the patch
        ((0.3, 0.0, 0.7, 0.14), [1, 1, 0, 0]),  # 0.11 of each patch, but half of the box
        ((0.34, 0.0, 0.86, 0.29), [0, 1, 0, 0]),  # 0.19 of the left patch and 0.31 of the box; 0.42 of the right one
        ((0.4, 0.4, 0.6, 0.6), [0, 0, 0, 0]),  # a quarter of the box on each
        ((-0.3, 0.0, 0.2, 0.1), [0, 0, 0, 0]),  # 0.08 of the patch; 0.4 of the box, which is not clipped
        ((-0.2, 0.0, 0.2, 0.1), [1, 0, 0, 0]),  # half of the box
        ((-1.0, -1.0, 2.0, 2.0), [1, 1, 1, 1]),
        ((1.1, 0.0, 1.5, 1.0), [0, 0, 0, 0]),  # out of the picture
    ],
)
def test_which_patches_a_box_hits(box: tuple[float, float, float, float], expected: list[int]) -> None:
    assert targets(ObjectBox(noun=0, box=box))["nouns"][0] == expected


def test_pixels_are_the_processor_s_own(kitchen: Path, processor: LlavaVideoProcessor) -> None:
    scaler, library = FrameScaler(processor), VideoLibrary(kitchen / "videos")
    config = BoxesConfig(path=kitchen / "boxes", nouns=NOUNS)
    loaded = load_frames(config, library, scaler, 0, 1)
    assert not loaded.missing and not loaded.held_out_videos and not len(loaded.held_out)
    place = 0
    for path in sorted((kitchen / "boxes").rglob("*.jsonl")):
        frames = list(read_records(path, FrameBoxes))
        shown = list(read_all(library.path(path.stem)))
        own = [shown[round(frame.time * 12)][1] for frame in frames]  # decoded from the beginning, not by time
        items = [loaded.training[Draw(place + row, 0)] for row in range(len(frames))]
        place += len(frames)
        assert all(isinstance(item, PatchItem) for item in items)
        values = torch.from_numpy(scaler.values(np.stack([item.frame for item in items])))
        assert torch.equal(values, processor.pixels(np.stack(own)))
        for item, frame in zip(items, frames, strict=True):
            assert np.array_equal(item.rows, box_rows(frame))
    assert place == len(loaded.training) > 15


def test_frames_are_capped_and_some_videos_held_out(
    tmp_path: Path, kitchen: Path, processor: LlavaVideoProcessor
) -> None:
    video = next((kitchen / "videos").rglob("*.MP4"))
    (tmp_path / "videos").mkdir()
    for number in range(10):
        (tmp_path / "videos" / f"v{number}.mp4").symlink_to(video)
        frames = [FrameBoxes(video_id=f"v{number}", time=time, boxes=()) for time in (0.0, 0.25, 99.0)]
        write_records(tmp_path / "boxes" / f"v{number}.jsonl", frames)
    scaler, library = FrameScaler(processor), VideoLibrary(tmp_path / "videos")
    config = BoxesConfig(path=tmp_path / "boxes", nouns=1)
    loaded = load_frames(config, library, scaler, 0, 0)
    assert loaded.missing == {f"v{number}": 1 for number in range(10)}  # no frame stands in for another
    assert len(loaded.held_out_videos) == 1 and len(loaded.training) == 18 and len(loaded.held_out) == 2
    others = {load_frames(config, library, scaler, seed, 0).held_out_videos[0] for seed in range(4)}
    assert len(others) > 1
    few = load_frames(config.model_copy(update={"cap": 7}), library, scaler, 0, 0)
    assert len(few.training) + len(few.held_out) + sum(few.missing.values()) == 7


def test_head_and_tower(tmp_path: Path) -> None:
    found = open_checkpoint(write_tiny(tmp_path / "tiny", "llava_video"))
    core = load_model(found, device=torch.device("cpu"), dtype=torch.float32)
    first, second, third = (PatchLabeller(core, 3, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.head.weight, second.head.weight) and not torch.equal(first.head.weight, third.head.weight)
    pixels = torch.rand(2, 3, 70, 70)
    said = first(pixels, torch.ones(2, 25, 8, dtype=torch.uint8))
    expected = -2 * torch.nn.functional.logsigmoid(said["logits"]).mean()  # all there, each weighing 2
    assert said["logits"].shape == (2, 25, 8) and torch.isclose(said["loss"], expected)
    hidden = first.encoder(inputs_embeds=first.embeddings(pixels)).last_hidden_state
    assert torch.equal(core.model.multi_modal_projector(hidden), core.model.project(pixels))


def test_it_learns_and_only_the_tower(kitchen: Path, tmp_path: Path) -> None:
    lines = run(
        kitchen, tmp_path / "run", steps=30, lr_schedule="constant", global_batch=8, micro_batch=8, log_steps=5,
        save_steps=100, boxes={"path": str(kitchen / "boxes"), "nouns": NOUNS, "cap": 8}, weight_decay=0.0,
        gradient_checkpointing=True, evaluation={"benchmark": "nowhere"}, attention="eager",
    )  # fmt: skip
    assert lines[0]["frames"] == 8 and lines[0]["missing_frames"] == 0 and lines[0]["steps"] == 30
    found = [line for line in lines if "loss" in line]
    assert found[-1]["loss"] < 0.6 * found[0]["loss"]
    assert all(line["samples_per_second"] > 0 and "lm_loss" not in line for line in found)
    before = load_file(tmp_path / "run" / "start" / "model.safetensors")
    after = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert set(before) == set(after)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("vision_tower" in name for name in changed)
    assert any("patch_embedding" in name for name in changed)
    assert any("encoder.layers.1" in name for name in changed)


def test_resumed_warm_up_equals_an_unbroken_one(kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = run(kitchen, tmp_path / "unbroken", steps=5, workers=1)
    forward = WarmUpTrainer.compute_loss

    def stopped(self: WarmUpTrainer, *args: Any, **rest: Any) -> Any:
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return forward(self, *args, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(WarmUpTrainer, "compute_loss", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(kitchen, tmp_path / "broken", steps=5)
    assert [path.name for path in checkpoints(tmp_path / "broken" / "train")] == ["checkpoint-2"]
    stored = load_file(tmp_path / "broken" / "train" / "checkpoint-2" / "model.safetensors")
    assert all(name.startswith(("embeddings.", "encoder.", "head.")) for name in stored)  # not the whole model
    resumed = run(kitchen, tmp_path / "broken", steps=5)
    assert losses(resumed) == losses(unbroken) and list(losses(resumed)) == [1, 2, 3, 4, 5]
    first, second = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("unbroken", "broken"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_batch_may_be_cut_up(kitchen: Path, tmp_path: Path) -> None:
    whole, cut = (run(kitchen, tmp_path / str(size), steps=2, micro_batch=size) for size in (4, 1))
    for one, other in zip(losses(whole).values(), losses(cut).values(), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_what_was_learnt_is_tested_on_other_videos(kitchen: Path, tmp_path: Path) -> None:
    for number in range(10):
        path = sorted((kitchen / "videos").rglob("*.MP4"))[number % 3]
        (tmp_path / "videos").mkdir(exist_ok=True)
        (tmp_path / "videos" / f"v{number}.mp4").symlink_to(path)
        frames = list(read_records(next((kitchen / "boxes").rglob(f"{path.stem}.jsonl")), FrameBoxes))[:4]
        own = [frame.model_copy(update={"video_id": f"v{number}"}) for frame in frames]
        write_records(tmp_path / "boxes" / f"v{number}.jsonl", own)
    boxes = {"path": str(tmp_path / "boxes"), "nouns": NOUNS}
    lines = run(
        kitchen, tmp_path / "run", boxes=boxes, videos=str(tmp_path / "videos"), steps=30, lr_schedule="constant",
        micro_batch=4, log_steps=10, learning_rates={"vision_tower": 3e-3}, precision="bfloat16",
    )  # fmt: skip
    assert lines[0]["frames"] == 36 and lines[0]["held_out_frames"] == 4 and len(lines[0]["held_out_videos"]) == 1
    (tested,) = [line for line in lines if "eval_f1_nouns" in line]
    assert tested["step"] == 30
    assert all(0 <= tested[f"eval_f1_{name}"] <= 1 for name in ("nouns", "used", "hand", "on"))
    assert tested["eval_f1_nouns"] > 0.1


def test_missing_and_damaged_videos_are_left_out_and_counted(kitchen: Path, tmp_path: Path) -> None:
    boxes, videos = tmp_path / "boxes", tmp_path / "videos"
    files = sorted((kitchen / "videos").rglob("*.MP4"))
    videos.mkdir()
    (videos / files[0].name).symlink_to(files[0])
    (videos / files[1].name).write_bytes(files[1].read_bytes()[:500])
    moments = read_moments(BoxesConfig(path=kitchen / "boxes", nouns=NOUNS))
    first, *lost = (len(moments[path.stem]) for path in files)
    lines = run(kitchen, tmp_path / "run", videos=str(videos), steps=1)
    assert lines[0]["frames"] == first and lines[0]["missing_frames"] == sum(lost)
    assert lines[0]["missing_videos"] == [path.stem for path in files[1:]]
    (videos / files[0].name).unlink()
    with pytest.raises(InputError, match=r"none of the frames with boxes can be read; 3 videos"):
        run(kitchen, tmp_path / "other", videos=str(videos), steps=1)
    boxes.mkdir()
    with pytest.raises(InputError, match="holds no boxes"):
        run(kitchen, tmp_path / "third", boxes={"path": str(boxes), "nouns": 3})


def test_a_noun_too_many_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "boxes" / "P01" / "a.jsonl"
    box = ObjectBox(noun=5, box=(0, 0, 1, 1))
    write_records(path, [FrameBoxes(video_id="a", time=time, boxes=(box,) * time) for time in (0, 1)])
    path.write_text("\n" + path.read_text())
    with pytest.raises(InputError, match=r"a\.jsonl:3: a box is of noun class 5, nouns is 5"):
        read_moments(BoxesConfig(path=tmp_path / "boxes", nouns=5))
    assert len(read_moments(BoxesConfig(path=tmp_path / "boxes", nouns=6))["a"]) == 2
    with pytest.raises(InputError, match="no such folder of boxes"):
        read_moments(BoxesConfig(path=tmp_path / "nowhere", nouns=6))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"records": [{"path": "a"}]}, "stage 'train': records: a stage with boxes takes none"),
        ({"videos": None}, "stage 'train': videos: boxes need the videos"),
        ({"learning_rates": {"vision_tower": None}}, "learning_rates.vision_tower: boxes train the vision tower"),
        ({"lora": {"rank": 2}}, "lora: boxes train the vision tower whole"),
        ({"kind": "records"}, "extra: kind 'records' takes no settings of its own, found 'path'"),
        ({"kind": "records", "extra": {}}, "records: name at least one file"),
        ({"kind": "boxs"}, "stage 'train': unknown kind of stage 'boxs'; did you mean 'boxes'"),
        ({"boxes": {"path": "a", "nons": 2}}, "stage 'train': extra: .*unknown key 'nons'; did you mean 'nouns'"),
        ({"model": "tiny:qwen3_vl"}, "boxes warm up the tower of 'llava_video' models, this is a 'qwen3_vl'"),
        ({"fsdp": {"version": 2}}, "does not go with deepspeed or fsdp"),
    ],
)
def test_what_is_refused(kitchen: Path, tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(kitchen, tmp_path / "run", **values)


def test_a_warm_up_goes_before_a_training(home: Path, kitchen: Path, tmp_path: Path) -> None:
    own = recipe(kitchen, tmp_path).model_dump(mode="json")
    first = {
        "name": "tower",
        "steps": 2,
        "records": [],
        "kind": "boxes",
        "extra": own["extra"],
        "videos": own["videos"],
    }
    config = TrainConfig.from_mapping(
        settings(home, str(tmp_path / "run"), stages=[first, {"name": "whole", "steps": 1, "save_steps": 5}])
    )
    lines = train(config).metrics
    assert [line["stage"] for line in lines if "loss" in line] == ["tower", "tower", "whole"]
    assert (tmp_path / "run" / "tower" / "model" / "config.json").is_file()


def test_files_of_boxes_of_one_name_do_not_hide_each_other(tmp_path: Path) -> None:
    for folder, text in (("a", "x"), ("b", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "boxes.jsonl").write_text(text)
    found = digests_of_boxes(tmp_path)
    assert list(found) == ["boxes a/boxes.jsonl", "boxes b/boxes.jsonl"]
    assert len(set(found.values())) == 2
    assert digests_of_boxes(tmp_path / "a" / "..") == found
