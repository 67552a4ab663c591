"""Attacks: ways of answering a multiple-choice question without looking at the video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from llavaction.base.progress import progress
from llavaction.questions.options import Floats, Ints, OptionTable

FOLDS = 5


@dataclass(frozen=True)
class Attack:
    """A blind strategy.

    Attributes:
        name: short name.
        note: what it does, in words for the report.
        scores: [options] of an :class:`OptionTable`; the best-scored option of each question is taken.
    """

    name: str
    note: str
    scores: Callable[[OptionTable], Floats]


def folds(table: OptionTable, count: int = FOLDS) -> Ints:
    """Cross-validation fold of each question, [questions]: whole videos, folds of about equal size.

    With fewer than ``count`` videos there is a fold per video; with a single one, questions are dealt out instead.
    """
    videos, sizes = np.unique(table.videos, return_counts=True)
    if len(videos) == 1:
        return np.arange(len(table.sizes)) % count
    load = np.zeros(min(count, len(videos)))
    fold_of = {}
    for i in np.argsort(-sizes, kind="stable"):
        lightest = int(np.argmin(load))
        fold_of[videos[i]] = lightest
        load[lightest] += sizes[i]
    return np.array([fold_of[video] for video in table.videos])


def centrality(table: OptionTable) -> Floats:
    """How much each option is like the others: shared verbs and nouns, and half the shared words, [options]."""
    return table.shared(table.verb) + table.shared(table.noun) + 0.5 * table.overlap()


def class_rate(table: OptionTable) -> Floats:
    """How often the class (or, without classes, the text) is right, per appearance, in the other folds, [options]."""
    return _rate_elsewhere(table, _labels(table))


def learnt(table: OptionTable) -> Floats:
    """Scores of a learner of words and classes of an option set, cross-validated by video, [options].

    Gradient-boosted trees over each option's features: how much it shares with the others, lengths, training frequency,
    its classes, how often these were right elsewhere (its own video never counts), and the out-of-fold score of a
    linear model over words and classes. Because the trees see scores that were made without the video at hand, they
    learn whether to follow a prior or to go against it.
    """
    fold = folds(table)
    features = _set_features(table)
    matrix = _word_matrix(table)
    scores = np.zeros(len(table))
    for held_out in progress(np.unique(fold), "learnt attack", total=int(fold.max()) + 1):
        test = (fold == held_out)[table.question]
        inside = _linear_out_of_fold(table, matrix, fold, held_out)
        rates = _rate_features(table, ~test)
        everything = np.column_stack([features, rates, inside, table.centred(inside)])
        model = HistGradientBoostingClassifier(
            max_iter=120,
            learning_rate=0.08,
            max_leaf_nodes=15,
            min_samples_leaf=40,
            early_stopping=False,
            random_state=0,
        )
        model.fit(everything[~test], table.right[~test])
        scores[test] = model.decision_function(everything[test])
    return scores


ATTACKS = (
    Attack(
        "position",
        "always the letter that is right most often",
        lambda table: _rate_elsewhere(table, table.position),
    ),
    Attack("longest option", "the option with the most characters", lambda table: table.of_texts(len)),
    Attack("shortest option", "the option with the fewest characters", lambda table: -table.of_texts(len)),
    Attack("most frequent in train", "the option text that occurs most often in training", lambda table: table.train),
    Attack(
        "least frequent in train", "the option text that occurs least often in training", lambda table: -table.train
    ),
    Attack("class prior", "the class that is right most often in other videos", class_rate),
    # finds benchmarks that balance classes over all videos
    Attack(
        "inverse class prior", "the class that is right least often in other videos", lambda table: -class_rate(table)
    ),
    Attack("centrality", "the option most like the others", centrality),
    Attack("outlier", "the option least like the others", lambda table: -centrality(table)),
    Attack("learnt", "boosted trees on words, classes and option sets, cross-validated by video", learnt),
)
"""All attacks; the learnt one is last and strongest."""


def _labels(table: OptionTable) -> Ints:
    return table.action if (table.action >= 0).any() else table.text


def _rate_elsewhere(table: OptionTable, labels: Ints) -> Floats:
    """For each option, how often its label is right per appearance in the other folds (smoothed), [options]."""
    fold = folds(table)[table.question]
    rates = np.zeros(len(table))
    for held_out in np.unique(fold):
        in_fold = fold == held_out
        rates[in_fold] = _smoothed(*_counts(labels, table.right, ~in_fold), labels, table)[in_fold]
    return rates


def _counts(labels: Ints, right: NDArray[np.bool_], rows: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    size = int(labels.max()) + 2
    answers = np.bincount(labels[rows & right] + 1, minlength=size).astype(float)
    return answers, np.bincount(labels[rows] + 1, minlength=size).astype(float)


def _smoothed(answers: Floats, appearances: Floats, labels: Ints, table: OptionTable) -> Floats:
    mean_size = float(table.sizes.mean())
    return np.asarray((answers[labels + 1] + 1.0) / (appearances[labels + 1] + mean_size))


def _rate_features(table: OptionTable, train: NDArray[np.bool_]) -> Floats:
    """Counts of each option's labels among the training rows of other videos, [options, features]."""
    videos = table.videos[table.question]
    columns = []
    for labels in (_labels(table), table.verb, table.noun):
        size = int(labels.max()) + 2
        keys = videos * size + labels + 1
        answers, appearances = _counts(labels, table.right, train)
        _, inverse = np.unique(keys, return_inverse=True)
        own_answers = np.bincount(inverse, weights=train & table.right)[inverse]
        own_appearances = np.bincount(inverse, weights=train)[inverse]
        right, shown = answers[labels + 1] - own_answers, appearances[labels + 1] - own_appearances
        rate = np.log((right + 1.0) / (shown + table.sizes.mean()))
        columns += [np.log1p(right), np.log1p(shown), rate, table.centred(rate)]
    return np.column_stack(columns)


def _set_features(table: OptionTable) -> Floats:
    """What an option looks like beside the others of its question, [options, features]."""
    verbs, nouns, words = table.shared(table.verb), table.shared(table.noun), table.overlap()
    length, count = table.of_texts(len), table.of_texts(lambda text: len(text.split()))
    train = np.log1p(table.train)
    relative = [table.centred(values) for values in (verbs, nouns, words, length, count, train)]
    per_set = [np.add.reduceat(values, table.starts)[table.question] for values in (verbs, nouns, words)]
    labels = [table.position, table.verb, table.noun]
    return np.column_stack([verbs, nouns, words, length, count, train, *relative, *per_set, *labels]).astype(float)


def _word_matrix(table: OptionTable) -> sparse.csr_matrix:
    """Indicators of words, word pairs and classes, [options, indicators]."""
    words = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\S+").fit_transform(table.texts)[
        table.text
    ]
    parts = [words.astype(float)]
    for labels in (table.verb, table.noun, table.action):
        rows = np.flatnonzero(labels >= 0)
        shape = (len(table), int(labels.max()) + 1)
        if len(rows):
            parts.append(sparse.csr_matrix((np.ones(len(rows)), (rows, labels[rows])), shape=shape))
    return sparse.hstack(parts).tocsr()


def _linear_out_of_fold(table: OptionTable, matrix: sparse.csr_matrix, fold: Ints, held_out: int) -> Floats:
    """Scores of a logistic regression that never saw the fold it scores, [options]; trained without ``held_out``."""
    scores = np.zeros(len(table))
    for inner in np.unique(fold):
        train = ((fold != held_out) & (fold != inner))[table.question]
        if not train.any():
            continue
        model = LogisticRegression(C=0.3, max_iter=100).fit(matrix[train], table.right[train])
        in_fold = (fold == inner)[table.question]
        scores[in_fold] = model.decision_function(matrix[in_fold])
    return scores
