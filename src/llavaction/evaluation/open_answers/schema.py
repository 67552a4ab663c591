"""Questions without options, what was written to them, and the benchmark that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field, model_validator

from llavaction.actions.segments import Clip
from llavaction.base.records import Record
from llavaction.questions.asked import Asked
from llavaction.questions.schema import BenchmarkCard

WRITTEN = "answers.jsonl"
"""The file of a run's answers."""


class OpenQuestion(Record):
    """A question about one clip that is answered in free words, or by a span of time."""

    question_id: str
    clip: Clip
    question: str = Field(min_length=1)
    answers: tuple[str, ...] = Field(default=(), description="right answers, each as good as the others")
    span: tuple[float, float] | None = Field(
        default=None, description="right start and stop in seconds from the video's beginning, where time is asked for"
    )
    kind: str = Field(default="", description="kind of question, for a breakdown")

    @model_validator(mode="after")
    def _has_an_answer(self) -> OpenQuestion:
        if not self.answers and self.span is None:
            raise ValueError("has neither an answer nor a span of time")
        if self.span is not None and self.span[1] <= self.span[0]:
            raise ValueError(f"its span ends ({self.span[1]}) before it begins ({self.span[0]})")
        return self

    @property
    def right_text(self) -> str:
        """A text that is right."""
        return self.answers[0] if self.answers else "{} - {} seconds".format(*(self.span or ()))

    @property
    def asked(self) -> Asked:
        """What is asked, without the answer."""
        return Asked(self.question_id, self.clip, self.question)


class WrittenAnswer(Record):
    """What was written to one question, with its right answers, so that a run can be read without its benchmark."""

    question_id: str
    video_id: str
    question: str
    answers: tuple[str, ...] = ()
    span: tuple[float, float] | None = None
    kind: str = ""
    text: str | None = Field(default=None, description="what was written; None where the question could not be asked")
    error: str | None = Field(default=None, description="why the question could not be asked")
    note: str | None = Field(default=None, description="what the reader should know, e.g. only a part could be decoded")
    stand_ins: tuple[int, ...] = Field(
        default=(), description="places of the frames shown that stood in for missing ones; see note"
    )


@dataclass(frozen=True)
class OpenBenchmark:
    """Questions without options.

    Attributes:
        questions: in the order of their file.
        card: what they are; its ``options`` is 0, ``source.scorer`` one of :data:`~.scores.SCORES`.
        groups: name of a group to the kinds of question it joins.
    """

    questions: Sequence[OpenQuestion]
    card: BenchmarkCard
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
