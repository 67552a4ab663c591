"""Object boxes: what can be seen where in single frames, by which a vision tower can be warmed up."""

from __future__ import annotations

from pydantic import Field, field_validator

from llavaction.base.records import Record, Strict

HAND = -1
"""The "noun class" of a hand."""


class ObjectBox(Strict):
    """One thing in one frame."""

    noun: int = Field(ge=HAND, description="noun class; -1 is a hand")
    box: tuple[float, float, float, float] = Field(
        description="left, top, right, bottom as shares of the picture's width and height; may reach beyond it"
    )
    used: bool = Field(default=False, description="whether it is what the action going on is done to")
    on: bool = Field(default=False, description="whether it is open or running")

    @field_validator("box")
    @classmethod
    def _has_an_inside(cls, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        if not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"left, top, right, bottom are {box}: nothing lies between")
        return box


class FrameBoxes(Record):
    """The things in one frame of a video."""

    video_id: str
    time: float = Field(ge=0, description="seconds from the video's start")
    boxes: tuple[ObjectBox, ...] = Field(description="in drawing order: later ones lie in front")
