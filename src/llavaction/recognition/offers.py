"""The candidates of each segment, a specialist's or those that stages rank, and how a model is asked to choose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llavaction.actions.segments import Clip, Segment
from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.base.errors import InputError
from llavaction.base.records import to_line
from llavaction.base.seeding import hashed_rng, hashed_seed
from llavaction.base.text import same_when_read
from llavaction.questions.asked import LETTERS, Asked
from llavaction.questions.keys import OptionClasses, RightAnswers
from llavaction.questions.prompts import QUESTION
from llavaction.questions.schema import Option, Provenance, Question
from llavaction.specialists.agreement import Agreement, Expected
from llavaction.specialists.predictions import Predictions, SpecialistPrediction, check_classes

Wording = Literal["label", "narration"]
"""What classes are called: by their label, or by what annotators of the training split said most often."""

NOTHING_ELSE = "something else"
"""Stands beside a single candidate, as letters are to be compared; it is of no class and never chosen."""


@dataclass(frozen=True)
class ClassTexts:
    """The classes that are scored, and what they are called.

    Attributes:
        classes: (verb class, noun class).
        texts: one for each; labels of two classes may read alike.
    """

    classes: tuple[Action, ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, vocabulary: ActionVocabulary, wording: Wording = "label", more: Iterable[Action] = ()) -> ClassTexts:
        """The classes of a vocabulary, and ``more`` behind them; a narration that is taken gives way to the label."""
        classes = tuple(dict.fromkeys((*vocabulary.actions, *more)))
        texts, taken = [], set(map(same_when_read, map(vocabulary.action_name, classes)))
        for action in classes:
            said = vocabulary.narrations_of(action, ("train",)) if wording == "narration" else {}
            text = min(said, key=lambda words: (-said[words], words), default=vocabulary.action_name(action))
            if same_when_read(text) in taken:
                text = vocabulary.action_name(action)
            taken.add(same_when_read(text))
            texts.append(text)
        return cls(classes, tuple(texts))

    @cached_property
    def place(self) -> dict[Action, int]:
        """Where each class stands."""
        return {action: place for place, action in enumerate(self.classes)}

    def text(self, action: Action) -> str:
        """What a class is called."""
        return self.texts[self.place[action]]


@dataclass(frozen=True)
class Offer:
    """The candidates for one segment, listed in an order that does not tell the ranking.

    Attributes:
        segment: what is to be recognised.
        ranking: a specialist's, or that of the stages that rank; candidates first.
        names: the candidates in words, best ranked first.
        order: the candidate behind each option, by its place in the ranking.
        seed: of the order.
    """

    segment: Segment
    ranking: SpecialistPrediction
    names: tuple[str, ...]
    order: tuple[int, ...]
    seed: int

    @classmethod
    def of(
        cls, segment: Segment, ranking: SpecialistPrediction, name: Callable[[Action], str], count: int, seed: int
    ) -> Offer:
        """The first ``count`` of a ranking, listed in an order that the seed and the segment's id decide."""
        names = tuple(map(name, ranking.actions[:count]))
        order = hashed_rng("candidate order", seed, segment.segment_id).permutation(len(names))
        return cls(segment, ranking, names, tuple(map(int, order)), seed)

    @property
    def candidates(self) -> tuple[Action, ...]:
        """The best ranked actions."""
        return self.ranking.actions[: len(self.order)]

    @property
    def specialist_scores(self) -> tuple[float, ...]:
        """What ranked the candidates, one each: a specialist's scores, or the weighted sum of the stages'."""
        return self.ranking.scores[: len(self.order)]

    @property
    def query_id(self) -> str:
        """The segment's id."""
        return self.segment.segment_id

    @property
    def clip(self) -> Clip:
        """The segment's clip."""
        return self.segment.clip

    @property
    def asked(self) -> Asked:
        """What the model is asked."""
        options = tuple(self.names[candidate] for candidate in self.order)
        return Asked(self.query_id, self.clip, QUESTION, options if len(options) > 1 else (*options, NOTHING_ELSE))

    def ranked(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of the options as those of the candidates, float64 [candidates]."""
        found = np.empty(len(self.order))
        found[list(self.order)] = scores[: len(self.order)]
        return found

    @property
    def line(self) -> str:
        """The offer as a run is known by it: a question record, in which 0 stands for an answer that is not there.

        More candidates than a question can have are a list.
        """
        if len(self.order) > len(LETTERS):
            return json.dumps([self.query_id, self.clip.model_dump(), self.names, self.candidates, self.order]) + "\n"
        truth = self.segment.action if self.segment.labelled else None
        place = self.candidates.index(truth) if truth in self.candidates else None
        classes = (*(self.candidates[candidate] for candidate in self.order), None)
        record = Question(
            question_id=self.query_id,
            clip=self.clip,
            question=QUESTION,
            options=tuple(
                Option(text=text, action=action) for text, action in zip(self.asked.options, classes, strict=False)
            ),
            answer=0 if place is None else self.order.index(place),
            provenance=Provenance(miner="specialist", rank=self.order, text_pool="clean", seed=self.seed),
        )
        return to_line(record)


@dataclass(frozen=True)
class Offers:
    """What is offered for a split.

    Attributes:
        of: in the order of the segments.
        segments: how many there were to be recognised, those without prediction included.
    """

    of: Sequence[Offer]
    segments: int

    @property
    def answers(self) -> RightAnswers:
        """The names of the right candidates, where they are known and offered."""
        return {
            offer.query_id: offer.names[offer.candidates.index(offer.segment.action)]
            for offer in self.of
            if offer.segment.labelled and offer.segment.action in offer.candidates
        }

    @property
    def classes(self) -> OptionClasses:
        """The candidates by their names."""
        return {offer.query_id: dict(zip(offer.names, offer.candidates, strict=True)) for offer in self.of}

    @property
    def digests(self) -> dict[str, str]:
        """What the offers and the rankings behind them are known by."""
        rankings = (to_line(offer.ranking, ("clip",)) for offer in self.of)  # the clips are those of the offers
        return {
            "questions_sha256": sha256("".join(offer.line for offer in self.of)),
            "predictions_sha256": sha256("".join(rankings)),
        }


def make_offers(
    segments: Sequence[Segment],
    predictions: Predictions,
    vocabulary: ActionVocabulary,
    *,
    candidates: int,
    seed: int = 0,
    limit: int | None = None,
    file: str | Path | None = None,
    wording: Wording = "label",
) -> Offers:
    """Offer the specialist's best actions for every segment of which it has a prediction.

    Args:
        segments: what is to be recognised.
        predictions: the specialist's, by segment id.
        vocabulary: names the classes.
        candidates: how many are offered at most.
        seed: of the order of the options.
        limit: only so many segments, drawn by the hash of the id; a larger limit contains a smaller one.
        file: of the predictions, for errors.
        wording: what the candidates are called.

    Raises:
        InputError: no segment has a prediction; a prediction has classes that the vocabulary lacks, or is of another
            clip.
    """
    path = Path(file or "predictions")
    drawn = limited(segments, limit)
    predicted = predicted_segments(drawn, predictions, vocabulary, path)
    known = ClassTexts.of(vocabulary, wording, sorted(listed_actions(predicted, predictions)))

    def offer(segment: Segment) -> Offer:
        ranking = _without_twins(predictions[segment.segment_id], known)
        return Offer.of(segment, ranking, known.text, candidates, seed)

    return Offers([offer(segment) for segment in predicted], len(drawn))


def predicted_segments(
    segments: Sequence[Segment], predictions: Predictions, vocabulary: ActionVocabulary, path: Path
) -> list[Segment]:
    """The segments that a specialist has a prediction of, once the predictions are known to be theirs.

    Raises:
        InputError: there are none; or as :func:`make_offers`.
    """
    check_classes(predictions, vocabulary, path)
    predicted = [segment for segment in segments if segment.segment_id in predictions]
    if not predicted:
        raise InputError(
            f"the specialist has no prediction for any of the {len(segments)} segments",
            file=path,
            hint="are these predictions of this split?",
        )
    check_clips(predicted, predictions, path)
    return predicted


def listed_actions(segments: Sequence[Segment], predictions: Predictions) -> set[Action]:
    """Every action that the rankings of the segments list."""
    return {action for segment in segments for action in predictions[segment.segment_id].actions}


def only_ranked(segments: Sequence[Segment], predictions: Mapping[str, SpecialistPrediction]) -> bool:
    """Whether all scores only count down from 0, as they do where a file has none."""
    made = [predictions[segment.segment_id].scores for segment in segments]
    return all(scores == tuple(-float(rank) for rank in range(len(scores))) for scores in made)


def check_clips(segments: Sequence[Segment], predictions: Predictions, path: Path) -> None:
    """Refuse predictions that say they are of other videos or times; those that do not say are let through."""
    clips = {segment.segment_id: segment.clip for segment in segments}
    agreement = Agreement(path, Expected(clips, {}, {}), say=lambda _: None)
    for name in clips:
        agreement.place(name, predictions[name].clip)
    agreement.settle()


def _without_twins(prediction: SpecialistPrediction, known: ClassTexts) -> SpecialistPrediction:
    """The ranking without actions whose names read like that of a better one: nobody could choose between them."""
    better: dict[str, int] = {}
    for place, action in enumerate(prediction.actions):
        better.setdefault(same_when_read(known.text(action)), place)
    if len(better) == len(prediction.actions):
        return prediction
    kept = [(prediction.actions[place], prediction.scores[place]) for place in better.values()]
    actions, scores = zip(*kept, strict=True)
    return prediction.model_copy(update={"actions": actions, "scores": scores})


def limited(segments: Sequence[Segment], limit: int | None) -> list[Segment]:
    """The first ``limit`` by the hash of the id, in the order given; a larger limit contains a smaller one."""
    if limit is None or limit >= len(segments):
        return list(segments)
    kept = first_by_hash((segment.segment_id for segment in segments), limit)
    return [segment for segment in segments if segment.segment_id in kept]


def first_by_hash(names: Iterable[str], limit: int) -> set[str]:
    """The first ``limit`` names by their hash."""
    return set(sorted(names, key=lambda name: hashed_seed("limit", name))[:limit])


def sha256(text: str) -> str:
    """The digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
