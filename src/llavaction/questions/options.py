"""All options of a benchmark side by side, as arrays, for attacks that look at nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llavaction.questions.schema import Benchmark

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class OptionTable:
    """One row per option, the options of a question one after the other.

    Attributes:
        question: index of the question, [options].
        position: place among the question's options, [options].
        right: whether it is the right one, [options].
        text: code of its text in ``texts``, [options].
        texts: the distinct texts.
        verb, noun, action: codes of its classes, [options]; -1 where it has none.
        train: how often its text occurs in training, [options].
        videos: code of the video of each question, [questions].
        sizes: number of options of each question, [questions].
    """

    question: Ints
    position: Ints
    right: NDArray[np.bool_]
    text: Ints
    texts: tuple[str, ...]
    verb: Ints
    noun: Ints
    action: Ints
    train: Floats
    videos: Ints
    sizes: Ints

    @classmethod
    def of(cls, benchmark: Benchmark) -> OptionTable:
        """Lay out the options of a benchmark."""
        questions = benchmark.questions
        options = [option for question in questions for option in question.options]
        sizes = np.array([len(question.options) for question in questions])
        texts = sorted({option.text for option in options})
        code = {text: i for i, text in enumerate(texts)}
        actions = [option.action for option in options]
        return cls(
            question=np.repeat(np.arange(len(questions)), sizes),
            position=np.concatenate([np.arange(size) for size in sizes]),
            right=np.concatenate([np.arange(len(q.options)) == q.answer for q in questions]),
            text=np.array([code[option.text] for option in options]),
            texts=tuple(texts),
            verb=np.array([-1 if action is None else action[0] for action in actions]),
            noun=np.array([-1 if action is None else action[1] for action in actions]),
            action=codes([None if action is None else action for action in actions]),
            train=np.array([benchmark.facts.train_texts.get(option.text, 0) for option in options], dtype=float),
            videos=codes([question.clip.video_id for question in questions]),
            sizes=sizes,
        )

    def __len__(self) -> int:
        return len(self.question)

    @property
    def starts(self) -> Ints:
        """Row of the first option of each question."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    def choose(self, scores: Floats) -> Floats:
        """Credit of each question [questions] for taking its best-scored option; ties share it (1/2 for two, ...)."""
        best = np.maximum.reduceat(scores, self.starts)[self.question] == scores
        return np.add.reduceat((best & self.right).astype(float), self.starts) / np.add.reduceat(
            best.astype(float), self.starts
        )

    def centred(self, values: Floats) -> Floats:
        """Values minus the mean over the question's options, [options]."""
        means = np.add.reduceat(values, self.starts) / self.sizes
        return values - means[self.question]

    def shared(self, labels: Ints) -> Floats:
        """With how many other options of its question each option shares a label (-1 never counts), [options]."""
        keys = self.question * (labels.max() + 2) + labels + 1
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        return np.where(labels < 0, 0, counts[inverse] - 1).astype(float)

    def overlap(self) -> Floats:
        """Mean share of words (Jaccard) each option has in common with the others of its question, [options]."""
        words = [frozenset(text.lower().split()) for text in self.texts]
        result = np.zeros(len(self))
        for start, size in zip(self.starts, self.sizes, strict=True):
            sets = [words[code] for code in self.text[start : start + size]]
            for i, mine in enumerate(sets):
                likeness = [len(mine & other) / len(mine | other) for j, other in enumerate(sets) if j != i]
                result[start + i] = sum(likeness) / len(likeness)
        return result

    def of_texts(self, measure: Callable[[str], float]) -> Floats:
        """A number for each option's text, [options]."""
        return np.array([measure(text) for text in self.texts], dtype=float)[self.text]


def codes(values: Sequence[object]) -> Ints:
    """Whole numbers from 0 standing for equal values, in order of first appearance; -1 for None."""
    table: dict[object, int] = {}
    return np.array([-1 if value is None else table.setdefault(value, len(table)) for value in values], dtype=np.int64)
