"""The settings of a plan: how large a run is to be, and what it is to find. No NumPy, so that help comes at once."""

from __future__ import annotations

from pydantic import Field, model_validator

from llavaction.base.records import Strict


class PowerConfig(Strict):
    """What is planned, and what is assumed where no pilot run tells it."""

    questions: int | None = Field(
        default=None, ge=2, description="Questions of the planned run. By default as many as the pilot has."
    )
    videos: int | None = Field(
        default=None, ge=2, description="Videos they come from. By default the pilot's questions per video are kept."
    )
    accuracy: float | None = Field(
        default=None, gt=0, lt=1, description="Accuracy expected of the first model, 0 to 1, without a pilot."
    )
    discordance: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the questions that just one of two models has right. By default two pilot runs tell it; "
        "with one, or none, that of two models that err independently is taken, which is mostly too much.",
    )
    icc: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Correlation of two questions of a video, 0 to 1. By default the pilot tells it; without one it is "
        "taken as 0.",
    )
    difference: float = Field(
        default=0.03, gt=0, lt=1, description="Difference in accuracy that is to be found, 0.03 for 3 points."
    )
    level: float = Field(default=0.05, gt=0, lt=0.5, description="Two-sided level of the test.")
    power: float = Field(default=0.8, gt=0.05, lt=1, description="Probability wanted of finding the difference.")

    @model_validator(mode="after")
    def _is_a_plan(self) -> PowerConfig:
        if self.videos is not None and self.questions is not None and self.videos > self.questions:
            raise ValueError("there are more videos than questions")
        return self
