"""Many runs beside each other: accuracy by benchmark, and which differences are more than chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from llavaction.base.corrections import holm
from llavaction.base.errors import InputError
from llavaction.base.registry import suggestion
from llavaction.base.statistics import ClusteredBootstrap, sign_flip_test
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.predictions import Prediction

LEVEL = 0.05
"""Of all tests of a leaderboard together, after Holm's correction."""
GROUP_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class _Entry:
    model: str
    benchmark: str
    run: FinishedRun

    @property
    def answers(self) -> dict[str, Prediction]:
        return {item.question_id: item for item in self.run.predictions}


def leaderboard(
    runs: Sequence[FinishedRun], reference: str | None = None, *, n: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Models by benchmarks, with intervals by video, and paired tests corrected for how many there are.

    Runs are of one model where their backend's name is the same, on one benchmark where its name is; files of other
    programs are on the benchmark whose questions they have. A test takes the common questions of two runs: the
    sign-flip test by video (:func:`llavaction.base.statistics.sign_flip_test`). All p-values of the table are
    corrected together by Holm's method.

    Args:
        runs: finished ones.
        reference: model that all others are tested against; every two are tested by default.
        n: bootstrap samples; the permutation tests take ten times as many.
        seed: of the draws.

    Returns:
        ``benchmarks``; ``rows``, best first, with ``model`` and ``cells`` by benchmark (value, low, high, n, videos,
        ``group`` letters and the ``rank`` that significant differences leave, from best to worst possible; with a
        reference ``against`` it: difference and p); ``tests``; ``correction``; ``notes``.

    Raises:
        InputError: fewer than two runs, a run without answers, or the reference is none of the models.
    """
    if len(runs) < 2:
        raise InputError("a leaderboard needs two runs at least")
    entries, notes = _entries(runs), list[str]()
    models = list(dict.fromkeys(entry.model for entry in entries))
    benchmarks = list(dict.fromkeys(entry.benchmark for entry in entries))
    if reference is not None and reference not in models:
        raise InputError(f"no run is of model '{reference}'", hint=suggestion(reference, models))
    cells = {(entry.model, entry.benchmark): _cell(entry, n, seed) for entry in entries}
    tests = []
    for benchmark in benchmarks:
        there = [entry for entry in entries if entry.benchmark == benchmark]
        for a, b in combinations(there, 2):
            if reference is None or reference in (a.model, b.model):
                first, second = (b, a) if b.model == reference else (a, b)
                if test := _test(first, second, n, seed, notes):
                    tests.append(test)
    for test, adjusted in zip(tests, holm([test["p"] for test in tests]), strict=True):
        test["p_holm"] = adjusted
    for benchmark in benchmarks:
        _mark(cells, [test for test in tests if test["benchmark"] == benchmark], benchmark, reference)
    order = sorted(models, key=lambda model: -_mean(cells, model, benchmarks))
    return {
        "schema_version": 1,
        "benchmarks": benchmarks,
        "rows": [{"model": model, "cells": {name: cells.get((model, name)) for name in benchmarks}} for model in order],
        "reference": reference,
        "tests": tests,
        "correction": f"Holm, over all {len(tests)} tests of the table; significant below {LEVEL}",
        "notes": notes,
    }


def _entries(runs: Sequence[FinishedRun]) -> list[_Entry]:
    """The runs with model and benchmark; two of the same model and benchmark are told apart by their folders."""
    known: dict[frozenset[str], str] = {}
    for run in runs:
        if not run.predictions:
            raise InputError("holds nothing whose right answer is known", file=run.folder)
        if run.foreign is None:
            known.setdefault(frozenset(item.question_id for item in run.predictions), _benchmark(run))
    placed = []
    for run in runs:
        ids = frozenset(item.question_id for item in run.predictions)
        of_others = run.foreign is not None
        name = known.setdefault(ids, _nearest(ids, known) or run.folder.stem) if of_others else _benchmark(run)
        placed.append((run.name, name, run))
    often = Counter((model, name) for model, name, _ in placed)
    entries: list[_Entry] = []
    for model, name, run in placed:
        label = model if often[model, name] == 1 else f"{model} ({run.folder.name})"
        if any((entry.model, entry.benchmark) == (label, name) for entry in entries):
            label = f"{model} ({run.folder})"
        entries.append(_Entry(label, name, run))
    return entries


def _benchmark(run: FinishedRun) -> str:
    told = run.metrics.get("benchmark")
    if isinstance(told, Mapping) and told.get("name"):
        return str(told["name"])
    return "recognition" if run.recognitions else run.folder.stem


def _nearest(ids: Collection[str], known: Mapping[frozenset[str], str]) -> str | None:
    """The benchmark that holds most of the questions, if it holds half of them."""
    shared = [(len(others & frozenset(ids)), name) for others, name in known.items()]
    most = max(shared, default=(0, ""))
    return most[1] if 2 * most[0] >= len(ids) else None


def _cell(entry: _Entry, n: int, seed: int) -> dict[str, Any]:
    items = list(entry.run.predictions)
    values = [item.counted for item in items]
    members = np.array([value is not None for value in values])
    if not members.any():
        raise InputError("has no answer that counts", file=entry.run.folder)
    bootstrap = ClusteredBootstrap([item.video_id for item in items], n=n, seed=seed)
    interval = bootstrap.interval(np.array([value or 0.0 for value in values]), members)
    return interval.rounded() | {"folder": str(entry.run.folder)}


def _test(first: _Entry, second: _Entry, n: int, seed: int, notes: list[str]) -> dict[str, Any] | None:
    a, b = first.answers, second.answers
    common = [one for one in a if one in b]
    pair = f"{first.model} and {second.model} on {first.benchmark}"
    if not common:
        notes.append(f"{pair} have no question in common and cannot be tested")
        return None
    if len(common) < max(len(a), len(b)):
        notes.append(f"{pair} have {len(common)} common questions, of {len(a)} and {len(b)}; the test takes these")
    if moved := sum(a[one].answer != b[one].answer for one in common):
        notes.append(f"{pair} have {moved} questions whose right option stands at another place")
    differences = [(b[one].counted or 0.0) - (a[one].counted or 0.0) for one in common]
    videos = [a[one].video_id for one in common]
    return {
        "benchmark": first.benchmark,
        "first": first.model,
        "second": second.model,
        "difference": float(np.mean(differences)),
        "questions": len(common),
        "p": sign_flip_test(differences, videos, n=10 * n, seed=seed),
    }


def _mark(
    cells: dict[tuple[str, str], dict[str, Any]],
    tests: Sequence[Mapping[str, Any]],
    benchmark: str,
    reference: str | None,
) -> None:
    """Put into the cells of a benchmark what its tests say."""
    here = sorted((model for model, name in cells if name == benchmark), key=lambda m: -cells[m, benchmark]["value"])
    apart = {frozenset((test["first"], test["second"])) for test in tests if test["p_holm"] < LEVEL}
    if reference is not None:
        for test in tests:
            against = {"difference": test["difference"], "p_holm": test["p_holm"]}
            cells[test["second"], benchmark]["against"] = against
        return
    better = {
        model: sum(
            test["p_holm"] < LEVEL and (test["second"] if test["difference"] > 0 else test["first"]) != model
            for test in tests
            if model in (test["first"], test["second"])
        )
        for model in here
    }
    worse = {model: sum(frozenset((model, other)) in apart for other in here) - better[model] for model in here}
    groups = letter_groups(here, apart)
    for model in here:
        cells[model, benchmark]["group"] = groups[model]
        cells[model, benchmark]["rank"] = [1 + better[model], len(here) - worse[model]]


def letter_groups(models: Sequence[str], apart: Collection[frozenset[str]]) -> dict[str, str]:
    """Letters for models: two have a letter in common exactly where their difference is not significant.

    Source: the insert-and-absorb method of H.-P. Piepho, J. Computational and Graphical Statistics 13 (2004).

    Args:
        models: best first; the first group is "a".
        apart: pairs whose difference is significant.
    """
    columns = [frozenset(models)]
    for pair in sorted(apart, key=lambda two: sorted(map(list(models).index, two))):
        split: list[frozenset[str]] = []
        for column in columns:
            split += [column - {model} for model in pair] if pair <= column else [column]
        columns = [
            one for i, one in enumerate(split) if one not in split[:i] and not any(one < other for other in split)
        ]
    columns.sort(key=lambda column: [model not in column for model in models])
    names = [_letters(i) for i in range(len(columns))]
    return {
        model: "".join(name for name, column in zip(names, columns, strict=True) if model in column) for model in models
    }


def _letters(number: int) -> str:
    rounds, place = divmod(number, len(GROUP_LETTERS))
    return GROUP_LETTERS[place] + "'" * rounds


def _mean(cells: Mapping[tuple[str, str], Mapping[str, Any]], model: str, benchmarks: Sequence[str]) -> float:
    found = [cells[model, name]["value"] for name in benchmarks if (model, name) in cells]
    return sum(found) / len(found)
