"""Action recognition by multiple choice among classes that are hard to tell apart; with or without what came before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action
from llavaction.base.errors import InputError
from llavaction.curation.material import Material
from llavaction.curation.neighbours import prior_actions
from llavaction.curation.tasks import Conversation, Task, TaskSettings
from llavaction.questions.miners import MiningTask, make_miner
from llavaction.questions.prompts import (
    PRIOR_PROBABILITY,
    QUESTION,
    Perspective,
    PriorAction,
    multiple_choice_prompt,
)
from llavaction.questions.schema import LETTERS, Option, Provenance, Question
from llavaction.questions.texts import make_texts

POOL_FACTOR = 2
"""Distractors are drawn from the best 2K, as published (K options)."""


class ActionChoiceSettings(TaskSettings):
    """How the questions are made."""

    options: int = Field(5, ge=2, le=len(LETTERS), description="Options per question, the right one included.")
    miner: str = Field("specialist", description="Miner that finds the distractors; see questions/miners.py.")
    pool: int | None = Field(
        None,
        ge=1,
        description="How many of the miner's best the distractors are drawn from. By default it is twice the "
        "options; for the exchangeable miner, whose sets are balanced as a whole, all of its K - 1.",
    )
    miner_settings: Mapping[str, Any] = Field(
        default_factory=dict, description="The miner's own settings; its defaults where none are given."
    )
    without_prediction: Literal["refuse", "leave_out"] = Field(
        "refuse", description="What is done about segments for which the specialist has no prediction."
    )
    text: str = Field("clean", description="Text protocol of the options; see questions/texts.py.")
    prompt: Literal["letters", "published"] = Field(
        "letters", description="Style of the prompt: letters is answered by 'B', published by 'B. cut onion'."
    )
    perspective: Perspective = Field(
        "first_person", description="How the published prompt speaks: 'you are the person', or of 'the person'."
    )
    prior_probability: float = Field(
        0.0,
        ge=0,
        le=1,
        description=f"How often the prompt tells the actions before, as a share; published: {PRIOR_PROBABILITY}.",
    )
    prior_source: Literal["annotations", "predictions"] = Field(
        "annotations",
        description="Where the actions before come from; predictions are the specialist's first choices, as they "
        "are known in use.",
    )


class ActionChoiceAfterPriorSettings(ActionChoiceSettings):
    """The same, for segments that have something before them."""

    prior_probability: float = Field(
        1.0, ge=0, le=1, description="How often the prompt tells the actions before, as a share."
    )


class ActionChoice(Task):
    """``hard_action_recognition``: which of K actions is it?

    K - 1 distractors are drawn from the miner's best (:attr:`ActionChoiceSettings.pool`) that the false-negative filter
    lets through. With the miner ``specialist`` they are what a specialist that has not seen the segment takes it for;
    ``random`` gives the easy questions to compare with.
    """

    settings_class = ActionChoiceSettings
    settings: ActionChoiceSettings

    def __init__(self, settings: ActionChoiceSettings, material: Material) -> None:
        super().__init__(settings, material)
        if settings.pool is not None and settings.pool < settings.options - 1:
            raise InputError(f"a pool of {settings.pool} is too small for {settings.options} options")
        if material.predictions is None and "specialist" in (settings.miner, self._prior_from):
            raise InputError(
                f"task '{settings.name}' needs out-of-fold predictions of a specialist", hint="give --predictions FILE"
            )
        self._texts = make_texts(settings.text, material.vocabulary, material.split, material.seed)

    def refusal(self, segment: Segment) -> str | None:
        pool = self._pools.get(segment.segment_id)
        if pool is None:
            return "no prediction"
        return None if len(pool) >= self.settings.options - 1 else "too few distractors"

    def converse(self, segment: Segment, rng: np.random.Generator) -> Conversation:
        pool = self._pools[segment.segment_id]
        places = np.sort(rng.permutation(len(pool))[: self.settings.options - 1])
        actions = [segment.action, *(pool[i] for i in places)]
        texts = self._texts.write(segment, actions)
        order = rng.permutation(len(actions))
        provenance = Provenance(miner=self.settings.miner, text_pool=self.settings.text, seed=self.material.seed)
        options = [Option(text=text, action=action) for text, action in zip(texts, actions, strict=True)]
        question = Question.of_segment(segment, QUESTION, options, order, provenance)
        priors = self._prior(segment) if rng.random() < self.settings.prior_probability else ()
        lettered = self.settings.prompt == "letters"
        return Conversation(
            prompt=multiple_choice_prompt(
                replace(question.asked, prior=priors), self.settings.prompt, perspective=self.settings.perspective
            ),
            answer=question.answer_letter if lettered else question.lettered_options[question.truth],
            provenance={
                "miner": self.settings.miner,
                "text": self.settings.text,
                "options": [list(option.action) for option in question.options if option.action],
                "prior_actions": len(priors),
            },
        )

    def _prior(self, segment: Segment) -> tuple[PriorAction, ...]:
        """What came before, as far as it is known."""
        pair = self.material.pairs.get(segment.segment_id)
        if pair is None or not all(self._is_told(earlier) for earlier in pair):
            return ()
        return prior_actions(segment, pair, self._words)

    def _is_told(self, earlier: Segment) -> bool:
        return self._prior_from == "annotations" or earlier.segment_id in (self.material.predictions or {})

    def _words(self, earlier: Segment) -> str:
        if self._prior_from == "annotations":
            return self.material.text_of(earlier, "label" if self.settings.text == "clean" else "narration")
        assert self.material.predictions is not None
        return self.material.vocabulary.action_name(self.material.predictions[earlier.segment_id].actions[0])

    @property
    def _prior_from(self) -> str:
        """Who tells the prior actions: "annotations" or "specialist"; the former where they are never told."""
        predicted = self.settings.prior_source == "predictions" and self.settings.prior_probability > 0
        return "specialist" if predicted else "annotations"

    @cached_property
    def _pools(self) -> dict[str, tuple[Action, ...]]:
        """The miner's best of each segment, by id; a segment without a prediction has none."""
        settings, material = self.settings, self.material
        segments = list(material.table)
        if settings.miner == "specialist":
            segments = self._predicted(segments)
        exchangeable = settings.miner == "exchangeable"
        size = settings.pool or (settings.options - 1 if exchangeable else POOL_FACTOR * settings.options)
        task = MiningTask(
            segments,
            material.classes,
            material.truth,
            size,
            material.seed,
            material.predictions if settings.miner == "specialist" else None,
            settings.miner_settings,
        )
        miner = make_miner(settings.miner, task)
        return {mined.segment_id: mined.actions for block in miner.blocks() for mined in miner.mine(block)}

    def _predicted(self, segments: list[Segment]) -> list[Segment]:
        predicted = [segment for segment in segments if segment.segment_id in (self.material.predictions or {})]
        missing = len(segments) - len(predicted)
        if missing and (not predicted or self.settings.without_prediction == "refuse"):
            first = next(s.segment_id for s in segments if s.segment_id not in (self.material.predictions or {}))
            raise InputError(
                f"the specialist has no prediction for {missing} of {len(segments)} segments, e.g. {first}",
                hint="give the predictions of all folds, or say 'without_prediction: leave_out' in the mixture",
            )
        return predicted


class ActionChoiceAfterPrior(ActionChoice):
    """``prior_actions``: the same choice, told what was done just before (published as ``temporal_cot_oracle``)."""

    settings_class = ActionChoiceAfterPriorSettings

    def refusal(self, segment: Segment) -> str | None:
        return super().refusal(segment) or (None if self._prior(segment) else "nothing close before")
