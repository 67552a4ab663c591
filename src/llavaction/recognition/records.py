"""What a segment was recognised as."""

from __future__ import annotations

from pydantic import Field, model_validator

from llavaction.actions.segments import Clip
from llavaction.actions.vocabulary import Action
from llavaction.base.records import Record

RECOGNITIONS = "recognitions.jsonl"
"""The file of a run's recognitions."""


class Recognition(Record):
    """What one segment was recognised as; candidates and scores are listed as the specialist ranked them."""

    segment_id: str
    clip: Clip
    verb: int | None = Field(default=None, description="class of the chosen action; None where it could not be asked")
    noun: int | None = Field(default=None, description="class of the chosen action; None where it could not be asked")
    name: str | None = Field(default=None, description="the chosen action in words")
    confidence: float | None = Field(
        default=None, ge=0, le=1, description="probability of the choice among the candidates"
    )
    candidates: tuple[Action, ...] = Field(
        min_length=1, description="(verb class, noun class), the specialist's best first"
    )
    candidate_names: tuple[str, ...] = Field(default=(), description="the candidates in words")
    specialist_scores: tuple[float, ...] = Field(description="the specialist's, one per candidate")
    option_scores: tuple[float, ...] = Field(default=(), description="the model's log-probability of each, nats")
    letter_mass: float | None = Field(
        default=None, description="probability that the answer begins with one of the letters, mean over orders"
    )
    truth: Action | None = Field(default=None, description="the annotated (verb class, noun class), where there is one")
    decision_rule: str = Field(description="how the choice was made, e.g. 'option letters'")
    error: str | None = Field(default=None, description="why the model could not be asked")
    note: str | None = Field(default=None, description="what the reader should know, e.g. only a part could be decoded")
    stand_ins: tuple[int, ...] = Field(
        default=(), description="places of the frames shown that stood in for missing ones; see note"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Recognition:
        if len(self.specialist_scores) != len(self.candidates):
            raise ValueError(f"{len(self.candidates)} candidates but {len(self.specialist_scores)} specialist_scores")
        if self.error is None:
            if self.action not in self.candidates:
                raise ValueError(f"action {self.action} is none of the candidates")
            if self.confidence is None or len(self.option_scores) != len(self.candidates):
                raise ValueError(f"{len(self.candidates)} candidates need as many option_scores, and a confidence")
        elif self.action is not None:
            raise ValueError("there is both an error and an action")
        return self

    @property
    def action(self) -> Action | None:
        """The chosen (verb class, noun class); None where the model could not be asked."""
        return None if self.verb is None or self.noun is None else (self.verb, self.noun)
