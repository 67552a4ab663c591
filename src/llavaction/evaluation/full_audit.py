"""How good a run's number is: the same questions again without clip, with one frame, out of order, in other orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from llavaction.backends.asking import frames_wanted
from llavaction.backends.base import Backend
from llavaction.base.corrections import holm
from llavaction.base.positions import position_test
from llavaction.base.statistics import ClusteredBootstrap, chance_level, paired_comparison
from llavaction.evaluation.conditions import TITLES, Condition, of_clips, of_orders, orders_of, turn_of
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.meaning import of_condition, of_orders_text, of_ordinary
from llavaction.evaluation.predictions import Prediction
from llavaction.evaluation.runner import RunResult, asked_questions
from llavaction.questions.asked import LETTERS
from llavaction.questions.schema import Benchmark, Question
from llavaction.runs.folder import RunFolder
from llavaction.video.decoded import Library

Row = dict[str, Any]


def full_audit(
    result: RunResult,
    config: RunConfig,
    benchmark: Benchmark,
    backend: Backend,
    library: Library | None,
    *,
    retry_failed: bool = False,
) -> RunResult:
    """Ask a finished run's questions again under each condition; its metrics get the table as ``audit``.

    Each condition is a run of its own in ``audit/`` of the run's folder, which goes on where it was interrupted. The
    table holds, for each: the accuracy of those that could be asked with and without the condition, the paired
    difference to the ordinary run, its p-value by video, the p-value that holds for all conditions together (Holm), how
    often the choice is the same, and what that means in words.

    Args:
        result: the ordinary run, complete.
        config, benchmark, backend, library, retry_failed: what it was made with.

    Returns:
        The result with the table in its metrics.

    Raises:
        InputError: as :func:`llavaction.evaluation.runner.run`.
    """
    questions = asked_questions(benchmark, config.limit)
    frames = frames_wanted(backend, config.frames, library)
    on_clips, left_out = of_clips(config, questions, backend, library, frames)
    answers = {one.name: one.run(benchmark, result.folder, retry_failed) for one in on_clips}
    in_orders = of_orders(config, questions, backend, library)
    order_answers = [(one, one.run(benchmark, result.folder, retry_failed)) for one in in_orders]
    found = audit_table(questions, result.predictions, answers, order_answers, left_out, config.seed)
    metrics = {**result.metrics, "audit": found}
    with RunFolder(result.folder) as home:
        home.complete(metrics)
    return replace(result, metrics=metrics)


def audit_table(
    questions: Sequence[Question],
    ordinary: Sequence[Prediction],
    answers: Mapping[str, Sequence[Prediction]],
    order_answers: Sequence[tuple[Condition, Sequence[Prediction]]],
    left_out: Mapping[str, str],
    seed: int = 0,
) -> Row:
    """The table of a full audit.

    Args:
        questions: what was asked, as stored.
        ordinary: the ordinary run's predictions, in that order.
        answers: of each condition on the clip, in that order.
        order_answers: of each other order of the options, with the questions that were asked in it.
        left_out: why other conditions were not tried.
        seed: of the draws.

    Returns:
        ``ordinary`` (accuracy, chance, meaning), ``conditions`` (a row each), ``orders`` (see :func:`_orders`) and
        ``left_out``.
    """
    chance = chance_level([len(question.options) for question in questions])
    videos = [question.clip.video_id for question in questions]
    right = [prediction.correct for prediction in ordinary]
    accuracy = ClusteredBootstrap(videos, seed=seed).interval(right).rounded()
    rows = [_row(name, ordinary, answers[name], seed) for name in TITLES if name in answers]
    compared = [row for row in rows if row["difference"] is not None]
    for row, p in zip(compared, holm([row["p"] for row in compared]), strict=True):
        row["p_holm"] = round(p, 6)
    for row in rows:
        row["meaning"] = of_condition(row, chance)
    orders = _orders(questions, ordinary, order_answers, seed)
    return {
        "schema_version": 1,
        "ordinary": {"accuracy": accuracy, "chance": round(chance, 6), "meaning": of_ordinary(accuracy, chance)},
        "conditions": rows,
        "orders": orders | {"meaning": of_orders_text(orders)} if orders else None,
        "left_out": dict(left_out),
    }


def _row(name: str, ordinary: Sequence[Prediction], altered: Sequence[Prediction], seed: int) -> Row:
    """One condition beside the ordinary run, on the questions that could be asked in both."""
    pairs = [
        (one, other)
        for one, other in zip(ordinary, altered, strict=True)
        if "failed" not in (one.parse_status, other.parse_status)
    ]
    row: Row = {"name": name, "title": TITLES[name], "n": len(pairs), "accuracy": None, "difference": None}
    row |= {"p": None, "p_holm": None, "same_choice": None}
    if not pairs:
        return row
    videos = [one.video_id for one, _ in pairs]
    before, after = [one.correct for one, _ in pairs], [other.correct for _, other in pairs]
    compared = paired_comparison(before, after, videos, seed=seed)
    ends = {end: None if (value := getattr(compared, end)) is None else round(value, 6) for end in ("low", "high")}
    return row | {
        "accuracy": ClusteredBootstrap(videos, seed=seed).interval(after).rounded(),
        "difference": {"value": round(compared.difference, 6), **ends},
        "p": round(compared.p_permutation, 6),
        "same_choice": round(float(np.mean([one.choice == other.choice for one, other in pairs])), 6),
    }


def _orders(
    questions: Sequence[Question],
    ordinary: Sequence[Prediction],
    order_answers: Sequence[tuple[Condition, Sequence[Prediction]]],
    seed: int,
) -> Row | None:
    """What other orders of the options change; None where no question has a choice in all of its orders.

    Returns:
        ``questions`` and ``orders`` that count; ``accuracy`` of each order; ``consistency``, the share of questions of
        which the same option is chosen in all orders, with its interval; ``agreement``, the share of choices in other
        orders that are those of the stored one; ``places``, over all orders, how often each letter is chosen; and
        ``p_place``, see :func:`llavaction.base.positions.position_test`, None where no question was asked in all
        orders of its options.
    """
    chosen: dict[str, dict[int, int]] = {
        question.question_id: {0: prediction.choice}
        for question, prediction in zip(questions, ordinary, strict=True)
        if prediction.choice is not None
    }
    accuracy = [float(np.mean([prediction.correct for prediction in ordinary]))]
    for order, (_, predictions) in enumerate(order_answers, start=1):
        accuracy.append(float(np.mean([prediction.correct for prediction in predictions])))
        for prediction in predictions:
            if prediction.choice is not None and prediction.question_id in chosen:
                chosen[prediction.question_id][order] = prediction.choice
    whole = [question for question in questions if len(chosen.get(question.question_id, ())) == orders_of(question)]
    if not order_answers or not whole:
        return None
    videos = [question.clip.video_id for question in whole]
    options = [_options_chosen(question, chosen[question.question_id]) for question in whole]
    same = [len(set(row)) == 1 for row in options]
    agreement = [float(np.mean([option == row[0] for option in row[1:]])) for row in options]
    cycles = [question for question in whole if orders_of(question) == len(question.options)]
    places = [[chosen[q.question_id][order] for order in range(orders_of(q))] for q in cycles]
    counts = np.bincount([place for q in cycles or whole for place in chosen[q.question_id].values()])
    return {
        "questions": len(whole),
        "orders": len(order_answers) + 1,
        "accuracy": [round(value, 6) for value in accuracy],
        "consistency": ClusteredBootstrap(videos, seed=seed).interval(same).rounded(),
        "agreement": round(float(np.mean(agreement)), 6),
        "chance_of_agreement": round(chance_level([len(question.options) for question in whole]), 6),
        "places": {LETTERS[place]: int(count) for place, count in enumerate(counts)},
        "p_place": round(position_test(places, [q.clip.video_id for q in cycles], seed=seed), 6) if cycles else None,
    }


def _options_chosen(question: Question, places: Mapping[int, int]) -> list[int]:
    """The chosen option in each order, as an index of the stored order."""
    count = len(question.options)
    return [(places[order] + turn_of(question, order)) % count for order in range(len(places))]
