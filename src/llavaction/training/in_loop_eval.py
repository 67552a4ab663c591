"""Multiple-choice accuracy of a model in training: option letters, one forward pass a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from llavaction.models.checkpoint import Checkpoint
from llavaction.models.families.base import DecodedClip, ModelInputs, family_of, question
from llavaction.models.families.chat import Chat
from llavaction.questions.prompts import PromptStyle, multiple_choice_prompt
from llavaction.questions.schema import Question
from llavaction.video.library import VideoLibrary


class Tally(NamedTuple):
    """Outcomes: right answers, and questions that could not be asked, among all."""

    right: int
    failed: int
    asked: int


class InLoopEvaluation:
    """Asks questions of the model as it is.

    Args:
        checkpoint: of the model.
        core: the model.
        questions: what to ask.
        library: their videos.
        frames: frames per clip.
        prompt: how a question is put.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        core: Any,
        questions: Sequence[Question],
        library: VideoLibrary,
        *,
        frames: int,
        prompt: PromptStyle,
    ) -> None:
        chat = Chat(checkpoint)
        self._family, self._letters = family_of(checkpoint, chat, core), chat.letter_tokens()
        self.questions, self._library = questions, library
        self._frames, self._prompt = frames, prompt

    def __call__(self, model: Any, rank: int = 0, world: int = 1) -> Tally:
        """Ask every ``world``-th question from number ``rank`` on; one whose video cannot be read counts as wrong."""
        answers = self.answers(model, rank, world)
        return Tally(sum(map(bool, answers)), answers.count(None), len(answers))

    def answers(self, model: Any, rank: int = 0, world: int = 1) -> list[bool | None]:
        """Whether each of the questions is answered rightly; None where its video cannot be read."""
        verdicts: list[bool | None] = []
        training = model.training
        model.eval()
        for item in self.questions[rank::world]:
            inputs = self._inputs(item)
            if inputs is None:
                verdicts.append(None)
                continue
            batch = {name: value.to(model.device) for name, value in self._family.batch([inputs]).items()}
            with torch.no_grad():
                logits = model(**batch, logits_to_keep=1).logits[0, -1]
            letters = list(self._letters.ids[: len(item.options)])
            verdicts.append(int(logits[letters].argmax()) == item.answer)
        model.train(training)
        return verdicts

    def _inputs(self, item: Question) -> ModelInputs | None:
        try:
            frames = self._library.read(item.clip, self._frames, segment_id=item.question_id)
        except Exception:  # a decoder may raise anything on a damaged file
            return None
        if not len(frames.images):
            return None
        times = np.maximum(np.asarray(frames.times, dtype=np.float64) - item.clip.start, 0.0)
        text = multiple_choice_prompt(item, self._prompt, seen=(item.clip.duration, len(frames.images)))
        clip = DecodedClip(frames.images, times, item.clip.duration)
        return self._family.inputs(question(text, with_clip=True), clip).followed_by(self._letters.lead)


def spread(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """``limit`` questions at even distances."""
    if limit is None or limit >= len(questions):
        return list(questions)
    return [questions[round(place)] for place in np.linspace(0, len(questions) - 1, limit)]
