"""The settings of every run that asks a backend about many clips; without NumPy, so that they can be listed at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from llavaction.base.records import Strict
from llavaction.questions.prompts import Perspective, PromptStyle

if TYPE_CHECKING:
    from llavaction.backends.base import Backend


class AskingConfig(Strict):
    """Who is asked, and how."""

    backend: str = Field(
        description="Who is asked: chance, prior, oracle, specialist:FILE, bundled, a checkpoint folder, or "
        "endpoint:URL, an OpenAI-compatible server."
    )
    backend_options: Mapping[str, Any] = Field(
        default_factory=dict, description="Options the backend was made with; none by default."
    )
    videos: str | None = Field(
        default=None, description="Folder of the videos. Only backends that look at them need it."
    )
    frames: int | None = Field(
        default=None,
        ge=1,
        description="Frames per clip. By default they are as many as the backend asks for: those that the model was "
        "trained with, else 16.",
    )
    prompt: PromptStyle = Field(
        default="letters",
        description="How the question is put. Style letters lists the options and asks for a letter; published is the "
        "paper's wording, published_timed and published_frame_times add its sentence on the clip's length; open and "
        "published_open do not list the options, for the backend's rule=texts or written answers; official is the "
        "benchmark's own prompt.",
    )
    perspective: Perspective = Field(
        default="first_person",
        description="How the published prompts speak: 'you are the person' (as published), or of 'the person'.",
    )
    option_orders: int = Field(
        default=1,
        ge=1,
        description="Cyclic orders of the options that each question is asked in, the stored one first. Their "
        "log-probabilities are averaged. There are at most as many as options.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="Ask about only this many, the same for every backend. By default all are asked.",
    )
    batch_size: int = Field(default=4, ge=1, description="Questions per call of the backend.")
    workers: int = Field(default=2, ge=1, description="Threads that decode ahead; they do not change the result.")
    seed: int = Field(default=0, description="Seed of the bootstrap intervals and of every order that is drawn.")

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The settings that have a default, each with it."""
        fields = cls.model_fields.items()
        return {name: field.get_default(call_default_factory=True) for name, field in fields if not field.is_required()}

    def decision_rule(self, backend: Backend) -> str:
        """How choices are made, as predictions name it."""
        orders = f", mean of {self.option_orders} option orders" if self.option_orders > 1 else ""
        return backend.decision_rule + orders
