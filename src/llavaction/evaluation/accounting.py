"""What moves how many points between the published numbers of two runs, or along a chain of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from llavaction.base.errors import InputError, LlavactionError
from llavaction.base.statistics import ClusteredBootstrap, sign_flip_test
from llavaction.evaluation.comparison import counted, p_value
from llavaction.evaluation.finished import FinishedRun, labels
from llavaction.evaluation.parser_table import columns, is_written, option_texts, reread, worth
from llavaction.evaluation.predictions import Prediction
from llavaction.evaluation.settings import Differences, differing
from llavaction.questions.schema import Benchmark

TOLERANCE = 1e-9
"""By how much the steps may miss the whole: rounding of floating-point numbers, nothing else."""
ROWS, DENOMINATOR, PARSER, NOT_SEPARABLE, CHANCE = "rows", "denominator", "parser", "not separable", "nothing on record"


@dataclass(frozen=True)
class Step:
    """A part of the difference.

    Attributes:
        cause: what it is put down to.
        points: second minus first, of 1.
        detail: how it came about.
        low: lower end of its interval, where it is a paired difference over videos.
        high: upper end.
        p: of the sign-flip test by video.
    """

    cause: str
    points: float
    detail: str
    low: float | None = None
    high: float | None = None
    p: float | None = None


def published(predictions: Sequence[Prediction]) -> float:
    """The number a run reports: what its answers count for, over all that its parser counts.

    Raises:
        InputError: none counts.
    """
    values = [value for item in predictions if (value := item.counted) is not None]
    if not values:
        raise InputError("there is no answer that counts, and so no number to explain")
    return float(np.mean(values))


def explain(
    runs: Sequence[FinishedRun], benchmark: Benchmark | str | Path | None = None, *, n: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Account for the difference between each run and the next, in parts that add up to the whole exactly.

    The order is fixed: questions only one run has; questions that a parser leaves out of its denominator; on the common
    questions, the first run's texts read by the second run's parser; the rest is a paired difference, same questions
    and same parser, put down to the setting that differs, or to several together where no run separates them.

    Args:
        runs: at least two, in the order of the chain.
        benchmark: whose options are needed to read texts again; by default the one the run's settings name.
        n: bootstrap samples; the permutation test takes five times as many.
        seed: of the draws.

    Returns:
        ``runs`` (name, folder, published number); ``pairs``, for each two neighbours ``difference`` (0 to 1), ``steps``
        and ``notes``; ``difference`` of the last from the first; ``by_cause``, the points of all steps by cause.

    Raises:
        InputError: fewer than two runs, a run without answers, or neighbours without a common question.
    """
    if len(runs) < 2:
        raise InputError("an explanation of a difference needs two runs at least")
    numbers = [published(run.predictions) for run in runs]
    names = labels(runs)
    pairs = [_pair(a, b, benchmark, n, seed) for a, b in pairwise(runs)]
    by_cause: dict[str, float] = {}
    for pair in pairs:
        for step in pair["steps"]:
            by_cause[step["cause"]] = by_cause.get(step["cause"], 0.0) + step["points"]
    return {
        "schema_version": 1,
        "runs": [
            {"name": name, "folder": str(run.folder), "published": number, "questions": len(run.predictions)}
            for name, run, number in zip(names, runs, numbers, strict=True)
        ],
        "pairs": pairs,
        "difference": numbers[-1] - numbers[0],
        "by_cause": by_cause,
    }


def _pair(
    first: FinishedRun, second: FinishedRun, benchmark: Benchmark | str | Path | None, n: int, seed: int
) -> dict[str, Any]:
    a, b = ({item.question_id: item for item in run.predictions} for run in (first, second))
    common = [question_id for question_id in a if question_id in b]
    if not common:
        raise InputError(
            f"{first.folder} and {second.folder} have no question in common, so nothing can be told apart",
            hint="explain runs on the same benchmark, whole or in part",
        )
    here, there = [a[one] for one in common], [b[one] for one in common]
    causes = differing(first, second)
    notes = _notes(first, second, here, there)
    before, after = published(first.predictions), published(second.predictions)
    steps = _sides(first, here, "first", 1) + _sides(second, there, "second", -1)
    values, read = _reread(first, here, second, there, causes, benchmark, notes)
    steps += read
    final = np.array([item.counted or 0.0 for item in there])
    steps.append(_rest(values, final, [item.video_id for item in here], causes, notes, n, seed))
    missed = after - before - sum(step.points for step in steps)
    if abs(missed) > TOLERANCE:
        raise LlavactionError(f"the parts miss the difference by {missed}; please report this as a bug")
    return {
        "difference": after - before,
        "common": len(common),
        "only_first": len(a) - len(common),
        "only_second": len(b) - len(common),
        "settings": causes,
        "steps": [vars(step) for step in steps],
        "notes": notes,
    }


def _notes(
    first: FinishedRun, second: FinishedRun, here: Sequence[Prediction], there: Sequence[Prediction]
) -> list[str]:
    notes = [
        f"{run.folder} is of another program; its settings are not on record"
        for run in (first, second)
        if run.foreign is not None
    ]
    moved = sum(x.answer != y.answer for x, y in zip(here, there, strict=True))
    if moved:
        notes.append(f"{moved} of {len(here)} common questions have their right option at another place")
    elif len(here) == len(first.predictions) == len(second.predictions) and (
        first.questions_sha256 and second.questions_sha256 and first.questions_sha256 != second.questions_sha256
    ):
        notes.append("the questions have the same ids but not the same options or texts")
    for run, items in ((first, here), (second, there)):
        if failed := sum(item.parse_status == "failed" for item in items):
            notes.append(f"{run.folder} could not be asked {failed} of the common questions; they count as wrong")
    return notes


def _sides(run: FinishedRun, common: Sequence[Prediction], which: str, sign: int) -> list[Step]:
    """From a run's number to that of the common questions, and to that with all of them in the denominator."""
    steps: list[Step] = []
    all_rows = published(run.predictions)
    counts = [value for item in common if (value := item.counted) is not None]
    whole = sum(counts) / len(common)
    on_common = float(np.mean(counts)) if counts else all_rows
    if others := len(run.predictions) - len(common):
        detail = f"{counted(others, 'question')} only in the {which} run"
        steps.append(Step(ROWS, sign * (on_common - all_rows), detail))
    if left_out := len(common) - len(counts):
        detail = f"{counted(left_out, 'question')} that the {which} run's parser leaves out of its denominator"
        steps.append(Step(DENOMINATOR, sign * (whole - on_common), detail))
    return steps


def _reread(
    first: FinishedRun,
    here: Sequence[Prediction],
    second: FinishedRun,
    there: Sequence[Prediction],
    causes: Differences,
    benchmark: Benchmark | str | Path | None,
    notes: list[str],
) -> tuple[np.ndarray, list[Step]]:
    """What the first run's answers count for, read by the second run's parser where both read texts; and that step."""
    values = np.array([item.counted or 0.0 for item in here])
    if PARSER not in causes:
        return values, []
    if not any(map(is_written, here)) or not any(map(is_written, there)) or "decision rule" in causes:
        return values, []
    final = np.array([item.counted or 0.0 for item in there])
    try:
        if first.foreign and second.foreign:
            raise InputError("neither program's own parser can be run here")
        options = option_texts(second if first.foreign else first, benchmark)
        again = None if second.foreign else _values(here, options, second)
        back = None if first.foreign else _values(there, options, first)
    except InputError as error:
        notes.append(f"the parser's part cannot be told apart: {error.problem}")
        return values, []
    causes.pop(PARSER)
    change = f"({_parser(first)} to {_parser(second)})"
    if again is None or back is None:
        which = "second" if again is None else "first"
        step = final - back if back is not None else again - values
        detail = f"the {which} run's texts read by both parsers {change}; the other parser cannot be run here"
        return values + step, [Step(PARSER, float(step.mean()), detail)]
    other = float(final.mean() - back.mean())
    detail = (
        f"the first run's texts read by the second's parser {change}; "
        f"on the second run's texts it would be {100 * other:+.1f}"
    )
    return again, [Step(PARSER, float(again.mean() - values.mean()), detail)]


def _values(items: Sequence[Prediction], options: Mapping[str, Sequence[str]], like: FinishedRun) -> np.ndarray:
    parsing, parser = str(like.config.get("parsing", "robust")), like.config.get("parser")
    written = [item for item in items if is_written(item)]
    found = {
        item.question_id: worth(reading, item.answer)
        for item, reading in zip(written, reread(written, options, parsing, parser), strict=True)
    }
    return np.array([found.get(item.question_id, item.counted) or 0.0 for item in items])


def _parser(run: FinishedRun) -> str:
    return str(run.config.get("parser") or run.config.get("parsing", "robust"))


def _rest(
    before: np.ndarray,
    after: np.ndarray,
    videos: Sequence[str],
    causes: Differences,
    notes: list[str],
    n: int,
    seed: int,
) -> Step:
    differences = after - before
    low, high = ClusteredBootstrap(videos, n=n, seed=seed).mean_bounds(differences) or (None, None)
    names = list(causes)
    detail = "; ".join(sentence for sentences in causes.values() for sentence in sentences)
    cause = names[0] if len(names) == 1 else f"{NOT_SEPARABLE}: {' + '.join(sorted(names))}" if names else CHANCE
    if len(names) > 1:
        notes.append(
            f"{', '.join(sorted(names))} differ at once; no run separates them. "
            "Give runs between in which one of them changes at a time"
        )
    elif not names:
        low, high = (low, high) if differences.any() else (None, None)
        detail = "no setting on record differs; what is left is chance, the versions of programs, or other videos"
    p = sign_flip_test(differences, videos, n=5 * n, seed=seed)
    return Step(cause, float(after.mean() - before.mean()), detail, low, high, p)


def explanation_text(found: Mapping[str, Any]) -> str:
    """The result of :func:`explain` in words and tables."""
    runs = found["runs"]
    lines = [f"{run['name']}: {run['published']:.2%} of {run['questions']} questions" for run in runs]
    for (first, second), pair in zip(pairwise(runs), found["pairs"], strict=True):
        lines += ["", f"{first['name']} to {second['name']}: {100 * pair['difference']:+.2f} points"]
        rows = [("part", "points", "95 % interval", "p")]
        for step in pair["steps"]:
            bounds = "" if step["low"] is None else f"{100 * step['low']:+.2f} to {100 * step['high']:+.2f}"
            p = "" if step["p"] is None else p_value(step["p"]).removeprefix("p = ").removeprefix("p ")
            rows.append((step["cause"], f"{100 * step['points']:+.2f}", bounds, p))
        lines += columns(rows)
        lines += [f"  {step['cause']}: {step['detail']}" for step in pair["steps"]]
        lines.append(f"  {pair['common']} common questions; the parts add up to the difference exactly")
        lines += [f"note: {note}" for note in pair["notes"]]
    if len(runs) > 2:
        lines += ["", f"the whole chain: {100 * found['difference']:+.2f} points"]
        causes = [(cause, f"{100 * points:+.2f}") for cause, points in found["by_cause"].items()]
        lines += columns([("part", "points"), *causes])
    return "\n".join(lines)
