"""Whether a model gets from us what transformers' own processor gives it: token ids, grids, times, pixels, logits.

    python benchmarks/official_inputs.py                                            # a table of the largest differences
    python benchmarks/official_inputs.py --write tests/backends/golden/official_inputs.json  # for the tests

Official video processors need torchvision, so this runs where the extra "video" is installed. The checkpoints are tiny
and random, with the pixel limits of the published ones; the frames are coarse blocks of colour. Where qwen-vl-utils is
installed too, the Qwen families are compared with it under ``pixels=qwen-vl-utils``.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

RATE = 30
"""Frames a second of the videos the clips are from."""
CLIP_STATISTICS = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
PATCHES = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
PUBLISHED: dict[str, dict[str, Any]] = {
    # Qwen2-VL and Qwen2.5-VL: limits of each frame, in the image processor's file
    "qwen2_vl": {"min_pixels": 3136, "max_pixels": 12845056, **PATCHES, **CLIP_STATISTICS},
    "qwen2_5_vl": {"min_pixels": 3136, "max_pixels": 12845056, **PATCHES, **CLIP_STATISTICS},
    # Qwen3-VL: limits of all frames together, in the video processor's file
    "qwen3_vl": {"size": {"shortest_edge": 4096, "longest_edge": 25165824}},
    "qwen3_vl_moe": {"size": {"shortest_edge": 4096, "longest_edge": 25165824}},
}
"""Settings of published checkpoints that the tiny ones of a family get."""
NATIVE = ("llava_video", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "internvl")
UTILS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
SIZES = ((128, 128), (270, 480), (640, 360), (333, 517), (720, 1280), (1080, 1920))
LENGTHS = (0.9, 2.0, 7.3, 33.4, 120.0)
"""Seconds."""
KEPT = 12
"""Logits kept of each case, and parts of the pixels whose means are."""


@dataclass(frozen=True)
class Case:
    """One clip as one family takes it; times in seconds, sides in pixels."""

    family: str
    rule: str
    frames: int
    height: int
    width: int
    video_frames: int

    @property
    def duration(self) -> float:
        """Of the clip, in seconds."""
        return self.video_frames / RATE

    @property
    def indices(self) -> list[int]:
        """Which frames of the clip are shown: the middle of each of its equal parts."""
        return [int((part + 0.5) * self.video_frames / self.frames) for part in range(self.frames)]


def cases_of(family: str, rule: str) -> Iterator[Case]:
    """Every size with every number of frames; two lengths where the frames are small, one where they are large."""
    for number, (height, width) in enumerate(SIZES):
        for row, frames in enumerate((1, 7, 8, 16)):
            for turn in range(2 if height < 300 else 1):
                seconds = LENGTHS[(number + 2 * row + turn) % len(LENGTHS)]
                yield Case(family, rule, frames, height, width, round(seconds * RATE))


def pictures(case: Case) -> NDArray[np.uint8]:
    """Frames of 6 x 8 blocks of colour, uint8 [frames, height, width, 3]; equal on every machine."""
    from llavaction.base.seeding import hashed_rng

    blocks = hashed_rng("official", case.frames, case.height).integers(0, 256, (case.frames, 6, 8, 3), dtype=np.uint8)
    rows, columns = -(-case.height // 6), -(-case.width // 8)
    return np.ascontiguousarray(blocks.repeat(rows, 1).repeat(columns, 2)[:, : case.height, : case.width])


def write_folder(folder: Path, family: str) -> Path:
    """A tiny checkpoint with the published pixel settings of its family."""
    from llavaction.base.records import write_json
    from llavaction.testing.tiny import write_tiny

    write_tiny(folder, family, context=65536)
    settings = PUBLISHED.get(family)
    if settings is not None and "size" in settings:
        path = folder / "video_preprocessor_config.json"
        write_json(path, json.loads(path.read_text()) | settings)
    elif settings is not None:
        (folder / "video_preprocessor_config.json").unlink()
        write_json(folder / "preprocessor_config.json", {"image_processor_type": "Qwen2VLImageProcessor"} | settings)
    return folder


class Ours:
    """A tiny model and what this package makes of a clip for it."""

    def __init__(self, folder: Path, rule: str = "official") -> None:
        from llavaction.backends.huggingface import HuggingFaceBackend
        from llavaction.backends.huggingface_config import HuggingFaceConfig

        values = {"path": folder, "frames": 8, "device": "cpu", "pixels": rule}
        self.backend = HuggingFaceBackend(HuggingFaceConfig.from_mapping(values))
        self.model = self.backend.model

    def inputs(self, case: Case, frames: NDArray[np.uint8]) -> dict[str, torch.Tensor]:
        """Of one question about the clip, as it goes to the model."""
        from llavaction.backends.base import Query
        from llavaction.video.decoded import DecodedClip

        clip = DecodedClip(frames, np.asarray(case.indices, np.float64) / RATE, case.duration)
        query = Query("official", PROMPT, clip=clip)
        return self.backend._inputs([self.backend.inputs(query)])

    def positions(self, inputs: dict[str, Any]) -> torch.Tensor | None:
        """Positions of all tokens, int64 [3, length], in families that compute them from the clip's grid and pace."""
        core = self.model.model
        if not hasattr(core, "get_rope_index"):
            return None
        names = ("input_ids", "mm_token_type_ids", "video_grid_thw", "second_per_grid_ts", "attention_mask")
        return core.get_rope_index(**{name: inputs[name] for name in names if name in inputs})[0][:, 0]

    def logits(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Of the token that follows, [vocabulary]."""
        with torch.inference_mode():
            return self.model(**inputs, use_cache=False, logits_to_keep=1).logits[0, -1]


PROMPT = "What is the person doing?"


def official_inputs(case: Case, frames: NDArray[np.uint8], folder: Path, processor: Any, ours: Ours) -> dict[str, Any]:
    """The same question by transformers' processor."""
    indices, shown = case.indices, frames
    if case.family.startswith("qwen3") and case.frames == 1:  # it refuses a single frame
        indices, shown = indices * 2, frames.repeat(2, 0)
    if case.family == "llava_video":  # transformers has its image processor only
        made = ours.inputs(case, frames)
        pixels = processor(list(frames), return_tensors="pt")["pixel_values"]
        return made | {"pixel_values_videos": pixels[None]}
    metadata = {"total_num_frames": case.video_frames, "fps": float(RATE), "frames_indices": indices}
    metadata |= {"duration": case.duration, "width": case.width, "height": case.height}
    content = [{"type": "video"}, {"type": "text", "text": PROMPT}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    more = {"return_metadata": True} if case.family.startswith("qwen") else {}
    video: Any = shown
    if case.rule == "qwen-vl-utils":
        video, more = _scaled_by_utils(shown, case.family), more | {"do_resize": False}
    made = processor(
        text=[text], videos=[video], video_metadata=[metadata], do_sample_frames=False, return_tensors="pt", **more
    )
    return {name: value for name, value in made.items() if isinstance(value, torch.Tensor)}


def _scaled_by_utils(frames: NDArray[np.uint8], family: str) -> torch.Tensor:
    """Frames as qwen-vl-utils delivers them once it has read them, uint8 [frames, 3, height, width]."""
    from qwen_vl_utils import vision_process

    tensor = torch.from_numpy(frames).permute(0, 3, 1, 2)
    vision_process.VIDEO_READER_BACKENDS["given"] = lambda _: (tensor, {"fps": 1.0}, 1.0)
    vision_process.get_video_reader_backend = lambda: "given"
    video = vision_process.fetch_video({"video": "given"}, image_patch_size=16 if family.startswith("qwen3") else 14)
    return video.round().clamp(0, 255).to(torch.uint8)


def summary(inputs: dict[str, Any], positions: torch.Tensor | None, logits: torch.Tensor) -> dict[str, Any]:
    """What is kept of one case's inputs and of the model's answer to them."""
    ids = inputs["input_ids"][0].tolist()
    pixels = inputs.get("pixel_values_videos", inputs.get("pixel_values")).double().flatten()
    found = {
        "tokens": len(ids),
        "ids": digest(ids),
        "pixels": [round(float(part.mean()), 5) for part in pixels.tensor_split(KEPT)]
        + [round(float(pixels.std()), 5)],
        "logits": [round(float(value), 5) for value in logits[:: len(logits) // KEPT]],
    }
    if "video_grid_thw" in inputs:
        found["grid"] = inputs["video_grid_thw"][0].tolist()
    if positions is not None:
        found["positions"] = digest(positions.flatten().tolist())
        found["time"] = int(positions[0].max())
    return found


def digest(values: Sequence[int]) -> str:
    """A short hash of whole numbers."""
    return hashlib.blake2b(json.dumps(values).encode(), digest_size=8).hexdigest()


def _declare_missing_operators() -> None:
    """Let torchvision be imported where its compiled part does not fit torch: nothing here uses that part."""
    with contextlib.suppress(ImportError, RuntimeError):
        import torchvision  # noqa: F401

        return
    import sys

    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT_LIBRARIES.append(library)


_KEPT_LIBRARIES: list[Any] = []


@dataclass
class Row:
    """The largest differences of a family."""

    family: str
    cases: int = 0
    ids: int = 0
    grids: int = 0
    positions: int = 0
    pixels: float = 0.0
    logits: float = 0.0
    tokens: int = 0

    def add(self, case: Case, ours: Ours, mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
        """Compare one case; what is kept of the official inputs."""
        name = "pixel_values_videos" if "pixel_values_videos" in theirs else "pixel_values"
        self.cases += 1
        self.tokens = max(self.tokens, theirs["input_ids"].shape[1])
        self.ids += torch.equal(mine["input_ids"], theirs["input_ids"])
        grid = "video_grid_thw"
        same = torch.equal(mine[grid], theirs[grid]) if grid in mine else mine[name].shape == theirs[name].shape
        self.grids += same
        where = ours.positions(mine), ours.positions(theirs)
        self.positions += where[0] is None or torch.equal(*where)
        self.pixels = max(self.pixels, float((mine[name] - theirs[name]).abs().max()) if same else float("inf"))
        answers = ours.logits(mine), ours.logits(theirs)
        self.logits = max(self.logits, float((answers[0] - answers[1]).abs().max()))
        return asdict(case) | summary(theirs, where[1], answers[1])


def compare(family: str, rule: str, folder: Path) -> tuple[Row, list[dict[str, Any]]]:
    """All cases of a family."""
    from transformers import AutoImageProcessor, AutoProcessor

    ours, row, kept = Ours(folder, rule), Row(family if rule == "official" else f"{family}, {rule}"), []
    auto = AutoImageProcessor if family == "llava_video" else AutoProcessor
    processor = auto.from_pretrained(folder)
    for case in cases_of(family, rule):
        frames = pictures(case)
        theirs = official_inputs(case, frames, folder, processor, ours)
        kept.append(row.add(case, ours, ours.inputs(case, frames), theirs))
        gc.collect()
    return row, kept


@click.command()
@click.option("--write", type=click.Path(path_type=Path), help="keep digests of the official inputs in this file")
@click.option("--family", "families", multiple=True, default=NATIVE, help="only these")
def main(write: Path | None, families: tuple[str, ...]) -> None:
    """Compare our inputs with the official ones."""
    _declare_missing_operators()
    rules = ("official", "qwen-vl-utils") if find_spec("qwen_vl_utils") else ("official",)
    kept: list[dict[str, Any]] = []
    click.echo(f"{'family':32} cases   ids  grids  times  tokens   pixels   logits")
    with tempfile.TemporaryDirectory() as home:
        for family in families:
            folder = write_folder(Path(home) / family, family)
            for rule in rules if family in UTILS else ("official",):
                row, found = compare(family, rule, folder)
                kept += found
                click.echo(
                    f"{row.family:32} {row.cases:5} {row.ids:5} {row.grids:6} {row.positions:6} {row.tokens:7} "
                    f"{row.pixels:8.5f} {row.logits:8.5f}"
                )
    if write:
        lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in kept)
        write.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
