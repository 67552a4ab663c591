"""A training small enough for tests: three colours as videos, what to say of them, and a benchmark about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from llavaction.actions.segments import Clip
from llavaction.base.records import write_records
from llavaction.curation.records import TrainingRecord
from llavaction.questions.schema import Benchmark, BenchmarkCard, Option, Provenance, Question
from llavaction.video.write import write_video

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
FPS, SECONDS = 8, 3


def film_colours(folder: Path) -> Path:
    """One video per colour, with noise so that frames differ."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        noise = rng.integers(-25, 26, (FPS * SECONDS, 48, 64, 3))
        frames = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        folder.mkdir(parents=True, exist_ok=True)
        write_video(folder / f"{name}.mp4", frames, FPS)
    return folder


def clip_record(number: int, *, words: int = 0, video: str | None = None, **values: Any) -> TrainingRecord:
    """A record about a colour; ``words`` makes its question longer."""
    name = list(COLOURS)[number % 3]
    start = round(0.25 * (number % 5), 2)
    return TrainingRecord(
        record_id=f"clip-{number}",
        task="direct_narration",
        clip=Clip(video_id=video or name, start=start, stop=start + 1 + 0.25 * (number % 3)),
        messages=(
            {"role": "user", "content": "<video>\nWhich colour" + " please" * words + "?"},
            {"role": "assistant", "content": name},
        ),
        labels={"verb": number % 3, "noun": (number + 1) % 3, "action": number % 3},
        **values,
    )


def text_record(number: int) -> TrainingRecord:
    """A record without a clip."""
    return TrainingRecord(
        record_id=f"text-{number}",
        task="text",
        messages=({"role": "user", "content": f"Count to {number}."}, {"role": "assistant", "content": "one two"}),
    )


def write_mixture(path: Path, clips: int = 12, texts: int = 4) -> Path:
    """Clip records of different lengths, and text ones."""
    records = [clip_record(number, words=3 * (number % 4)) for number in range(clips)]
    write_records(path, [*records, *(text_record(number) for number in range(texts))])
    return path


def write_benchmark(folder: Path, count: int = 6) -> Path:
    """Questions about the colours."""
    names = list(COLOURS)
    questions = [
        Question(
            question_id=f"q{number}",
            clip=Clip(video_id=names[number % 3], start=0.0, stop=2.0),
            question="Which colour?",
            options=tuple(Option(text=name) for name in names),
            answer=number % 3,
            provenance=Provenance(miner="none", text_pool="none"),
        )
        for number in range(count)
    ]
    card = BenchmarkCard(
        name="colours", split="test", miner="none", text="none", options=3, seed=0, licence="none", made_by="tests",
        sources={},
    )  # fmt: skip
    Benchmark(questions, card).save(folder)
    return folder


def settings(home: Path, output: str = "run", **values: Any) -> dict[str, Any]:
    """A recipe for the above; a tiny model in float32, four steps of four records."""
    return {
        "model": "tiny:llava_video",
        "output": str(home / output),
        "records": [{"path": str(home / "records.jsonl")}],
        "videos": str(home / "videos"),
        "num_frames": 4,
        "frames_per_second": 2,
        "precision": "float32",
        "learning_rates": dict.fromkeys(("vision_tower", "projector", "language_model", "action"), 1e-3),
        "steps": 4,
        "global_batch": 4,
        "micro_batch": 2,
        "save_steps": 2,
        "log_steps": 1,
        "workers": 0,
        "device": "cpu",
    } | values
