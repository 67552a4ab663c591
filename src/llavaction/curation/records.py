"""Training records: what a model is to say about a clip, and which classes its action heads are to name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from llavaction.actions.segments import Clip
from llavaction.base.records import Record, Strict

VIDEO = "<video>"
"""Where a user's message says so, the clip is seen."""


class Message(Strict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1, description="text; '<video>' stands for the record's clip, or its words")


class ActionLabels(Strict):
    """Classes of an action; -1 where one is not known."""

    verb: int = Field(ge=-1)
    noun: int = Field(ge=-1)
    action: int = Field(ge=-1)


class TrainingRecord(Record):
    """One conversation to learn from."""

    record_id: str
    task: str = Field(description="what made it, such as 'hard_action_recognition'")
    clip: Clip | None = Field(default=None, description="what is seen; None for text alone")
    words: str | None = Field(
        default=None,
        description="text that stands in for the clip: the vectors of its tokens are added to the action token's, and "
        "no picture is seen",
    )
    messages: tuple[Message, ...] = Field(min_length=2)
    labels: ActionLabels | None = Field(
        default=None, description="what the action heads learn from it; None for nothing"
    )
    provenance: Mapping[str, Any] = Field(default_factory=dict, description="segment, miner, seed and the like")

    @property
    def segment_id(self) -> str | None:
        """The segment it was made from, by which videos kept as one file per segment are found."""
        name = self.provenance.get("segment_id")
        return name if isinstance(name, str) else None

    @model_validator(mode="after")
    def _is_a_conversation(self) -> TrainingRecord:
        spoken = [message.role for message in self.messages if message.role != "system"]
        if spoken[:1] != ["user"] or spoken[-1:] != ["assistant"]:
            raise ValueError(f"a conversation goes from a user to an assistant, these are {spoken}")
        if self.words is not None:
            if self.clip is not None:
                raise ValueError("a record has a clip or words that stand in for it, not both")
            if not self.words.strip():
                raise ValueError("words that stand in for a clip must not be empty")
        count = sum(message.content.count(VIDEO) for message in self.messages)
        if count != (self.clip is not None or self.words is not None):
            shown = "a clip" if self.clip else "words" if self.words else "no clip"
            raise ValueError(f"'{VIDEO}' stands {count} times in the messages of a record with {shown}")
        return self
