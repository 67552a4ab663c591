"""What the lessons' stages may say under ``extra``; light, for every recipe is checked by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from llavaction.training.config import Part, StageConfig
from llavaction.training.kinds import StageKind


class BoxesConfig(Part):
    """Object boxes by which a stage warms up the vision tower."""

    path: Path = Field(description="Folder whose *.jsonl files, at any depth, are JSON Lines of FrameBoxes.")
    nouns: int = Field(ge=1, le=100_000, description="Number of noun classes; the boxes' are 0 to nouns - 1.")
    positive_weight: float = Field(
        default=2.0, gt=0, description="How much more a thing that is there weighs in the loss than one that is not."
    )
    cap: int | None = Field(
        default=None,
        ge=1,
        description="The most frames that are taken, chosen by the seed; they stay in memory (150 kB each at 224 "
        "pixels). By default all are.",
    )


class SeeingConfig(Part):
    """The first layers of the language model learn to see, the others to read; see reading.py."""

    layers: int = Field(ge=1, description="How many layers of the language model are the first.")
    alone: bool = Field(
        default=False,
        description="Whether the rest of the language model is frozen, and not even run on batches without text to "
        "learn.",
    )
    words: float = Field(default=0.0, ge=0, description="Weight of what the first layers change of the words.")
    action: float = Field(
        default=0.0, ge=0, description="Weight of the action token's distance from what the names of its classes say."
    )


class LessonConfig(Part):
    """What a lesson adds to learning from records."""

    new_layers: int = Field(
        default=0,
        ge=0,
        description="Layers that are put under the language model's own before this stage; they change nothing "
        "until trained.",
    )
    seeing: SeeingConfig | None = Field(
        default=None, description="What the first layers of the language model learn; null for nothing of their own."
    )
    name_heads: Path | None = Field(
        default=None,
        description="Annotation folder from the word vectors of whose class names the heads start. By default they "
        "do not.",
    )


class Lesson(StageKind):
    """``lesson``: learning from records, by new layers that learn to see."""

    settings = LessonConfig
    run = "kitchen_mini.lessons.lesson:teach"


class BoxesLesson(StageKind):
    """``boxes``: a warm-up of the vision tower; every patch learns which things the boxes say are there.

    Such a stage has no records, trains the tower alone and asks no benchmark.
    """

    settings = BoxesConfig
    run = "kitchen_mini.lessons.warm_up:warm_up"
    records = False

    @classmethod
    def check(cls, stage: StageConfig) -> None:
        """Refuse what does not go with a warm-up of the tower."""
        rate = stage.learning_rates.vision_tower
        wrong = {
            "records: a stage with boxes takes none; give it 'records: []'": bool(stage.records),
            "videos: boxes need the videos they lie in": stage.videos is None,
            "learning_rates.vision_tower: boxes train the vision tower, it needs a rate": rate is None,
            "lora: boxes train the vision tower whole; give the stage 'lora: null'": stage.lora is not None,
        }
        for problem, is_so in wrong.items():
            if is_so:
                raise ValueError(f"stage '{stage.name}': {problem}")

    @classmethod
    def places(cls, stage: StageConfig) -> Sequence[tuple[str, Path]]:
        """The folder of boxes."""
        return [("folder of boxes", Path(stage.extra["path"]))]
