"""What a segment was recognised as."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from llavaction.actions.segments import Clip
from llavaction.actions.vocabulary import Action
from llavaction.base.errors import InputError
from llavaction.base.records import Record, read_records
from llavaction.recognition.config import OVER_CANDIDATES
from llavaction.recognition.fusion import ScoredClip

RECOGNITIONS = "recognitions.jsonl"
"""The file of a run's recognitions."""
WHOLE = 0.999
"""Least that the probabilities of candidates add up to where a record keeps them all, or all that matter."""


class Recognition(Record):
    """What one segment was recognised as; candidates and scores are listed as the first stage ranked them."""

    segment_id: str
    clip: Clip
    verb: int | None = Field(default=None, description="class of the chosen action; None where it could not be asked")
    noun: int | None = Field(default=None, description="class of the chosen action; None where it could not be asked")
    name: str | None = Field(default=None, description="the chosen action in words")
    narration: str | None = Field(default=None, description="what annotators called it most often in training")
    confidence: float | None = Field(default=None, ge=0, le=1, description="probability of the chosen action")
    candidates: tuple[Action, ...] = Field(default=(), description="(verb class, noun class), best ranked first")
    candidate_names: tuple[str, ...] = Field(default=(), description="the candidates in words")
    specialist_scores: tuple[float, ...] = Field(
        default=(), description="what ranked the candidates, one each: the specialist's scores or the first stages'"
    )
    option_scores: tuple[float, ...] = Field(default=(), description="the model's log-probability of each, nats")
    scores: Mapping[str, tuple[float, ...]] = Field(
        default_factory=dict, description="log-probability of each candidate by stage, see recognition/stages.py"
    )
    probabilities: tuple[float, ...] = Field(
        default=(), description="of each candidate, all stages joined; what is missing from 1 is that of other classes"
    )
    verb_marginal: int | None = Field(default=None, description="likeliest verb class, summed over the candidates")
    verb_confidence: float | None = Field(default=None, ge=0, le=1, description="its probability")
    noun_marginal: int | None = Field(default=None, description="likeliest noun class, summed over the candidates")
    noun_confidence: float | None = Field(default=None, ge=0, le=1, description="its probability")
    prior: tuple[str, ...] = Field(default=(), description="what the prompt told of the actions before, oldest first")
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
            if self.confidence is None or not (self.option_scores or self.scores):
                raise ValueError("a choice needs a confidence, and scores")
            for values in (*filter(None, (self.option_scores, self.probabilities)), *self.scores.values()):
                if len(values) != len(self.candidates):
                    raise ValueError(f"{len(self.candidates)} candidates but {len(values)} scores of a stage")
        elif self.action is not None:
            raise ValueError("there is both an error and an action")
        return self

    @property
    def place(self) -> int:
        """Place of the right action among the candidates; -1 where it is none of them, or not known."""
        return self.candidates.index(self.truth) if self.truth in self.candidates else -1

    @property
    def action(self) -> Action | None:
        """The chosen (verb class, noun class); None where the model could not be asked."""
        return None if self.verb is None or self.noun is None else (self.verb, self.noun)


def scored_clips(folder: str | Path) -> list[ScoredClip]:
    """What the stages said of the labelled segments of a recognition.

    Args:
        folder: of the run.

    Raises:
        InputError: it holds no recognitions, or none of a labelled segment with scores of stages; or the records keep
            too few of the candidates that were compared.
    """
    path = Path(folder) / RECOGNITIONS
    clips = [
        ScoredClip(item.scores, item.place, item.clip.video_id)
        for item in read_records(path, Recognition, journal=True)
        if item.error is None and item.truth is not None and item.scores
    ]
    if not clips:
        raise InputError(
            "holds no labelled segment that stages have scored",
            file=path,
            hint="recognise a labelled split, such as validation",
        )
    for clip in clips:
        for stage in OVER_CANDIDATES:
            if stage in clip.scores and np.exp(clip.scores[stage]).sum() < WHOLE:
                raise InputError(
                    f"the records keep too few of the candidates that '{stage}' compared to fit weights on",
                    file=path,
                    hint="recognise the split again with a larger 'kept', or fewer candidates",
                )
    return clips
