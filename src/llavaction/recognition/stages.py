"""Stages of recognition: who scores the action classes of a clip, first all that are known, then the candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action
from llavaction.backends.asking import query
from llavaction.backends.base import OptionScores, Query, QuestionError, Reading, TextScores
from llavaction.base.errors import InputError
from llavaction.base.text import same_when_read
from llavaction.questions.asked import Asked, PriorAction
from llavaction.questions.option_orders import mean_over_orders, order_turns
from llavaction.questions.prompts import QUESTION, Perspective, PromptStyle
from llavaction.recognition.config import LABEL_SET, OF_HEADS, Stage
from llavaction.recognition.offers import ClassTexts, Offer
from llavaction.specialists.predictions import SpecialistPrediction
from llavaction.specialists.rankings import log_scores
from llavaction.video.decoded import DecodedClip

BELOW = 2.0
"""Nats below the least class that a specialist lists, or an action head knows, that all other classes are put."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StageSettings:
    """What is scored, and how it is asked.

    Attributes:
        stages: which score.
        candidates: how many the second stage compares; None for all classes.
        ranked_by: which stages rank the candidates.
        orders: cyclic orders of the candidates to ask letters in.
        prompt, perspective: of the letters.
        seed: of the order in which candidates are listed.
    """

    stages: tuple[Stage, ...]
    candidates: int | None
    ranked_by: tuple[Stage, ...]
    orders: int = 1
    prompt: PromptStyle = "letters"
    perspective: Perspective = "first_person"
    seed: int = 0


class StageScorer:
    """Scores clips by several stages; a model reads each clip once for all of them.

    Args:
        settings: see :class:`StageSettings`.
        known: the classes.
        predictions: the specialist's, by segment id.
        actions: the action classes in the published order, which an action head's columns follow.
    """

    def __init__(
        self,
        settings: StageSettings,
        known: ClassTexts,
        predictions: Mapping[str, SpecialistPrediction],
        actions: Sequence[Action] = (),
    ) -> None:
        self.settings, self.known, self._predictions, self._actions = settings, known, predictions, actions

    def first(self, segment: Segment, reading: Reading | None, clip: DecodedClip | None = None) -> dict[Stage, Floats]:
        """Log-probability of every known class by each stage that scores all, float64 [classes].

        Args:
            segment: what is recognised.
            reading: its clip, as a model has read it; None where no stage needs one.
            clip: what the model saw.

        Raises:
            QuestionError: the specialist has no prediction, or the model cannot be asked.
            InputError: the model has no heads, or they have other classes.
        """
        scores: dict[Stage, Floats] = {}
        wanted = self.settings.stages
        if "specialist" in wanted:
            scores["specialist"] = self._of_specialist(segment)
        if reading is None:
            return scores
        if any(stage in wanted for stage in OF_HEADS):
            scores |= {stage: values for stage, values in self._of_heads(reading).items() if stage in wanted}
        if any(stage in wanted for stage in LABEL_SET):
            likelihoods = reading.texts(self._open_query(segment, clip), self.known.texts)
            scores |= {stage: _normalised(of(likelihoods)) for stage, of in _FORMS.items() if stage in wanted}
        return scores

    def check_heads(self, sizes: tuple[int, int, int] | None) -> None:
        """Make sure that a model's heads know the classes, where they are among the stages.

        Args:
            sizes: classes of the verb, noun and action head; None for a model without.

        Raises:
            InputError: there are no heads, or they have other classes.
        """
        wanted = [stage for stage in self.settings.stages if stage in OF_HEADS]
        if not wanted:
            return
        if sizes is None:
            raise InputError(
                f"stage '{wanted[0]}' needs action heads and this model has none, or sees no video",
                hint=f"leave {' and '.join(OF_HEADS)} out of the stages",
            )
        verb, noun = (max(action[side] for action in self.known.classes) for side in (0, 1))
        if verb >= sizes[0] or noun >= sizes[1]:
            raise InputError(
                f"the heads know {sizes[0]} verbs and {sizes[1]} nouns, numbered from 0, the dataset has classes up to "
                f"{verb} and {noun}",
                hint="are these annotations those that the model was trained on?",
            )
        if "action_head" in wanted and sizes[2] != len(self._actions):
            raise InputError(
                f"the action head knows {sizes[2]} classes and the dataset has {len(self._actions)}: which is which "
                "cannot be told",
                hint="take 'heads', whose verbs and nouns have class ids",
            )

    def offer(self, segment: Segment, first: Mapping[Stage, Floats], weights: Mapping[str, float]) -> Offer:
        """The candidates: the classes of the largest weighted sum of log-probabilities, best first.

        Of classes that are called alike the better one alone is offered.

        Args:
            segment: what is recognised.
            first: see :meth:`first`.
            weights: of the stages that rank; where none has one, all count alike.
        """
        ranking = {stage: weights.get(stage, 0.0) for stage in self.settings.ranked_by}
        if not any(ranking.values()):
            ranking = dict.fromkeys(ranking, 1.0)
        total = np.sum([weight * first[stage] for stage, weight in ranking.items() if weight], axis=0)
        count = len(total) if self.settings.candidates is None else self.settings.candidates
        places: dict[str, int] = {}
        for place in np.argsort(-total, kind="stable"):
            places.setdefault(same_when_read(self.known.texts[place]), int(place))
            if len(places) == count:
                break
        candidates = SpecialistPrediction(
            segment_id=segment.segment_id,
            actions=tuple(self.known.classes[place] for place in places.values()),
            scores=tuple(float(total[place]) for place in places.values()),
        )
        return Offer.of(segment, candidates, self.known.text, count, self.settings.seed)

    def of_candidates(self, first: Mapping[Stage, Floats], offer: Offer) -> dict[Stage, Floats]:
        """The scores of all classes as those of the candidates, float64 [candidates]."""
        places = [self.known.place[action] for action in offer.candidates]
        return {stage: values[places] for stage, values in first.items()}

    def letters(
        self, offer: Offer, reading: Reading, clip: DecodedClip | None, prior: tuple[PriorAction, ...] = ()
    ) -> OptionScores:
        """How likely each option's letter is, mean over the orders, float64 [options].

        Raises:
            QuestionError: the model cannot be asked.
        """
        asked = replace(offer.asked, prior=prior)
        turns = order_turns(len(asked.options), self.settings.orders)
        style, perspective = self.settings.prompt, self.settings.perspective
        answers = reading.letters([query(asked.turned(turn), clip, style, perspective) for turn in turns])
        masses = [answer.letter_mass for answer in answers if answer.letter_mass is not None]
        mean = mean_over_orders([answer.log_probabilities for answer in answers], turns)
        return OptionScores(mean, float(np.mean(masses)) if masses else None)

    def texts(
        self, offer: Offer, reading: Reading, clip: DecodedClip | None, prior: tuple[PriorAction, ...] = ()
    ) -> Floats:
        """Log-probability of the candidates among themselves by their texts per token, float64 [candidates].

        Raises:
            QuestionError: the model cannot be asked.
        """
        return _normalised(reading.texts(self._open_query(offer.segment, clip, prior), offer.names).per_token)

    def _of_specialist(self, segment: Segment) -> Floats:
        """A specialist's log-probabilities; classes that it does not list lie :data:`BELOW` its least one."""
        name = segment.segment_id
        if name not in self._predictions:
            raise QuestionError(f"the specialist has no prediction for '{name}'", question_id=name)
        prediction = self._predictions[name]
        listed = log_scores(prediction)
        values = np.full(len(self.known.classes), listed.min() - BELOW)
        places = [self.known.place.get(action, -1) for action in prediction.actions]
        for place, value in zip(places, listed, strict=True):
            if place >= 0:
                values[place] = value
        return _normalised(values)

    def _of_heads(self, reading: Reading) -> dict[Stage, Floats]:
        heads, classes = reading.heads, self.known.classes
        self.check_heads(None if heads is None else (len(heads.verb), len(heads.noun), len(heads.action)))
        assert heads is not None  # else it has been refused
        verbs, nouns = ([action[side] for action in classes] for side in (0, 1))
        scores: dict[Stage, Floats] = {"heads": _normalised(heads.verb[verbs] + heads.noun[nouns])}
        if "action_head" in self.settings.stages:
            values = np.append(heads.action, heads.action.min() - BELOW)  # the last one is of pairs it does not know
            place_of = {action: place for place, action in enumerate(self._actions)}
            scores["action_head"] = _normalised(values[[place_of.get(action, -1) for action in classes]])
        return scores

    def _open_query(self, segment: Segment, clip: DecodedClip | None, prior: tuple[PriorAction, ...] = ()) -> Query:
        asked = Asked(segment.segment_id, segment.clip, QUESTION, prior=prior)
        style: PromptStyle = "published_open" if self.settings.prompt.startswith("published") else "open"
        return query(asked, clip, style, self.settings.perspective)


_FORMS: dict[Stage, Callable[[TextScores], Floats]] = {
    "label_set_raw": lambda likelihoods: likelihoods.raw,
    "label_set_length": lambda likelihoods: likelihoods.per_token,
    "label_set_prior": lambda likelihoods: likelihoods.prior_corrected,
}


def _normalised(values: Floats) -> Floats:
    return np.asarray(values - np.logaddexp.reduce(values))
