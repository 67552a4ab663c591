"""Can a benchmark be answered without looking at the video?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from llavaction.base.errors import InputError
from llavaction.base.records import write_json
from llavaction.base.statistics import ClusteredBootstrap
from llavaction.questions.attacks import ATTACKS
from llavaction.questions.options import OptionTable
from llavaction.questions.schema import Benchmark, Question

LEAK = 0.05
"""An attack this far above chance, with its whole interval above chance, is called a leak."""

POWER = 0.8
"""Probability with which a leak of :func:`smallest_leak` is seen."""

BLUNT = 0.10
"""An audit that cannot see a leak of this size has no verdict."""

FEWEST = 20
"""With fewer questions an audit says nothing."""


def audit(benchmark: Benchmark) -> dict[str, Any]:
    """Attack a benchmark blindly, its questions whose answers are known.

    Returns:
        ``chance``; ``attacks`` (name, accuracy, low, high at 95 %, clustered by video, method, note), strongest first;
        ``smallest_leak`` (see :func:`smallest_leak`);
        ``position`` (how often each letter is right, chi-square p); ``similarity`` (share of questions with a
        distractor that shares the answer's verb, noun, either); ``filter`` and ``miner`` (as the card reports them);
        ``verdict`` in words.

    Raises:
        InputError: there are fewer than 20 questions.
    """
    benchmark = replace(benchmark, questions=benchmark.with_answers)
    if len(benchmark.questions) < FEWEST:
        raise InputError(f"{len(benchmark.questions)} questions are too few for an audit; it takes {FEWEST}")
    table = OptionTable.of(benchmark)
    videos = [question.clip.video_id for question in benchmark.questions]
    chance = float(np.mean(1.0 / table.sizes))
    bootstrap = ClusteredBootstrap(videos)
    attacks: list[dict[str, Any]] = []
    for attack in ATTACKS:
        if attack.name.endswith("in train") and not table.train.any():
            continue
        interval = bootstrap.interval(table.choose(attack.scores(table)))
        attacks.append({
            "name": attack.name,
            "accuracy": round(interval.value, 4),
            "low": round(interval.low, 4),
            "high": round(interval.high, 4),
            "method": interval.method,
            "note": attack.note,
        })  # fmt: skip
    attacks.sort(key=lambda entry: (-entry["accuracy"], entry["name"]))
    card = benchmark.card
    return {
        "benchmark": {"name": card.name, "split": card.split, "miner": card.miner, "text": card.text,
                      "options": card.options, "questions": len(benchmark.questions)},
        "chance": round(chance, 4),
        "attacks": attacks,
        "position": _positions(benchmark.questions),
        "similarity": _similarity(table, benchmark.facts.one_label),
        "filter": dict(card.settings.get("filter", {})),
        "miner": {**card.settings.get("miner", {}), **card.settings.get("miner report", {})},
        "smallest_leak": smallest_leak(attacks),
        "verdict": verdict(attacks, chance),
    }  # fmt: skip


def audit_folder(benchmark: Benchmark) -> dict[str, Any]:
    """Audit a benchmark that lies on disk and leave ``audit.json`` beside its questions.

    Raises:
        InputError: the benchmark was not loaded from a folder.
    """
    if benchmark.folder is None:
        raise InputError("this benchmark has no folder yet", hint="save it first")
    result = audit(benchmark)
    write_json(benchmark.folder / "audit.json", result)
    return result


def smallest_leak(attacks: Sequence[dict[str, Any]]) -> float:
    """How far above chance an attack's true accuracy must be for four audits in five to show it.

    Shown is a leak whose whole interval lies above chance. The spread is that of the attack known worst.
    """
    half = max(entry["accuracy"] - entry["low"] for entry in attacks)
    return round(half * (1 + float(stats.norm.ppf(POWER) / stats.norm.ppf(0.975))), 4)


def verdict(attacks: Sequence[dict[str, Any]], chance: float) -> str:
    """The audit in one or two sentences for somebody who wants to know whether to trust the benchmark."""
    above = [entry for entry in attacks if entry["low"] > chance]
    best = max(above or attacks, key=lambda entry: entry["accuracy"])
    reach = f"{best['accuracy']:.1%} [{best['low']:.1%}, {best['high']:.1%}] against {chance:.1%} by chance"
    if above and best["accuracy"] >= chance + LEAK:
        also_above = [entry["name"] for entry in above if entry is not best]
        more = f" Above chance too: {', '.join(also_above)}." if also_above else ""
        return (
            f"Leaks: without the video '{best['name']}' ({best['note']}) gets {reach}. A model's accuracy here has to "
            f"be read against that, not against chance.{more}"
        )
    least = 100 * smallest_leak(attacks)
    if least > 100 * BLUNT:
        return (
            f"Undecided: there are too few questions or videos to tell. No leak was found, but one of less than "
            f"{least:.0f} points above chance would mostly go unseen; the best attack, '{best['name']}', gets {reach}."
        )
    power = f"Leaks of {least:.1f} points above chance and more would be seen four times in five."
    if above:
        return (
            f"Nearly blind-proof: the strongest blind attack, '{best['name']}' ({best['note']}), gets {reach}. {power}"
        )
    return f"Blind-proof as far as tested: no attack is above chance; the best, '{best['name']}', gets {reach}. {power}"


def _positions(questions: Sequence[Question]) -> dict[str, Any]:
    """How often each letter is right, and whether that is more uneven than chance allows."""
    sizes = {len(question.options) for question in questions}
    counts = np.bincount([question.truth for question in questions], minlength=max(sizes))
    letters = {chr(ord("A") + i): int(count) for i, count in enumerate(counts)}
    p = round(float(stats.chisquare(counts).pvalue), 4) if len(sizes) == 1 else None
    return {"right": letters, "p": p}


def _similarity(table: OptionTable, one_label: bool) -> dict[str, float]:
    """Share of questions in which a distractor shares the answer's verb, its noun, or either (of labels, a word)."""
    if one_label:
        return {"same word": round(float((table.overlap()[table.right] > 0).mean()), 4)}
    verb, noun = (table.shared(labels)[table.right] > 0 for labels in (table.verb, table.noun))
    shares = {"same verb": verb, "same noun": noun, "either": verb | noun}
    return {name: round(float(share.mean()), 4) for name, share in shares.items()}
