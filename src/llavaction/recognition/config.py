"""The settings of two-stage recognition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from llavaction.backends.asking_config import AskingConfig
from llavaction.base.errors import InputError
from llavaction.questions.asked import LETTERS

if TYPE_CHECKING:
    from llavaction.actions.segments import Segment
    from llavaction.actions.vocabulary import ActionVocabulary
    from llavaction.backends.base import Backend
    from llavaction.recognition.offers import Offers
    from llavaction.specialists.rankings import Predictions


class RecognitionConfig(AskingConfig):
    """How segments are recognised."""

    annotations: str = Field(description="Folder with EPIC_100_*.csv files, or one table with a label column.")
    split: str = Field(description="Split whose segments are recognised, such as validation.")
    predictions: str = Field(description="File of the specialist's predictions, from: llavaction specialist predict.")
    candidates: int = Field(
        default=5,
        ge=2,
        le=len(LETTERS),
        description="The specialist's best actions that are offered to the model, 5 as in the paper.",
    )
    specialist_weight: float = Field(
        default=0.0,
        ge=0,
        description="The specialist's log-probabilities times this are added to the model's. With 0, as in the paper, "
        "the model alone chooses. Find the best value on a validation split.",
    )

    def offers(self, segments: Sequence[Segment], predictions: Predictions, vocabulary: ActionVocabulary) -> Offers:
        """What the specialist offers, see :func:`llavaction.recognition.offers.make_offers`.

        Raises:
            InputError: as there; or rankings without scores are to be weighed.
        """
        from llavaction.recognition.offers import make_offers, only_ranked

        made = make_offers(
            segments,
            predictions,
            vocabulary,
            candidates=self.candidates,
            seed=self.seed,
            limit=self.limit,
            file=self.predictions,
        )
        if self.specialist_weight and only_ranked(made, predictions):
            raise InputError(
                "holds rankings without scores, which cannot be weighed against a model's",
                file=self.predictions,
                hint="leave specialist_weight at 0, or give predictions with scores",
            )
        return made

    def decision_rule(self, backend: Backend) -> str:
        """How choices are made, as recognitions name it."""
        weight = f", specialist's scores times {self.specialist_weight:g} added" if self.specialist_weight else ""
        return super().decision_rule(backend) + weight
