"""Official metrics that are no plain accuracy: means over tasks, groups of four, pairs that are right together.

All are shares between 0 and 1, as everywhere in ``metrics.json``; papers print them times 100.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from llavaction.base.errors import InputError
from llavaction.evaluation.predictions import Prediction
from llavaction.questions.schema import Question

Pairs = Sequence[tuple[Question, Prediction]]
Sets = Mapping[str, tuple[str, ...]]

CHAINS: dict[str, tuple[tuple[float, ...], tuple[int, int] | None]] = {
    "[1,2,3,4]": ((0, 1 / 16, 4 / 16, 9 / 16, 1), None),
    "[1,[2,3],4]": ((0, 1 / 12, 4 / 12, 7 / 12, 1), (1, 2)),
    "[[1,2],3,4]": ((0, 1 / 10, 2 / 10, 5 / 10, 1), (0, 1)),
}
"""Logic groups of Video-MME-v2: the score by the number of links that hold, and two questions either of which may come
first (evaluation/test_video_mme_v2.py of MME-Benchmarks/Video-MME-v2 at 013b6c9, ``cal_logic``)."""


def mean_over_tasks(pairs: Pairs, sets: Sets) -> dict[str, float | int]:
    """The mean of the accuracies by the questions' fact ``task``."""
    by_task: dict[str, list[bool]] = defaultdict(list)
    for question, prediction in pairs:
        by_task[question.facts.get("task", "")].append(prediction.correct)
    return {"mean over tasks": _mean(_mean(right) for right in by_task.values()), "tasks": len(by_task)}


def videomme_v2(pairs: Pairs, sets: Sets) -> dict[str, float | int]:
    """The mean score of Video-MME-v2's groups of four questions; by kind of group, level and heads too.

    A relevance group with n right answers has (n / 4)^2, a logic group what its chain gives, see :data:`CHAINS`. Groups
    of which not all four were asked are left out and counted.

    Raises:
        InputError: a group is of neither kind, or its structure is unknown.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    for members in _whole(pairs, sets):
        facts = {name: value for question, _ in members for name, value in question.facts.items()}
        score = _group_score([prediction.correct for _, prediction in members], facts)
        kinds = [f"{name}: {facts[name]}" for name in ("level", "second_head", "third_head") if name in facts]
        for name in ("group score", str(facts["group_type"]), *kinds):
            scores[name].append(score)
    asked = len(scores["group score"])
    return {name: _mean(values) for name, values in scores.items()} | {
        "groups": asked,
        "groups not asked whole": len(sets) - asked,
    }


def _group_score(right: Sequence[bool], facts: Mapping[str, str]) -> float:
    kind = facts.get("group_type")
    if kind == "relevance":
        return (sum(right) / len(right)) ** 2
    if kind != "logic":
        raise InputError(f"group_type '{kind}' is neither relevance nor logic")
    return chain_score(right, facts.get("group_structure", ""))


def chain_score(right: Sequence[bool], structure: str) -> float:
    """The score of a logic group: how far its chain of right answers goes.

    Args:
        right: of its four questions.
        structure: of the chain; "[1, [2, 3], 4]" says that either of the middle two may be right first.

    Raises:
        InputError: the structure is unknown.
    """
    try:
        name = str(ast.literal_eval(structure)).replace(" ", "")
    except (ValueError, SyntaxError):
        name = structure
    if name not in CHAINS:
        raise InputError(f"group_structure '{structure}' is none of {', '.join(CHAINS)}")
    scores, either = CHAINS[name]
    links = next((place for place, holds in enumerate(right) if not holds), len(right))
    if either is not None and links == either[0] and right[either[1]]:
        links += 1
    return scores[links]


def vinoground(pairs: Pairs, sets: Sets) -> dict[str, float | int]:
    """Text, video and group score of Vinoground: both questions of a kind right, and all four of a pair.

    Pairs of which not all four questions were asked are left out and counted.
    """
    scores: dict[str, list[bool]] = {"text score": [], "video score": [], "group score": []}
    for members in _whole(pairs, sets):
        right = {
            kind: all(prediction.correct for question, prediction in members if question.facts["kind"] == kind)
            for kind in ("text", "video")
        }
        scores["text score"].append(right["text"])
        scores["video score"].append(right["video"])
        scores["group score"].append(all(right.values()))
    asked = len(scores["group score"])
    return {name: _mean(values) for name, values in scores.items() if values} | {
        "pairs": asked,
        "pairs not asked whole": len(sets) - asked,
    }


def _whole(pairs: Pairs, sets: Sets) -> list[list[tuple[Question, Prediction]]]:
    """The sets of four whose questions were all asked, in their order."""
    by_id = {question.question_id: (question, prediction) for question, prediction in pairs}
    return [[by_id[name] for name in names] for names in sets.values() if len(names) == 4 and by_id.keys() >= {*names}]


def _mean(values: Iterable[float]) -> float:
    listed: Collection[float] = list(values)
    return sum(listed) / len(listed) if listed else 0.0
