"""The settings of recognition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from llavaction.backends.asking_config import AskingConfig
from llavaction.base.errors import InputError
from llavaction.questions.asked import LETTERS

if TYPE_CHECKING:
    from llavaction.actions.segments import Segment
    from llavaction.actions.vocabulary import ActionVocabulary
    from llavaction.backends.base import Backend
    from llavaction.recognition.offers import Offers
    from llavaction.specialists.rankings import Predictions

Stage = Literal[
    "specialist", "heads", "action_head", "label_set_raw", "label_set_length", "label_set_prior", "letters", "texts"
]
"""``specialist``: its predictions. ``heads``: the model's verb and noun heads, multiplied. ``action_head``: its action
head. ``label_set_*``: the log-likelihood of every class's text as the answer, raw, per token, or minus that without the
clip. ``letters``: the candidates listed, each behind a letter. ``texts``: the candidates' texts as answers.
"""
LABEL_SET: tuple[Stage, ...] = ("label_set_raw", "label_set_length", "label_set_prior")
OF_HEADS: tuple[Stage, ...] = ("heads", "action_head")
OVER_CANDIDATES: tuple[Stage, ...] = ("letters", "texts")
"""Compare the candidates; the others spread their probability over all known classes, and can rank the candidates."""
FROM_READING: tuple[Stage, ...] = (*OF_HEADS, *LABEL_SET, "texts")
"""Need a backend that reads a clip once and is asked several things about it."""
PAPER: tuple[Stage, ...] = ("specialist", "letters")
"""A specialist proposes, the model chooses by letters."""


class RecognitionConfig(AskingConfig):
    """How segments are recognised."""

    annotations: str = Field(description="Folder with EPIC_100_*.csv files, or one table with a label column.")
    split: str = Field(description="Split whose segments are recognised, such as validation.")
    predictions: str | None = Field(
        default=None, description="File of the specialist's predictions, from: llavaction specialist predict."
    )
    candidates: int = Field(
        default=5,
        ge=0,
        description="The best actions of the first stage that the second one compares, 5 as in the paper; 0 for all.",
    )
    specialist_weight: float = Field(
        default=0.0,
        ge=0,
        description="The specialist's log-probabilities times this are added to the model's. With 0, as in the paper, "
        "the model alone chooses. Find the best value on a validation split, or have all weights fitted (--fusion).",
    )
    stages: tuple[Stage, ...] | None = Field(
        default=None,
        description="Who scores the actions: specialist, heads (the model's verb and noun heads), action_head, "
        "label_set_raw, label_set_length or label_set_prior (every label's text), then letters or texts, which compare "
        "the candidates. By default specialist,letters, as in the paper.",
    )
    ranked_by: tuple[Stage, ...] | None = Field(
        default=None, description="Stages that rank the candidates. By default all that score every action."
    )
    fusion: str | None = Field(
        default=None, description="File of fitted weights that join the stages, from: llavaction fuse."
    )
    option_text: Literal["label", "narration"] | None = Field(
        default=None,
        description="What actions are called: label, or narration, what annotators of the training split said most "
        "often. By default label.",
    )
    prior_actions: Literal["own", "true"] | None = Field(
        default=None,
        description="Whether the prompt tells the two actions before: own, as they were recognised, videos from start "
        "to end; true, as annotated. By default nothing is told.",
    )
    kept: int | None = Field(
        default=None, ge=1, description="Candidates that the record of a segment keeps, the best ones. By default 100."
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        stages, ranking = self.all_stages, self.ranking_stages
        if "specialist" in stages and self.predictions is None:
            raise ValueError("stage 'specialist' needs predictions")
        if wrong := [stage for stage in ranking if stage in OVER_CANDIDATES or stage not in stages]:
            raise ValueError(f"'{wrong[0]}' cannot rank the candidates; name a stage that scores every action")
        if not ranking:
            raise ValueError("no stage ranks the candidates; add specialist, heads or label_set_prior")
        for named in filter(None, (self.stages, self.ranked_by)):
            if twice := [stage for place, stage in enumerate(named) if stage in named[:place]]:
                raise ValueError(f"stage '{twice[0]}' is named twice")
        if "letters" in stages and not 1 <= self.candidates <= len(LETTERS):
            found = self.candidates or "all"
            raise ValueError(f"letters compare 1 to {len(LETTERS)} candidates, not {found}; take texts in their place")
        if self.specialist_weight and not ("specialist" in stages and set(stages) & set(OVER_CANDIDATES)):
            raise ValueError("specialist_weight joins a specialist and letters or texts; name both, or use a fusion")
        if self.prior_actions and "texts" in stages and self.prompt.startswith("published"):
            raise ValueError("the published prompt behind 'texts' tells no prior actions; take prompt letters")
        if self.fusion is not None and self.specialist_weight:
            raise ValueError("a fusion has all weights; leave specialist_weight at 0")
        return self

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The stages, the default written out."""
        return PAPER if self.stages is None else self.stages

    @property
    def ranking_stages(self) -> tuple[Stage, ...]:
        """Those that rank the candidates."""
        able = tuple(stage for stage in self.all_stages if stage not in OVER_CANDIDATES)
        return able if self.ranked_by is None else self.ranked_by

    @property
    def weighs_specialist(self) -> bool:
        """Whether the specialist's scores count in the choice, not its ranking alone."""
        alone = self.fusion is None and not set(self.all_stages) & set(OVER_CANDIDATES)
        joined = len(self.all_stages) > 1 and (alone or len(self.ranking_stages) > 1)
        return "specialist" in self.all_stages and bool(self.specialist_weight or self.fusion or joined)

    @property
    def offers_beforehand(self) -> bool:
        """Whether the candidates are known before a clip is seen: they are the specialist's best."""
        return self.ranking_stages == ("specialist",) and self.candidates > 0

    def offers(self, segments: Sequence[Segment], predictions: Predictions, vocabulary: ActionVocabulary) -> Offers:
        """What the specialist offers, see :func:`llavaction.recognition.offers.make_offers`.

        Raises:
            InputError: as there; or rankings without scores are to be weighed; or something else ranks.
        """
        from llavaction.recognition.offers import make_offers

        if not self.offers_beforehand:
            raise InputError("candidates that a model ranks are not known beforehand", hint="rank by specialist alone")
        offers = make_offers(
            segments,
            predictions,
            vocabulary,
            candidates=self.candidates,
            seed=self.seed,
            limit=self.limit,
            file=self.predictions,
            wording=self.option_text or "label",
        )
        self.check_weighable([offer.segment for offer in offers.of], predictions)
        return offers

    def check_weighable(self, segments: Sequence[Segment], predictions: Predictions) -> None:
        """Refuse to weigh rankings without scores against a model's scores.

        Raises:
            InputError: that is what the settings ask for.
        """
        from llavaction.recognition.offers import only_ranked

        if self.weighs_specialist and only_ranked(segments, predictions):
            raise InputError(
                "holds rankings without scores, which cannot be weighed against a model's",
                file=self.predictions,
                hint="leave specialist_weight at 0 and rank by one stage, or give predictions with scores",
            )

    def decision_rule(self, backend: Backend) -> str:
        """How choices are made, as recognitions name it."""
        weight = f", specialist's scores times {self.specialist_weight:g} added" if self.specialist_weight else ""
        if self.stages is None and self.fusion is None:
            return super().decision_rule(backend) + weight
        orders = f", letters in {self.option_orders} orders" if self.option_orders > 1 else ""
        fitted = "fitted fusion of " if self.fusion else ""
        return f"{fitted}{', '.join(self.all_stages)}{weight}{orders}"
