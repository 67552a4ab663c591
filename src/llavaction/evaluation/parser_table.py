"""The same written answers read by every parser: how many points each rule moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llavaction.base.errors import InputError
from llavaction.base.plugins import with_plugins
from llavaction.base.statistics import ClusteredBootstrap
from llavaction.evaluation.benchmarks import open_benchmark
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.official import OFFICIAL_PARSERS
from llavaction.evaluation.predictions import Prediction
from llavaction.evaluation.reading import Reading, reader_of
from llavaction.questions.schema import Benchmark

_NOTES = (
    "'drawn' answers count for 1/n, what the public code's random choice is worth on average.",
    "'points' is the difference from our own parser (robust); 'gained' and 'lost' are answers right for one alone.",
)
Options = Mapping[str, Sequence[str]]
"""Question id to the options' texts."""


def option_texts(run: FinishedRun, benchmark: Benchmark | str | Path | None = None) -> dict[str, list[str]]:
    """The options of a run's questions, by question id.

    Args:
        run: the run.
        benchmark: what it was made on; by default what the run itself holds, or the benchmark its settings name.

    Raises:
        InputError: no benchmark is there, or it lacks a question of the run.
    """
    if benchmark is None and run.options:
        return {question_id: list(texts) for question_id, texts in run.options.items()}
    place = benchmark or run.config.get("benchmark")
    hint = "give the benchmark that the run was made on with --benchmark"
    if not isinstance(place, Benchmark):
        if not place or not Path(str(place)).exists():
            raise InputError("the options of its questions are not at hand", file=run.folder, hint=hint)
        place = open_benchmark(str(place))
    known = {question.question_id: question for question in place.questions}
    for prediction in run.predictions:
        question = known.get(prediction.question_id)
        if question is None or question.answer != prediction.answer:
            problem = f"question '{prediction.question_id}' is another one in benchmark '{place.card.name}', or none"
            raise InputError(problem, file=run.folder, hint=hint)
    return {question_id: [option.text for option in question.options] for question_id, question in known.items()}


def is_written(prediction: Prediction) -> bool:
    """Whether the choice was read from a text, or there was none to read."""
    return prediction.parse_status in ("parsed", "unparsed") and prediction.text is not None


def reread(predictions: Sequence[Prediction], options: Options, parsing: str, parser: str | None) -> list[Reading]:
    """Every prediction's text read in another way; all have to be written ones."""
    read = reader_of(parsing, parser)
    return [read(item.text or "", options[item.question_id], item.answer) for item in predictions]


def worth(reading: Reading, answer: int | None) -> float | None:
    """What a reading adds to the number its parser would publish; None where it is left out."""
    if reading.credit is None:
        return float(reading.parsed.choice == answer)
    return None if reading.credit == "left out" else reading.credit


def parser_table(run: FinishedRun, benchmark: Benchmark | str | Path | None = None, *, seed: int = 0) -> dict[str, Any]:
    """Read a run's written answers by every parser there is.

    Args:
        run: one whose answers were written (decision "generation").
        benchmark: see :func:`option_texts`.
        seed: of the intervals.

    Returns:
        ``questions``; ``failed``, those that could not be asked and count as wrong in every row; ``rows``, one for each
        parser with accuracy and interval, ``questions`` of its denominator, ``unread``, ``drawn`` (at random, counted
        at 1/n), ``left_out``, ``points`` against our parser (0 to 1), ``differ`` (answers read otherwise than by
        ours), ``gained`` and ``lost`` (right for it alone, for ours alone); ``rules``, for each rule of our parser how
        many answers it ``decided``, how many of them are ``right``, and the ``points`` that come from it.

    Raises:
        InputError: no answer was written, or the options are not at hand.
    """
    written = [item for item in run.predictions if is_written(item)]
    failed = [item for item in run.predictions if item.parse_status == "failed"]
    if not written or len(written) + len(failed) < len(run.predictions):
        raise InputError("its choices were not read from text", file=run.folder, hint="it needs --decision generation")
    options = option_texts(run, benchmark)
    clusters = [item.video_id for item in (*written, *failed)]
    bootstrap = ClusteredBootstrap(clusters, seed=seed)
    ours = reread(written, options, "robust", None)
    ways: list[tuple[str, str, str | None]] = [("robust", "robust", None), ("published", "published", None)]
    ways += [(name, "official", name) for name in sorted(with_plugins("OFFICIAL_PARSERS", OFFICIAL_PARSERS))]
    rows = []
    for name, parsing, parser in ways:
        row = {"parser": name} | _row(written, reread(written, options, parsing, parser), ours, len(failed), bootstrap)
        rows.append(row)
    for row in rows:
        row["points"] = None if row["accuracy"] is None else row["accuracy"]["value"] - rows[0]["accuracy"]["value"]
    return {
        "schema_version": 1,
        "run": str(run.folder),
        "questions": len(clusters),
        "failed": len(failed),
        "rows": rows,
        "rules": _rules(written, ours, len(clusters)),
    }


def _row(
    written: Sequence[Prediction],
    readings: Sequence[Reading],
    ours: Sequence[Reading],
    failed: int,
    bootstrap: ClusteredBootstrap,
) -> dict[str, Any]:
    credits = [worth(reading, item.answer) for reading, item in zip(readings, written, strict=True)]
    values = np.array([*(value or 0.0 for value in credits), *[0.0] * failed])
    counted = np.array([*(value is not None for value in credits), *[True] * failed])
    right = [item.answer == reading.parsed.choice for reading, item in zip(ours, written, strict=True)]
    whole = [0.0 if value is None else value for value in credits]
    drawn = [value is not None and 0 < value < 1 for value in credits]
    differ = sum(
        there.parsed.choice != here.parsed.choice or is_drawn or there.credit == "left out" or value == 1 != is_right
        for there, here, is_drawn, value, is_right in zip(readings, ours, drawn, whole, right, strict=True)
    )
    return {
        "accuracy": bootstrap.interval(values, counted).rounded(15) if counted.any() else None,
        "questions": int(counted.sum()),
        "unread": sum(
            reading.parsed.choice is None and not is_drawn and reading.credit != "left out" and value < 1
            for reading, is_drawn, value in zip(readings, drawn, whole, strict=True)
        ),
        "drawn": sum(drawn),
        "left_out": sum(value is None for value in credits),
        "differ": differ,
        "gained": sum(value == 1 and not is_right for value, is_right in zip(whole, right, strict=True)),
        "lost": sum(value < 1 and is_right for value, is_right in zip(whole, right, strict=True)),
    }


def _rules(written: Sequence[Prediction], ours: Sequence[Reading], questions: int) -> list[dict[str, Any]]:
    decided = Counter(reading.parsed.rule for reading in ours)
    right = Counter(
        reading.parsed.rule for reading, item in zip(ours, written, strict=True) if reading.parsed.choice == item.answer
    )
    read = {reading.parsed.rule: reading.parsed.choice is not None for reading in ours}
    return [
        {"rule": rule, "reads": read[rule], "decided": n, "right": right[rule], "points": right[rule] / questions}
        for rule, n in decided.most_common()
    ]


def parser_table_text(found: Mapping[str, Any]) -> str:
    """The result of :func:`parser_table` as two tables."""
    lines = [f"{found['questions']} questions, {found['failed']} of them not asked; the same texts by every parser", ""]
    counts = ("unread", "drawn", "left out", "points", "differ", "gained", "lost")
    head = ("parser", "accuracy", "95 % interval", "of", *counts)
    rows = [
        (
            row["parser"],
            f"{row['accuracy']['value']:.1%}" if row["accuracy"] else "–",
            f"{row['accuracy']['low']:.1%} to {row['accuracy']['high']:.1%}" if row["accuracy"] else "–",
            *(str(row[name]) for name in ("questions", "unread", "drawn", "left_out")),
            "–" if row["points"] is None else f"{100 * row['points']:+.1f}",
            *(str(row[name]) for name in ("differ", "gained", "lost")),
        )
        for row in found["rows"]
    ]
    lines += [*columns([head, *rows]), ""]
    rules = [
        (
            row["rule"] + ("" if row["reads"] else " (unread)"),
            *(str(row[name]) for name in ("decided", "right")),
            f"{100 * row['points']:.1f}",
        )
        for row in found["rules"]
    ]
    lines += columns([("rule of our parser", "answers", "right", "points"), *rules])
    return "\n".join([*lines, "", *_NOTES])


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a plain table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines
