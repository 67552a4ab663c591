"""What a backend answered."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from llavaction.backends.asking import DECIMALS, Choice
from llavaction.base.collection import no_collection
from llavaction.base.errors import InputError
from llavaction.base.records import Record, read_records
from llavaction.evaluation.parsing import ParsedAnswer
from llavaction.questions.schema import Question

ParseStatus = Literal["scored", "parsed", "unparsed", "failed"]

PREDICTIONS = "predictions.jsonl"
"""The file of a run's predictions."""


class Prediction(Record):
    """One question's outcome, with the right answer and the video, so that a run can be read without its benchmark."""

    question_id: str
    video_id: str
    answer: int | None = Field(ge=0, description="index of the right option; None where it is hidden")
    choice: int | None = Field(default=None, description="index of the chosen option; None counts as wrong")
    parse_status: ParseStatus = Field(
        description="'scored': by likelihood; 'parsed': read from text; 'unparsed': text without a clear choice; "
        "'failed': could not be asked, see error"
    )
    decision_rule: str = Field(description="how the choice was made, e.g. 'option letters' or 'generation'")
    scores: tuple[float, ...] = Field(default=(), description="log-probability per option, nats; empty for text")
    letter_mass: float | None = Field(
        default=None, description="probability that the answer begins with one of the letters, mean over orders"
    )
    margin: float | None = Field(default=None, description="score of the choice minus the next best, nats")
    text: str | None = Field(default=None, description="what was generated: the answer, or the caption before it")
    parse_rule: str | None = Field(default=None, description="which rule read the text, or why none could")
    credit: float | Literal["left out"] | None = Field(
        default=None,
        description="what the answer counts for where a public evaluator read it: 1 right, 0 wrong, 1/n where it draws "
        "one of n at random, 'left out' of the denominator; else None",
    )
    error: str | None = Field(default=None, description="why the question could not be asked")
    note: str | None = Field(default=None, description="what the reader should know, e.g. only a part could be decoded")
    stand_ins: tuple[int, ...] = Field(
        default=(), description="places of the frames shown that stood in for missing ones; see note"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Prediction:
        if (self.choice is None) != (self.parse_status in ("unparsed", "failed")):
            raise ValueError(f"choice {self.choice} does not go with parse_status '{self.parse_status}'")
        if self.scores and max(self.answer or 0, self.choice or 0) >= len(self.scores):
            raise ValueError(f"answer {self.answer}, choice {self.choice}, but only {len(self.scores)} scores")
        return self

    @property
    def correct(self) -> bool:
        """Whether the right option was chosen; False where nothing was, or the answer is hidden."""
        return self.choice is not None and self.choice == self.answer

    @property
    def counted(self) -> float | None:
        """What it adds to a published number: its credit, or 1 where it is right; None where it is left out."""
        return float(self.correct) if self.credit is None else None if self.credit == "left out" else self.credit


def scored(
    question: Question, choice: Choice, rule: str, *, letter_mass: float | None = None, **seen: Any
) -> Prediction:
    """The prediction for one question's option scores.

    Args:
        question: the question asked.
        choice: what its scores decide.
        rule: the backend's decision rule.
        letter_mass: probability that the answer begins with one of the letters, if it is known.
        seen: what is to be kept of the clip, ``note`` and ``stand_ins``, and a caption as ``text``.
    """
    mass = None if letter_mass is None else round(letter_mass, DECIMALS)
    decided = {"choice": choice.place, "scores": choice.scores, "margin": choice.margin, "letter_mass": mass}
    return _prediction(question, rule, parse_status="scored", **decided, **seen)


def generated(question: Question, text: str, parsed: ParsedAnswer, rule: str, **seen: Any) -> Prediction:
    """The prediction for one question's generated text; ``seen`` as for :func:`scored`."""
    decided = {"choice": parsed.choice, "parse_status": parsed.status, "parse_rule": parsed.rule}
    return _prediction(question, rule, text=text, **decided, **seen)


def failed(question: Question, rule: str, error: str, **seen: Any) -> Prediction:
    """The prediction for a question that could not be asked; it counts as wrong. ``seen`` as for :func:`scored`."""
    return _prediction(question, rule, parse_status="failed", error=error, **seen)


def _prediction(question: Question, rule: str, **fields: Any) -> Prediction:
    video, answer = question.clip.video_id, question.answer
    return Prediction(question_id=question.question_id, video_id=video, answer=answer, decision_rule=rule, **fields)


def probabilities(prediction: Prediction) -> tuple[float, ...]:
    """The scores as probabilities over the options (softmax); empty where there are no scores."""
    if not prediction.scores:
        return ()
    top = max(prediction.scores)
    weights = [math.exp(score - top) for score in prediction.scores]
    return tuple(weight / sum(weights) for weight in weights)


def read_predictions(folder: str | Path) -> list[Prediction]:
    """The predictions of a run folder; the unfinished last line of a run that was killed is left out.

    Raises:
        InputError: the file is missing or damaged, or a question occurs twice.
    """
    path = Path(folder) / PREDICTIONS
    with no_collection():
        predictions = list(read_records(path, Prediction, journal=True))
    question_ids: set[str] = set()
    for line, prediction in enumerate(predictions, start=1):
        if prediction.question_id in question_ids:
            raise InputError(f"question id '{prediction.question_id}' occurs twice", file=path, line=line)
        question_ids.add(prediction.question_id)
    return predictions
