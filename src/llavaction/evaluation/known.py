"""What baselines know beyond their options: right answers, frequencies, classes of the options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llavaction.backends.registry import parse_spec
from llavaction.base.notes import note
from llavaction.datasets.registry import open_annotations
from llavaction.questions.keys import option_classes, right_answers
from llavaction.questions.schema import Benchmark
from llavaction.specialists.agreement import Expected


def known_to_baselines(
    spec: str, benchmark: Benchmark, annotations: str | Path | None = None, say: Callable[[str], None] = note
) -> dict[str, Any]:
    """What a backend needs beyond its own options: a baseline is told here what no query tells.

    Args:
        spec: the backend's name.
        benchmark: what it is asked.
        annotations: for specialist files that refer to rows and action ids.
        say: takes what was understood of the annotations.
    """
    kind, _ = parse_spec(spec)
    if kind == "oracle":
        return {"answers": right_answers(benchmark.questions)}
    if kind == "prior":
        return {"counts": benchmark.facts.train_counts, "classes": option_classes(benchmark.questions)}
    if kind != "specialist":
        return {}

    facts = benchmark.facts.classes
    expected = Expected(
        clips={question.question_id: question.clip for question in benchmark.questions},
        verbs={entry.action[0]: entry.verb for entry in facts},
        nouns={entry.action[1]: entry.noun for entry in facts},
        all_classes=False,
    )
    inputs = {"classes": option_classes(benchmark.questions), "expected": expected}
    if annotations is not None:
        dataset = open_annotations(annotations)
        ids = [segment.segment_id for segment in dataset.segments(benchmark.card.split)]
        actions = dataset.vocabulary.actions
        for remark in (*dataset.remarks, *dataset.notes):
            say(str(remark))
        inputs |= {"segment_ids": ids, "actions": actions}
    return inputs
