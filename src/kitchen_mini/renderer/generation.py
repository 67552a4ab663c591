"""Making a kitchen_mini dataset: annotations and videos in a folder, resumable, on several processes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from kitchen_mini.renderer.annotations import write_annotations
from kitchen_mini.renderer.boxes import BoxTracer
from kitchen_mini.renderer.config import SPLITS, KitchenMiniConfig
from kitchen_mini.renderer.render import Renderer
from kitchen_mini.renderer.script import Script, scripts
from llavaction.base.errors import InputError
from llavaction.base.files import sweep
from llavaction.base.progress import progress
from llavaction.base.records import Strict, file_sha256, read_json, write_json, write_records
from llavaction.base.workers import process_pool
from llavaction.video.write import write_video

GENERATOR_VERSION = 1
"""Rises when the same seed and settings give another dataset."""
CARD = "dataset.json"


class KitchenMiniSummary(Strict):
    """What a generation left behind."""

    folder: Path
    seed: int
    videos: dict[str, int] = Field(description="videos per split")
    segments: dict[str, int] = Field(description="annotated segments per split")
    actions: dict[str, int] = Field(description="distinct (verb, noun) pairs per split")
    rendered_videos: int = Field(description="videos drawn by this call; the others were there already")
    rendered_segments: int = Field(description="segments in them")
    seconds: float = Field(description="wall time of drawing and encoding them")

    @property
    def clips_per_second(self) -> float:
        """Segments drawn and encoded a second by this call; 0 if everything was there."""
        return self.rendered_segments / self.seconds if self.rendered_segments else 0.0


def generate(
    output: str | Path, *, seed: int = 0, settings: KitchenMiniConfig | None = None, workers: int = 2
) -> KitchenMiniSummary:
    """Write a kitchen_mini dataset: ``annotations/``, ``videos/P01/P01_01.MP4``, ``dataset.json``.

    The same seed and settings give the same bytes whatever the number of workers. A generation that was interrupted
    continues where it stopped when called again; a complete one is left as it is.

    Args:
        output: the folder; made if it does not exist.
        seed: of the people, kitchens and events.
        settings: counts, picture size and the like.
        workers: processes that draw. They are started afresh ("spawn"), so a script that calls this with more than
            one needs the usual ``if __name__ == "__main__":``.

    Raises:
        InputError: the folder holds something else or a dataset of other settings, or it cannot be written.
    """
    folder, settings = Path(output), settings or KitchenMiniConfig()
    if workers < 1:
        raise InputError(f"workers must be at least 1, found {workers}")
    card = _claim(folder, seed, settings)
    planned = scripts(settings, seed)
    missing = [script for script in planned if not all(path.is_file() for path in _files(folder, script, settings))]
    for place in {folder, *(path.parent for script in planned for path in _files(folder, script, settings))}:
        sweep(place)
    began = time.perf_counter()
    for _ in progress(_drawn(folder, missing, seed, settings, workers), "kitchen_mini videos", total=len(missing)):
        pass
    seconds = time.perf_counter() - began
    files = write_annotations(folder / "annotations", planned, settings)
    by_split = {split: [script for script in planned if script.split == split] for split in SPLITS}
    summary = KitchenMiniSummary(
        folder=folder,
        seed=seed,
        videos={split: len(group) for split, group in by_split.items()},
        segments={split: sum(len(script.events) for script in group) for split, group in by_split.items()},
        actions={
            split: len({(event.step.verb, event.step.noun) for script in group for event in script.events})
            for split, group in by_split.items()
        },
        rendered_videos=len(missing),
        rendered_segments=sum(len(script.events) for script in missing),
        seconds=seconds,
    )
    counts = summary.model_dump(mode="json", include={"videos", "segments", "actions"})
    card |= {"complete": True, "counts": counts, "sha256": {path.name: file_sha256(path) for path in files}}
    write_json(folder / CARD, card)
    return summary


def video_path(folder: Path, video_id: str) -> Path:
    """Where a video of the dataset in ``folder`` is kept."""
    return folder / "videos" / video_id.partition("_")[0] / f"{video_id}.MP4"


def boxes_path(folder: Path, video_id: str) -> Path:
    """Where the object boxes of a video of the dataset in ``folder`` are kept (JSON Lines of FrameBoxes)."""
    return folder / "boxes" / video_id.partition("_")[0] / f"{video_id}.jsonl"


def _files(folder: Path, script: Script, settings: KitchenMiniConfig) -> list[Path]:
    """What is to be made of a script, the video last."""
    boxes = [boxes_path(folder, script.video_id)] if settings.box_stride and script.split == "train" else []
    return [*boxes, video_path(folder, script.video_id)]


def _claim(folder: Path, seed: int, settings: KitchenMiniConfig) -> dict[str, Any]:
    """The dataset's card; refuses a folder that is not this dataset's."""
    card: dict[str, Any] = {
        "name": "kitchen_mini",
        "licence": "Apache-2.0 (generated)",
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        "complete": False,
    }
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file; kitchen_mini needs a folder to write to", file=folder)
    path = folder / CARD
    if path.is_file():
        stored = read_json(path)
        if not isinstance(stored, dict) or stored.get("name") != card["name"]:
            raise InputError("is not the card of a kitchen_mini dataset", file=path, hint="give an empty folder")
        differences = [
            f"{key}: {was!r} there, {card[key]!r} asked for"
            for key in ("generator_version", "seed")
            if (was := stored.get(key)) != card[key]
        ]
        stored_settings = stored.get("settings")
        stored_settings = stored_settings if isinstance(stored_settings, dict) else {}
        differences += [
            f"{key}: {stored_settings.get(key)!r} there, {value!r} asked for"
            for key, value in card["settings"].items()
            if stored_settings.get(key) != value
        ]
        if differences:
            raise InputError(
                f"holds a kitchen_mini dataset of other settings ({'; '.join(differences)})",
                file=folder,
                hint="give another folder, or the settings in its dataset.json",
            )
        return card
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"is not empty and has no {CARD}: not a kitchen_mini dataset", file=folder, hint="give an empty folder"
        )
    write_json(path, card)
    return card


def _drawn(
    folder: Path, missing: Sequence[Script], seed: int, settings: KitchenMiniConfig, workers: int
) -> Iterator[str]:
    """Draw and encode the videos; yields each id when it is done."""
    draw = partial(_draw_video, folder=folder, seed=seed, settings=settings)
    if workers == 1 or len(missing) < 2:
        yield from map(draw, missing)
        return
    with process_pool(min(workers, len(missing))) as pool:
        yield from pool.map(draw, missing, chunksize=max(1, min(4, len(missing) // workers)))


def _draw_video(script: Script, *, folder: Path, seed: int, settings: KitchenMiniConfig) -> str:
    *boxes, video = _files(folder, script, settings)
    for path in boxes:
        write_records(path, BoxTracer(script, settings, seed).boxes(settings.box_stride))
    if video.is_file():
        return script.video_id
    write_video(
        video,
        Renderer(script, settings, seed).frames(),
        settings.fps,
        crf=settings.crf,
        gop=settings.fps,
        preset="superfast",
        metadata={"title": f"kitchen_mini {script.video_id}"},
    )
    return script.video_id
