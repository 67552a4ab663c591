"""Predictions of a specialist that does not exist, for demonstrations and for auditing where none can be had.

A documented noise model, not a result: nothing made with it says anything about a real classifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action
from llavaction.base.records import Strict
from llavaction.base.seeding import hashed_rng
from llavaction.specialists.predictions import TOP, Predictions, SpecialistPrediction


class NoiseModel(Strict):
    """score(class) = log((count + 1) / total) · prior + verb if the verb is right + noun if the noun is right
    + both if both are + noise · Gumbel, independently per class and segment.

    The defaults give about the accuracy published for AVION on EPIC-KITCHENS-100 validation (54 % top-1 action).
    """

    prior: float = Field(0.5, ge=0, description="Weight of a class's log frequency in training.")
    verb: float = Field(3.0, ge=0, description="Evidence for the right verb, in nats.")
    noun: float = Field(3.0, ge=0, description="Evidence for the right noun, in nats.")
    both: float = Field(2.0, ge=0, description="Evidence for the right pair beyond that for its parts, in nats.")
    noise: float = Field(1.0, gt=0, description="Scale of the Gumbel noise.")
    seed: int = Field(0, description="Seed of the noise.")


def simulate_predictions(
    segments: Iterable[Segment], actions: Sequence[Action], counts: Mapping[Action, int], model: NoiseModel
) -> Predictions:
    """Rank all classes for each segment by the noise model and keep the best 100.

    Args:
        segments: what to predict.
        actions: the classes to rank.
        counts: how often each class occurs in training (absent: 0).
        model: the noise model.

    Returns:
        Predictions by segment id; scores are the model's, rounded to 4 decimals.
    """
    verbs, nouns = np.array(actions, dtype=np.int64).T
    frequencies = np.array([counts.get(action, 0) + 1.0 for action in actions])
    prior = model.prior * np.log(frequencies / frequencies.sum())
    predictions: Predictions = {}
    for segment in segments:
        same_verb, same_noun = verbs == segment.verb_class, nouns == segment.noun_class
        noise = hashed_rng("simulated specialist", model.seed, segment.segment_id).gumbel(size=len(actions))
        evidence = model.verb * same_verb + model.noun * same_noun + model.both * (same_verb & same_noun)
        scores = np.round(prior + evidence + model.noise * noise, 4)
        best = np.argsort(-scores, kind="stable")[:TOP]
        predictions[segment.segment_id] = SpecialistPrediction(
            segment_id=segment.segment_id,
            actions=tuple(actions[i] for i in best),
            scores=tuple(float(scores[i]) for i in best),
            clip=segment.clip,
        )
    return predictions
