"""The settings of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from llavaction.backends.asking_config import AskingConfig
from llavaction.questions.subtitles import Shown

if TYPE_CHECKING:
    from llavaction.backends.base import Backend


class RunConfig(AskingConfig):
    """How a run is made."""

    benchmark: str = Field(description="Folder of the benchmark.")
    decision: Literal["likelihood", "generation", "caption_then_answer"] = Field(
        default="likelihood",
        description="Whether the likeliest option is chosen (likelihood), the one that the answer it writes is about "
        "(generation), or the likeliest behind a caption that the model has written just before (caption_then_answer; "
        "--set max_new_tokens=N for a longer one).",
    )
    subtitles: Shown = Field(
        default="none",
        description="Which subtitles of the clip are told, where the benchmark has some: none, all, or those said "
        "while one of the frames is shown (frames).",
    )
    parsing: Literal["robust", "published", "official"] = Field(
        default="robust",
        description="How written answers are read: by our parser (robust), as the paper's evaluation code does "
        "(published), or as the benchmark's public evaluator does, faults included (official; see parser).",
    )
    parser: str | None = Field(
        default=None,
        description="Which public evaluator reads the answers where parsing is official: nextqa, mvbench, videomme "
        "and others. By default it is the one that the benchmark names.",
    )

    @model_validator(mode="after")
    def _orders_have_scores(self) -> Self:
        if self.decision == "generation":
            if self.option_orders > 1:
                raise ValueError("option_orders averages scores; decision 'generation' has none")
            if "rule" in self.backend_options:
                raise ValueError("the backend's rule is how it scores options; decision 'generation' scores none")
        if self.parser is not None and self.parsing != "official":
            raise ValueError("parser names a public evaluator, which reads the answers only with parsing 'official'")
        if self.parsing == "official" and self.decision != "generation":
            raise ValueError("parsing 'official' reads written answers, which only decision 'generation' has")
        return self

    def decision_rule(self, backend: Backend) -> str:
        """How choices are made, as predictions name it."""
        if self.decision == "generation":
            named = f" ({self.parser})" if self.parser else ""
            return f"generated text, {self.parsing} parsing{named}"
        caption = ", behind the model's own caption" if self.decision == "caption_then_answer" else ""
        return super().decision_rule(backend) + caption
