"""The questions a run got most wrong and those it was surest of, with a strip of frames to look at."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llavaction.base.seeding import hashed_seed
from llavaction.evaluation.predictions import Prediction, probabilities
from llavaction.questions.schema import LETTERS, Question
from llavaction.video.decoded import Library, decode

THUMBNAIL = (176, 132)
"""Largest width and height of one frame of a strip, pixels."""
GAP = 3
QUALITY = 72


@dataclass(frozen=True)
class Strip:
    """Frames of a clip side by side.

    Attributes:
        source: the JPEG as a data URI; None where there is none.
        remark: why there is none, or what is wrong with it.
        width: in pixels.
        height: in pixels.
    """

    source: str | None = None
    remark: str | None = None
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class OptionView:
    """One option as the report shows it; ``share`` is its probability, None where nothing was scored."""

    letter: str
    text: str
    share: float | None
    right: bool
    chosen: bool


@dataclass(frozen=True)
class Example:
    """An answered question as the report shows it; ``excess`` is how far a wrong choice is ahead, in nats."""

    question: Question
    prediction: Prediction
    options: Sequence[OptionView]
    excess: float | None
    strip: Strip


def excess(prediction: Prediction) -> float | None:
    """Score of the choice minus score of the right option, nats; None where nothing was scored."""
    if not prediction.scores or prediction.choice is None or prediction.answer is None:
        return None
    return prediction.scores[prediction.choice] - prediction.scores[prediction.answer]


def worst(pairs: Sequence[tuple[Question, Prediction]], count: int) -> list[tuple[Question, Prediction]]:
    """The wrong choices, the surest first; those without scores come after them, drawn by the hash of their id."""
    wrong = [pair for pair in pairs if pair[1].choice is not None and not pair[1].correct]
    return _furthest(wrong, excess, "failure", count)


def surest(pairs: Sequence[tuple[Question, Prediction]], count: int) -> list[tuple[Question, Prediction]]:
    """Right choices to hold beside the failures, the surest first; those without scores by the hash of their id."""
    return _furthest([pair for pair in pairs if pair[1].correct], lambda answer: answer.margin, "success", count)


def _furthest(
    pairs: list[tuple[Question, Prediction]], lead: Callable[[Prediction], float | None], salt: str, count: int
) -> list[tuple[Question, Prediction]]:
    def order(pair: tuple[Question, Prediction]) -> tuple[float, int]:
        nats = lead(pair[1])
        return (1.0 if nats is None else -nats, hashed_seed(salt, pair[0].question_id))

    return sorted(pairs, key=order)[:count]


def view(question: Question, prediction: Prediction, strip: Strip) -> Example:
    """What the report shows of a question."""
    shares = probabilities(prediction)
    options = [
        OptionView(
            LETTERS[i], option.text, shares[i] if shares else None, i == prediction.answer, i == prediction.choice
        )
        for i, option in enumerate(question.options)
    ]
    return Example(question, prediction, options, excess(prediction), strip)


def film_strip(library: Library | None, question: Question, count: int) -> Strip:
    """Decode a few frames of a question's clip; whatever goes wrong is said in the strip's remark."""
    if library is None:
        return Strip(remark="The report was made without the videos.")
    clip = decode(library, question.clip, count, question.question_id)
    if clip.error is not None:
        return Strip(remark=clip.error)
    jpeg, width, height = _jpeg(clip.frames)
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
    return Strip(source, clip.note, width, height)


def _jpeg(images: NDArray[np.uint8]) -> tuple[bytes, int, int]:
    """The frames side by side as JPEG, and its width and height."""
    height, width = images.shape[1:3]
    scale = min(THUMBNAIL[0] / width, THUMBNAIL[1] / height, 1.0)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    sheet = Image.new("RGB", (len(images) * (size[0] + GAP) - GAP, size[1]), (128, 128, 128))
    for i, image in enumerate(images):
        thumbnail = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        sheet.paste(thumbnail, (i * (size[0] + GAP), 0))
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue(), sheet.width, sheet.height
