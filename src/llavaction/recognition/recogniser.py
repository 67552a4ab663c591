"""From what the stages say of a batch of clips to what is recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from llavaction.actions.segments import Clip, Segment
from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.backends.asking import DECIMALS, FLOOR, Answers, option_scores
from llavaction.backends.base import Backend, OptionScores, Query, Reading, Reads
from llavaction.base.errors import InputError, reason
from llavaction.questions.asked import PriorAction
from llavaction.recognition.config import FROM_READING, Stage
from llavaction.recognition.fusion import Fusion
from llavaction.recognition.offers import Offer
from llavaction.recognition.records import Recognition
from llavaction.recognition.stages import Floats, StageScorer
from llavaction.video.decoded import Clips

Told = Callable[[Segment], tuple[PriorAction, ...]]
"""What a prompt tells of the actions before a segment."""


@dataclass(frozen=True)
class SegmentItem:
    """A segment that is to be recognised, as an item of a run, see :class:`llavaction.video.decoded.Item`.

    Attributes:
        segment: what it is.
        offer: its candidates where they are known before its clip is seen.
    """

    segment: Segment
    offer: Offer | None = None

    @property
    def query_id(self) -> str:
        """The segment's id."""
        return self.segment.segment_id

    @property
    def clip(self) -> Clip:
        """The segment's clip."""
        return self.segment.clip


@dataclass
class _Scored:
    """What is known of one segment so far."""

    first: dict[Stage, Floats]
    offer: Offer
    reading: Reading | None
    prior: tuple[PriorAction, ...]
    option_scores: OptionScores | None = None
    scores: dict[Stage, Floats] = field(default_factory=dict)


class Recogniser:
    """Recognises batches of segments.

    Args:
        scorer: the stages.
        fusion: joins what they say; its weights also rank the candidates.
        backend: the model.
        vocabulary: names the classes.
        decision_rule: how choices are made, as recognitions name it.
        told: says what came before; nothing by default.
        keep: candidates that a recognition keeps, the best by all stages together; the best ranked one comes on top.
    """

    def __init__(
        self,
        scorer: StageScorer,
        fusion: Fusion,
        backend: Backend,
        vocabulary: ActionVocabulary,
        decision_rule: str,
        told: Told = lambda _: (),
        keep: int = 100,
    ) -> None:
        self._scorer, self._fusion, self._backend, self._vocabulary = scorer, fusion, backend, vocabulary
        self._rule, self._told, self._keep = decision_rule, told, keep
        self._reads = backend if isinstance(backend, Reads) else None
        self._stages = scorer.settings.stages

    def __call__(self, batch: Sequence[SegmentItem], clips: Clips) -> list[Recognition]:
        """One recognition per segment; one that cannot be asked has an error, the others are as without it."""
        refused: dict[int, str] = {}
        scored: dict[int, _Scored] = {}
        for i, (item, clip) in enumerate(zip(batch, clips, strict=True)):
            if clip is not None and clip.error is not None:
                refused[i] = clip.error
                continue
            try:
                scored[i] = self._score(item, clip)
            except InputError as error:
                refused[i] = reason(error)
        letters = self._ask_letters(scored, clips)
        recognitions = []
        for i, (item, clip) in enumerate(zip(batch, clips, strict=True)):
            kept = {} if clip is None else clip.record_fields
            why = refused.get(i) or letters.refused.get(i)
            offer = scored[i].offer if i in scored else item.offer
            known: dict[str, Any] = {
                "segment_id": item.query_id,
                "clip": item.clip,
                "truth": item.segment.action if item.segment.labelled else None,
                "decision_rule": self._rule,
                **kept,
            }
            if why is not None:
                if offer is not None:
                    known |= _candidates(offer, range(len(offer.order)))
                recognitions.append(Recognition(**known, error=why))
                continue
            if i in letters.by_place:
                scored[i].option_scores = letters.by_place[i]
            recognitions.append(Recognition(**known, **self._chosen(scored[i])))
        return recognitions

    def _score(self, item: SegmentItem, clip: Any) -> _Scored:
        """All stages of one segment but letters that a backend is asked for in batches.

        Raises:
            InputError: the clip cannot be read, or a stage cannot score it.
        """
        scorer, segment = self._scorer, item.segment
        reading = None
        if self._reads is not None and any(stage in FROM_READING for stage in self._stages):
            reading = self._reads.read(Query(item.query_id, "", (), clip))
        first = scorer.first(segment, reading, clip)
        offer = item.offer or scorer.offer(segment, first, self._fusion.weights)
        state = _Scored(first, offer, reading, self._told(segment))
        if reading is not None and "letters" in self._stages and len(offer.order) > 1:
            state.option_scores = scorer.letters(offer, reading, clip, state.prior)
        if reading is not None and "texts" in self._stages:
            state.scores["texts"] = scorer.texts(offer, reading, clip, state.prior)
        state.scores |= scorer.of_candidates(first, offer)
        for stage, values in [*first.items(), *state.scores.items(), *_letters(state)]:
            if np.isnan(values).any() or np.isposinf(values).any():
                raise InputError(f"the scores of stage '{stage}' are not all numbers")
        return state

    def _ask_letters(self, scored: Mapping[int, _Scored], clips: Clips) -> Answers[OptionScores]:
        """The letters of those whose clip was not read, from the backend, by their place in the batch."""
        waiting = [i for i, one in scored.items() if "letters" in self._stages and one.reading is None]
        settings = self._scorer.settings
        answers = option_scores(
            self._backend,
            [replace(scored[i].offer.asked, prior=scored[i].prior) for i in waiting],
            [clips[i] for i in waiting],
            settings.prompt,
            settings.perspective,
            settings.orders,
        )
        return Answers(
            {waiting[place]: answer for place, answer in answers.by_place.items()},
            {waiting[place]: why for place, why in answers.refused.items()},
        )

    def _chosen(self, scored: _Scored) -> dict[str, Any]:
        """The fields of a recognition that the stages decide; of equal probabilities the better ranked wins."""
        offer, scores = scored.offer, dict(scored.scores)
        options: Floats | None = None
        if scored.option_scores is not None:
            options = offer.ranked(scored.option_scores.log_probabilities)
            scores["letters"] = np.maximum(options - np.logaddexp.reduce(options), FLOOR)
        elif "letters" in self._stages:
            scores["letters"] = np.zeros(len(offer.order))
        rounded: dict[str, list[float]] = {stage: _rounded(scores[stage]) for stage in self._stages if stage in scores}
        decided = decide(offer.candidates, offer.names, rounded, self._fusion, self._vocabulary)
        joint = decided.pop("joint")
        kept = sorted({0, *np.argsort(-joint, kind="stable")[: self._keep].tolist()})
        mass = None if scored.option_scores is None else scored.option_scores.letter_mass
        return {
            **_candidates(offer, kept),
            **decided,
            "option_scores": () if options is None else tuple(_rounded(options)[place] for place in kept),
            "scores": {stage: tuple(values[place] for place in kept) for stage, values in rounded.items()},
            "probabilities": tuple(round(float(joint[place]), DECIMALS) for place in kept),
            "letter_mass": None if mass is None else round(mass, DECIMALS),
            "prior": tuple(action.narration for action in scored.prior),
        }


def decide(
    candidates: Sequence[Action],
    names: Sequence[str],
    scores: Mapping[str, Sequence[float]],
    fusion: Fusion,
    vocabulary: ActionVocabulary,
) -> dict[str, Any]:
    """The fields of a recognition that follow from the stages' scores; of equal probabilities the better ranked wins.

    Args:
        candidates: best ranked first.
        names: what they are called.
        scores: see :class:`llavaction.recognition.fusion.ScoredClip`.
        fusion: joins them.
        vocabulary: knows the narrations.

    Returns:
        The fields of the chosen action and of the likeliest verb and noun; and "joint", the probabilities, float64
        [candidates].
    """
    joint = fusion.joint(scores)
    best = int(joint.argmax())
    verb, noun = candidates[best]
    (likeliest_verb, of_verb), (likeliest_noun, of_noun) = (
        _marginal(joint, [action[side] for action in candidates]) for side in (0, 1)
    )
    said = vocabulary.narrations_of((verb, noun), ("train",))
    return {
        "joint": joint,
        "verb": verb,
        "noun": noun,
        "name": names[best],
        "narration": min(said, key=lambda text: (-said[text], text), default=None),
        "confidence": round(float(joint[best]), DECIMALS),
        "verb_marginal": likeliest_verb,
        "verb_confidence": of_verb,
        "noun_marginal": likeliest_noun,
        "noun_confidence": of_noun,
    }


def rejoin(recognition: Recognition, fusion: Fusion, vocabulary: ActionVocabulary) -> Recognition:
    """A recognition as another fusion would have decided it, among the candidates that were kept; nobody is asked.

    Raises:
        InputError: the fusion weighs a stage that did not score.
    """
    if recognition.error is not None:
        return recognition
    decided = decide(recognition.candidates, recognition.candidate_names, recognition.scores, fusion, vocabulary)
    joint = decided.pop("joint")
    return recognition.model_copy(
        update={**decided, "probabilities": tuple(round(float(share), DECIMALS) for share in joint)}
    )


def _letters(scored: _Scored) -> list[tuple[Stage, Floats]]:
    return [] if scored.option_scores is None else [("letters", scored.option_scores.log_probabilities)]


def _candidates(offer: Offer, places: Sequence[int]) -> dict[str, Any]:
    return {
        "candidates": tuple(offer.candidates[place] for place in places),
        "candidate_names": tuple(offer.names[place] for place in places),
        "specialist_scores": tuple(offer.specialist_scores[place] for place in places),
    }


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), DECIMALS) + 0.0 for value in np.maximum(values, FLOOR)]


def _marginal(joint: Floats, classes: Sequence[int]) -> tuple[int, float]:
    """The likeliest of some classes, of which each candidate has one, and its probability."""
    totals: dict[int, float] = {}
    for label, share in zip(classes, joint, strict=True):
        totals[label] = totals.get(label, 0.0) + float(share)
    best = max(totals, key=lambda label: totals[label])
    return best, min(round(totals[best], DECIMALS), 1.0)
