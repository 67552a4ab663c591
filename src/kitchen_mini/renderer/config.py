"""Settings of a kitchen_mini dataset."""

from __future__ import annotations

from pydantic import Field, model_validator

from llavaction.base.records import Strict

SPLITS = ("train", "validation", "test")


class KitchenMiniConfig(Strict):
    """What is generated. The defaults give about 1,200 annotated segments."""

    width: int = Field(default=128, ge=32, le=1920, description="Picture width in pixels; even, as H.264 asks for.")
    height: int = Field(default=96, ge=32, le=1080, description="Picture height in pixels; even.")
    fps: int = Field(default=12, ge=4, le=60, description="Frames per second; 12 shows every movement and stays fast.")
    crf: int = Field(
        default=23,
        ge=0,
        le=51,
        description="Quality of H.264: 0 is lossless, 51 the worst; 23 takes about 35 kB a segment.",
    )
    train_videos: int = Field(
        default=130, ge=0, description="Number of videos in train; a video has about six segments."
    )
    validation_videos: int = Field(default=35, ge=0, description="Number of videos in validation.")
    test_videos: int = Field(default=35, ge=0, description="Number of videos in test.")
    min_segments: int = Field(default=4, ge=1, description="Fewest segments in a video.")
    max_segments: int = Field(default=8, ge=1, description="Most segments in a video.")
    train_participants: int = Field(
        default=8, ge=1, description="Number of people in train, each with a kitchen of their own."
    )
    unseen_validation_participants: int = Field(
        default=2, ge=0, description="Number of people (and kitchens) that occur in validation only."
    )
    unseen_test_participants: int = Field(
        default=4, ge=0, description="Number of people (and kitchens) that occur in test only."
    )
    unseen_share: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of validation and test videos by unseen people, where there are any.",
    )
    camera_motion: float = Field(
        default=1.0, ge=0, le=3, description="Factor on the head camera's own movement; 0 holds it still."
    )

    boxes_per_second: float = Field(
        default=0.0,
        ge=0,
        description="Frames per second of train whose object boxes are written to boxes/, rounded to a whole number "
        "of frames in between; 0 writes none.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> KitchenMiniConfig:
        if self.width % 2 or self.height % 2:
            raise ValueError(f"width and height must be even, found {self.width}x{self.height}")
        if not 0.5 <= self.height / self.width <= 1.25:
            raise ValueError(f"height / width must lie between 0.5 and 1.25, found {self.width}x{self.height}")
        if self.max_segments < self.min_segments:
            raise ValueError(f"max_segments ({self.max_segments}) is below min_segments ({self.min_segments})")
        if not self.train_videos + self.validation_videos + self.test_videos:
            raise ValueError("no videos asked for: train_videos, validation_videos and test_videos are all 0")
        return self

    @property
    def box_stride(self) -> int:
        """Frames from one with boxes to the next; 0 for no boxes."""
        return max(1, round(self.fps / self.boxes_per_second)) if self.boxes_per_second else 0

    def videos(self, split: str) -> int:
        """Number of videos of a split."""
        return {"train": self.train_videos, "validation": self.validation_videos, "test": self.test_videos}[split]
