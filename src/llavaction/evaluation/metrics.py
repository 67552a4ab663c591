"""Numbers about one run: accuracy with intervals, position bias, per-class tables, calibration, confusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llavaction.backends.letter_mass import letter_mass_summary
from llavaction.base.calibration import calibration
from llavaction.base.collection import no_collection
from llavaction.base.errors import InputError
from llavaction.base.statistics import ClusteredBootstrap, chance_level, wilson
from llavaction.evaluation.names import ActionNames, OptionNames
from llavaction.evaluation.official.scorers import official_scores
from llavaction.evaluation.position import position_bias
from llavaction.evaluation.predictions import Prediction, probabilities
from llavaction.questions.schema import LETTERS, Benchmark, Question

RESAMPLES = 2000
TABLE_BOOTSTRAP_FROM = 20
"""Per-class rows with fewer questions get Wilson's interval: their videos are too few to draw from."""
CONFUSIONS = 50

Pairs = Sequence[tuple[Question, Prediction]]


@no_collection()
def compute_metrics(
    benchmark: Benchmark,
    predictions: Iterable[Prediction],
    vocabulary: ActionNames | None = None,
    *,
    groups: Mapping[str, Collection[str]] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything ``metrics.json`` holds; shares between 0 and 1, rounded to six decimals.

    Unparsed and failed questions count as wrong in ``accuracy`` and not at all in ``accuracy_of_answered`` (None where
    no question was answered). ``counts.with_note`` are clips that were not complete, ``counts.stand_ins`` the frames
    that stood in for missing ones, ``counts.captions`` the captions written before answers, if any. Questions of the
    benchmark without a prediction (a run with a limit) are left out and counted under ``counts.not_asked``. Those whose
    answer is hidden are counted under ``counts.hidden`` and nowhere else.

    Args:
        benchmark: the questions.
        predictions: the run's predictions, in any order.
        vocabulary: names of classes; the benchmark's own by default, see :func:`names_for`.
        groups: name to question ids, for a breakdown ("tail verbs", "unseen participants"), the benchmark's own by
            default; ids without a prediction are ignored.
        seed: of the bootstrap.

    Raises:
        InputError: no predictions, a question predicted twice, or predictions made on another benchmark.
    """
    matched = match(benchmark, predictions)
    pairs = [pair for pair in matched if pair[0].answer is not None]
    if not pairs:
        return _without_answers(benchmark, matched)
    names = names_for(benchmark, vocabulary)
    groups = benchmark.facts.groups if groups is None else groups
    one_label = benchmark.facts.one_label  # neither verbs nor nouns: the action is all there is
    right = np.array([prediction.correct for _, prediction in pairs])
    bootstrap = ClusteredBootstrap([question.clip.video_id for question, _ in pairs], n=RESAMPLES, seed=seed)
    answered = np.array([prediction.choice is not None for _, prediction in pairs])
    status = Counter(prediction.parse_status for _, prediction in pairs)
    captions = [p.text for _, p in pairs if p.parse_status == "scored" and p.text is not None]
    official = official_scores(benchmark, pairs)
    return {
        **_asked(benchmark, pairs),
        "accuracy": bootstrap.interval(right).rounded(),
        "accuracy_of_answered": _share(bootstrap, right, answered),
        **_official(pairs, bootstrap),
        **({"official_scores": official} if official else {}),
        "chance": round(chance_level([len(question.options) for question, _ in pairs]), 6),
        "counts": {
            "questions": len(pairs),
            "correct": int(right.sum()),
            "answered": status["scored"] + status["parsed"],
            "unparsed": status["unparsed"],
            "failed": status["failed"],
            "with_note": sum(prediction.note is not None for _, prediction in pairs),
            "stand_ins": sum(len(prediction.stand_ins) for _, prediction in pairs),
            "not_asked": len(benchmark.questions) - len(matched),
            **({"hidden": len(matched) - len(pairs)} if len(matched) > len(pairs) else {}),
            **({"captions": len(captions), "empty_captions": captions.count("")} if captions else {}),
        },
        "position": _position(pairs),
        "position_bias": _position_bias(pairs, seed),
        "parts": {
            "verb": None if one_label else _part(pairs, bootstrap, 0),
            "noun": None if one_label else _part(pairs, bootstrap, 1),
        },
        "groups": {
            name: _share(bootstrap, right, np.array([question.question_id in ids for question, _ in pairs]))
            for name, ids in ((name, frozenset(ids)) for name, ids in groups.items())
        },
        "margin": _margin(pairs),
        "letter_mass": letter_mass_summary(prediction.letter_mass for _, prediction in pairs),
        "calibration": _calibration(pairs, seed),
        "verbs": [] if one_label else _table(pairs, bootstrap, lambda action: action[:1], names.verb_name),
        "nouns": [] if one_label else _table(pairs, bootstrap, lambda action: action[1:], names.noun_name),
        "actions": _table(pairs, bootstrap, lambda action: action, lambda *action: names.action_name(action)),
        "confusions": {
            "verbs": [] if one_label else _top(confusion(pairs, 0), names.verb_name),
            "nouns": [] if one_label else _top(confusion(pairs, 1), names.noun_name),
            "actions": _top(confusion(pairs, 0), names.verb_name) if one_label else [],
        },
    }


def _asked(benchmark: Benchmark, pairs: Pairs) -> dict[str, Any]:
    """What was asked, and how choices were made."""
    card = benchmark.card
    return {
        "schema_version": 1,
        "benchmark": {"name": card.name, "version": card.version, "split": card.split, "miner": card.miner}
        | {"text": card.text, "options": card.options},
        "decision_rules": sorted({prediction.decision_rule for _, prediction in pairs}),
    }


def _without_answers(benchmark: Benchmark, pairs: Pairs) -> dict[str, Any]:
    """All that is known of a run on questions whose answers are hidden."""
    status = Counter(prediction.parse_status for _, prediction in pairs)
    counts = {
        "questions": 0,
        "hidden": len(pairs),
        "answered": status["scored"] + status["parsed"],
        "unparsed": status["unparsed"],
        "failed": status["failed"],
        "with_note": sum(prediction.note is not None for _, prediction in pairs),
        "stand_ins": sum(len(prediction.stand_ins) for _, prediction in pairs),
        "not_asked": len(benchmark.questions) - len(pairs),
    }
    return _asked(benchmark, pairs) | {"accuracy": None, "accuracy_of_answered": None, "counts": counts}


def names_for(benchmark: Benchmark, vocabulary: ActionNames | None = None) -> ActionNames:
    """What names the classes: the vocabulary given, else the benchmark's facts, else the words of the options."""
    if vocabulary is not None:
        return vocabulary
    return benchmark.facts if benchmark.facts.classes else OptionNames(benchmark.questions)


def match(benchmark: Benchmark, predictions: Iterable[Prediction]) -> list[tuple[Question, Prediction]]:
    """Questions with their predictions, in the benchmark's order.

    Raises:
        InputError: no predictions, a question predicted twice, or predictions made on another benchmark.
    """
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.question_id in by_id:
            raise InputError(f"question '{prediction.question_id}' has two predictions")
        by_id[prediction.question_id] = prediction
    if not by_id:
        raise InputError("there are no predictions to measure")
    pairs = [
        (question, by_id[question.question_id]) for question in benchmark.questions if question.question_id in by_id
    ]
    hint = "give the benchmark folder that the run was made on (see its config.yaml)"
    if len(pairs) < len(by_id):
        strange = sorted(by_id.keys() - {question.question_id for question, _ in pairs})
        raise InputError(
            f"{len(strange)} predictions are for questions that benchmark '{benchmark.card.name}' does not hold, "
            f"e.g. '{strange[0]}'",
            hint=hint,
        )
    for question, prediction in pairs:
        differs = prediction.answer != question.answer or (prediction.choice or 0) >= len(question.options)
        if differs or (prediction.scores and len(prediction.scores) != len(question.options)):
            raise InputError(
                f"question '{question.question_id}' has other options in benchmark '{benchmark.card.name}' "
                "than in the run",
                hint=hint,
            )
    return pairs


def confusion(pairs: Pairs, part: int) -> Counter[tuple[int, int]]:
    """How often the class of the right option was answered with the class of the chosen one, (true, chosen) to count.

    Args:
        pairs: questions with predictions; those without a choice or without classes do not count.
        part: 0 for verbs, 1 for nouns.
    """
    counts: Counter[tuple[int, int]] = Counter()
    for question, prediction in pairs:
        if prediction.choice is None:
            continue
        true, predicted = question.right_option.action, question.options[prediction.choice].action
        if true is not None and predicted is not None:
            counts[true[part], predicted[part]] += 1
    return counts


def _share(
    bootstrap: ClusteredBootstrap, right: NDArray[np.bool_ | np.float64], members: NDArray[np.bool_]
) -> dict[str, Any] | None:
    """A share with its interval; None for an empty group."""
    return bootstrap.interval(right, members).rounded() if members.any() else None


def _official(pairs: Pairs, bootstrap: ClusteredBootstrap) -> dict[str, Any]:
    """What a public evaluator would report, draws at their expected value, where one read the answers."""
    if all(prediction.credit is None for _, prediction in pairs):
        return {}
    credits = [prediction.counted for _, prediction in pairs]
    counts = np.array([value is not None for value in credits])
    found = _share(bootstrap, np.array([value or 0.0 for value in credits]), counts)
    drawn = sum(value is not None and 0 < value < 1 for value in credits)
    return {"official": {"accuracy": found, "drawn": drawn, "left_out": int((~counts).sum())}}


def _position(pairs: Pairs) -> list[dict[str, Any]]:
    """Per option letter: how often it is the answer, how often it is chosen, accuracy where it is the answer."""
    answers = Counter(question.answer for question, _ in pairs)
    choices = Counter(prediction.choice for _, prediction in pairs if prediction.choice is not None)
    right = Counter(question.answer for question, prediction in pairs if prediction.correct)
    rows = []
    for i in range(max(len(question.options) for question, _ in pairs)):
        row: dict[str, Any] = {"letter": LETTERS[i], "answers": answers[i], "choices": choices[i], "accuracy": None}
        if answers[i]:
            row |= _wilson_row(right[i], answers[i])
        rows.append(row)
    return rows


def _position_bias(pairs: Pairs, seed: int) -> dict[str, Any] | None:
    found = position_bias(
        [question.truth for question, _ in pairs],
        [prediction.choice for _, prediction in pairs],
        [len(question.options) for question, _ in pairs],
        [question.clip.video_id for question, _ in pairs],
        seed=seed,
    )
    return None if found is None else found.as_mapping()


def _part(pairs: Pairs, bootstrap: ClusteredBootstrap, part: int) -> dict[str, Any] | None:
    """How often the choice has the right verb (or noun), whatever else it says; None without classes."""
    right, chance, members = [], [], []
    for question, prediction in pairs:
        true = question.right_option.action
        same = [
            true is not None and option.action is not None and option.action[part] == true[part]
            for option in question.options
        ]
        members.append(true is not None)
        right.append(prediction.choice is not None and same[prediction.choice])
        chance.append(sum(same) / len(same))
    member = np.array(members)
    share = _share(bootstrap, np.array(right), member)
    return None if share is None else share | {"chance": round(float(np.array(chance)[member].mean()), 6)}


def _margin(pairs: Pairs) -> dict[str, float | None]:
    """Mean distance in nats between the chosen option's score and the next best."""

    def mean(margins: list[float]) -> float | None:
        return round(float(np.mean(margins)), 6) if margins else None

    rows = [(prediction.correct, prediction.margin) for _, prediction in pairs if prediction.margin is not None]
    return {
        "all": mean([margin for _, margin in rows]),
        "right": mean([margin for correct, margin in rows if correct]),
        "wrong": mean([margin for correct, margin in rows if not correct]),
    }


def _calibration(pairs: Pairs, seed: int) -> dict[str, Any] | None:
    """See :func:`llavaction.base.calibration.calibration`; "gap" is mean confidence minus accuracy, over 0 where the
    model is too sure, with its interval by video (None from a single one).

    Scores become probabilities by a softmax over the question's options. None where nothing was scored or scores cannot
    be log-probabilities (some above zero).
    """
    rows = [(probabilities(prediction), prediction) for _, prediction in pairs if prediction.scores]
    if not rows or any(max(prediction.scores) > 1e-6 for _, prediction in rows):
        return None
    sure, right = [max(shares) for shares, _ in rows], [prediction.correct for _, prediction in rows]
    found = calibration(sure, right)
    if found is None:
        return None
    gaps = np.array(sure) - np.array(right)
    ends = ClusteredBootstrap([item.video_id for _, item in rows], n=RESAMPLES, seed=seed).mean_bounds(gaps)
    low, high = (None, None) if ends is None else (round(end, 6) for end in ends)
    return found | {"gap": {"value": round(float(gaps.mean()), 6), "low": low, "high": high}}


def _wilson_row(successes: int, n: int) -> dict[str, Any]:
    low, high = wilson(successes, n)
    return {"accuracy": round(successes / n, 6), "low": round(low, 6), "high": round(high, 6)}


def _table(
    pairs: Pairs, bootstrap: ClusteredBootstrap, part: Callable[[Any], tuple[int, ...]], name: Callable[..., str]
) -> list[dict[str, Any]]:
    """One row per class of the right option, or ``part`` of it: n, accuracy, interval; the most frequent first."""
    members: dict[tuple[int, ...], list[int]] = {}
    for i, (question, _) in enumerate(pairs):
        action = question.right_option.action
        if action is not None:
            members.setdefault(part(action), []).append(i)
    right = np.array([prediction.correct for _, prediction in pairs])
    ordered = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
    groups = {key: np.array(indices) for key, indices in ordered if len(indices) >= TABLE_BOOTSTRAP_FROM}
    intervals = dict(zip(groups, bootstrap.group_intervals(right, list(groups.values())), strict=True))
    rows = []
    for key, indices in ordered:
        correct = int(right[indices].sum())
        row = _wilson_row(correct, len(indices))
        if key in intervals:
            row |= {"low": round(intervals[key].low, 6), "high": round(intervals[key].high, 6)}
        rows.append({"class": list(key), "name": name(*key), "n": len(indices), "correct": correct} | row)
    return rows


def _top(counts: Counter[tuple[int, int]], name: Any) -> list[dict[str, Any]]:
    """The most frequent confusions of different classes, and how many of the true class they are."""
    totals: Counter[int] = Counter()
    for (true, _), n in counts.items():
        totals[true] += n
    wrong = sorted((item for item in counts.items() if item[0][0] != item[0][1]), key=lambda item: (-item[1], item[0]))
    return [
        {"true": name(true), "chosen": name(predicted), "classes": [true, predicted], "n": n, "of": totals[true]}
        for (true, predicted), n in wrong[:CONFUSIONS]
    ]
