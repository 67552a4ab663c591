"""Made-up videos: a block of the noun's colour that moves the verb's way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from helpers.annotation_files import segment_row, write_annotations
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.workflows import Source
from llavaction.video.write import write_video

COLOURS = ((210, 40, 40), (40, 190, 40), (60, 80, 220))
FPS, HEIGHT, WIDTH, FRAMES = 8, 48, 64, 8


def _pictures(classes: list[tuple[int, int]], seed: int) -> Iterator[np.ndarray]:
    """One second per (verb, noun): verb 0 moves to the right, verb 1 to the left; the stage is another each time."""
    rng = np.random.default_rng(seed)
    for verb, noun in classes:
        stage, top = rng.integers(60, 120, 3), int(rng.integers(4, HEIGHT - 20))
        columns = np.linspace(2, WIDTH - 18, FRAMES).astype(int)
        for column in columns if verb == 0 else columns[::-1]:
            picture = np.broadcast_to(stage, (HEIGHT, WIDTH, 3)).astype(np.uint8)
            picture[top : top + 16, column : column + 16] = COLOURS[noun]
            yield picture


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Eight training videos of six segments and four validation videos of six, two verbs and three nouns."""
    folder = tmp_path_factory.mktemp("toy")
    rows: dict[str, list[str]] = {"train": [], "validation": []}
    for number in range(12):
        video = f"P{number % 3 + 1:02d}_{number:02d}"
        order = np.random.default_rng(number).permutation(6)
        classes = [divmod(int(pair), 3) for pair in order]
        write_video(folder / "videos" / f"{video}.mp4", _pictures(classes, number), FPS)
        rows["train" if number < 8 else "validation"] += [
            segment_row(i, video, float(i), float(i + 1), verb, noun) for i, (verb, noun) in enumerate(classes)
        ]
    annotations = write_annotations(folder / "annotations", rows)
    (annotations / "EPIC_100_tail_verbs.csv").write_text("verb\n1\n")
    (annotations / "EPIC_100_tail_nouns.csv").write_text("noun\n2\n")
    (annotations / "EPIC_100_unseen_participant_ids_validation.csv").write_text("participant_id\nP03\n")
    return Source(annotations, folder / "videos", "train")


@pytest.fixture(scope="session")
def tiny() -> SpecialistConfig:
    """A small CNN and short training."""
    return SpecialistConfig(
        channels=8, height=24, width=32, frames=6, epochs=16, batch_size=8, learning_rate=5e-3, dropout=0.0
    )


@pytest.fixture(scope="session")
def brief(tiny: SpecialistConfig) -> SpecialistConfig:
    """Three epochs, with dropout."""
    return tiny.model_copy(update={"epochs": 3, "dropout": 0.3})
