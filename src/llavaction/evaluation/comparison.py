"""Two runs on the same questions: is one better, and how sure can one be?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from llavaction.base.errors import InputError
from llavaction.base.statistics import ClusteredBootstrap, paired_comparison
from llavaction.evaluation.finished import FinishedRun, labels

FEWEST_VIDEOS = 6
"""From fewer videos no difference can have p < 0.05: of all patterns of signs two are as extreme as the observed."""


def compare(
    run_a: str | Path, run_b: str | Path, *, across_benchmarks: bool = False, n: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Compare two run folders question by question.

    Args:
        run_a: the first run folder.
        run_b: the second; positive differences speak for it.
        across_benchmarks: accept question ids whose options differ, as between the text protocols of one benchmark.
        n: bootstrap samples; the permutation test takes five times as many.
        seed: of the draws.

    Returns:
        ``a`` and ``b`` (name, folder, accuracy with interval), ``difference`` (value, low, high), the two p-values, the
        four counts of agreement, ``questions``, ``videos`` and ``notes``. See :func:`comparison_text`.

    Raises:
        InputError: a folder is no finished run, or the runs did not answer the same questions.
    """
    first, second = FinishedRun.load(run_a), FinishedRun.load(run_b)
    if not first.predictions or not second.predictions:
        lacking = second if first.predictions else first
        raise InputError("holds nothing whose right answer is known", file=lacking.folder)
    notes = _same_questions(first, second, across_benchmarks)
    names = labels([first, second])
    second_of = {prediction.question_id: prediction for prediction in second.predictions}
    pairs = [(prediction, second_of[prediction.question_id]) for prediction in first.predictions]
    videos = [prediction.video_id for prediction, _ in pairs]
    right_a = [prediction.correct for prediction, _ in pairs]
    right_b = [prediction.correct for _, prediction in pairs]
    comparison = asdict(paired_comparison(right_a, right_b, videos, n=n, seed=seed))
    bootstrap = ClusteredBootstrap(videos, n=n, seed=seed)
    for name, answers in zip(names, zip(*pairs, strict=True), strict=True):
        failed = sum(answer.parse_status == "failed" for answer in answers)
        unread = sum(answer.choice is None for answer in answers) - failed
        if failed:
            notes.append(f"{name} could not be asked {failed} of {len(pairs)}; they count as wrong")
        if unread:
            notes.append(f"{name} left {unread} of {len(pairs)} without a readable answer; they count as wrong")
    if any(answer.credit is not None for pair in pairs for answer in pair):
        notes.append("where a public evaluator draws at random, or leaves out what it cannot read, it counts as wrong")
    if len(set(videos)) < FEWEST_VIDEOS:
        least = 2.0 ** (1 - len(set(videos)))
        notes.append(
            f"from {counted(len(set(videos)), 'video')} the sign-flip test gives no p below {least:.2f}, "
            "however large the difference"
        )
    return {
        "schema_version": 1,
        "a": {"name": names[0], "folder": str(run_a), "accuracy": bootstrap.interval(right_a).rounded()},
        "b": {"name": names[1], "folder": str(run_b), "accuracy": bootstrap.interval(right_b).rounded()},
        "difference": {
            "value": round(comparison.pop("difference"), 6),
            **{end: None if comparison[end] is None else round(comparison[end], 6) for end in ("low", "high")},
        },
        **{name: value for name, value in comparison.items() if name not in ("low", "high")},
        "questions": len(pairs),
        "videos": len(set(videos)),
        "notes": notes,
    }


def _same_questions(first: FinishedRun, second: FinishedRun, across_benchmarks: bool) -> list[str]:
    ids_a = {prediction.question_id for prediction in first.predictions}
    ids_b = {prediction.question_id for prediction in second.predictions}
    if ids_a != ids_b:
        parts = [
            f"{len(only)} only in {run.folder}, e.g. '{min(only)}'"
            for run, only in ((first, ids_a - ids_b), (second, ids_b - ids_a))
            if only
        ]
        raise InputError(
            f"the runs did not answer the same questions ({len(ids_a & ids_b)} in common): " + "; ".join(parts),
            hint="evaluate both on the same benchmark folder with the same --limit",
        )
    if first.questions_sha256 == second.questions_sha256:
        return []
    message = "the questions have the same ids but not the same options"
    if not across_benchmarks:
        raise InputError(
            f"{message}: {first.folder} and {second.folder} were made on different benchmarks",
            hint="if comparing benchmarks is what you want, say so with --across-benchmarks",
        )
    return [f"{message}: the difference is between benchmarks as well as between models"]


def comparison_text(comparison: dict[str, Any]) -> str:
    """The result of :func:`compare` as a table with a sentence on what it means."""
    a, b, difference = comparison["a"], comparison["b"], comparison["difference"]
    width = max(len(a["name"]), len(b["name"]), 10)
    lines = [f"{'':{width}}  accuracy  95 % interval"]
    for run in (a, b):
        accuracy = run["accuracy"]
        bounds = f"{accuracy['low']:.1%} to {accuracy['high']:.1%}"
        lines.append(f"{run['name']:{width}}  {accuracy['value']:8.1%}  {bounds}")
    one_video = difference["low"] is None
    bounds = "none from a single video" if one_video else f"{difference['low']:+.1%} to {difference['high']:+.1%}"
    lines += [
        f"{'difference':{width}}  {difference['value']:+8.1%}  {bounds}",
        "",
        f"{comparison['questions']} questions from {counted(comparison['videos'], 'video')}: "
        f"{comparison['both']} right in both, {comparison['only_first']} only in the first, "
        f"{comparison['only_second']} only in the second, {comparison['neither']} in neither.",
        f"{p_value(comparison['p_permutation'])} (sign-flip test by video); "
        f"{p_value(comparison['p_mcnemar'])} (exact McNemar, takes questions for independent)",
        verdict(comparison),
        *(f"note: {note}" for note in comparison["notes"]),
    ]
    return "\n".join(lines)


def counted(count: int, what: str) -> str:
    """A number with its noun, "1 video" or "3 videos"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def p_value(p: float) -> str:
    """A p-value as text, never "0.000"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def verdict(comparison: dict[str, Any]) -> str:
    """One sentence: which run is better, if that can be told."""
    a, b = comparison["a"]["name"], comparison["b"]["name"]
    if comparison["p_permutation"] >= 0.05:
        return f"No difference between {a} and {b} can be told from chance on these questions."
    better, worse = (b, a) if comparison["difference"]["value"] > 0 else (a, b)
    size = abs(comparison["difference"]["value"])
    return f"{better} is better than {worse} by {100 * size:.1f} points; the difference is unlikely to be chance."
