"""The settings of scoring clips that may show several actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from llavaction.backends.asking_config import AskingConfig

if TYPE_CHECKING:
    from llavaction.backends.base import Backend

ScoreForm = Literal["prior", "length", "raw"]
"""The log-likelihood of a label's text as the answer: minus that without the clip, per token, or as it is."""
FORMS: dict[ScoreForm, str] = {"prior": "prior-corrected", "length": "length-normalised", "raw": "raw"}


class MultiLabelConfig(AskingConfig):
    """How clips that may show several actions are scored."""

    annotations: str = Field(
        description="AR_metadata.xlsx, a folder with train.csv and val.csv, or a table with the columns video, labels."
    )
    split: str = Field(description="Split whose clips are scored, such as test; all for every clip.")
    classes: str | None = Field(
        default=None,
        description="File with the classes' ids and names. By default the sheet Action of AR_metadata.xlsx, or "
        "classes.csv beside the annotations.",
    )
    backend: str | None = Field(  # type: ignore[assignment]  # here, scores may come from a file
        default=None, description="Who scores: bundled, or a checkpoint folder. It is left out where scores are given."
    )
    scores: str | None = Field(
        default=None, description="File of scores (.npz or .jsonl) in place of a backend, see docs/multi-label.md."
    )
    form: ScoreForm = Field(
        default="prior",
        description="The score of a class is the log-likelihood of its name as the answer: prior, minus that without "
        "the clip; length, per token; raw, as it is.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.backend is None) == (self.scores is None):
            raise ValueError("give either a backend or a file of scores")
        if self.option_orders != 1:
            raise ValueError("no options are listed, so there is one order of them: leave option_orders at 1")
        return self

    def decision_rule(self, backend: Backend) -> str:
        """How the scores were made, as thresholds that are fitted on them name it."""
        del backend  # it is on record by its name
        return f"label texts, {FORMS[self.form]}"
