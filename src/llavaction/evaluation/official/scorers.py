"""Official metrics beyond accuracy, by the name that a benchmark's ``source.scorer`` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from llavaction.base.plugins import with_plugins
from llavaction.base.registry import resolve
from llavaction.evaluation.predictions import Prediction
from llavaction.questions.schema import Benchmark, Question

Pairs = Sequence[tuple[Question, Prediction]]
Sets = Mapping[str, tuple[str, ...]]
Scorer = Callable[[Pairs, Sets], dict[str, float | int]]
"""Takes questions whose answers are known, with predictions, and the sets of questions that are scored together."""

SCORERS: dict[str, str] = {
    "mean_over_tasks": "llavaction.evaluation.official.set_scores:mean_over_tasks",
    "videomme_v2": "llavaction.evaluation.official.set_scores:videomme_v2",
    "vinoground": "llavaction.evaluation.official.set_scores:vinoground",
}
"""Name to function, see :data:`Scorer`."""


def official_scores(benchmark: Benchmark, pairs: Pairs) -> dict[str, float | int]:
    """What the official metric says of a run, rounded to six decimals; nothing where accuracy is all there is.

    Raises:
        InputError: the benchmark names a metric that is not known.
    """
    source = benchmark.card.source
    if source is None or source.scorer is None:
        return {}
    scorer: Scorer = resolve(with_plugins("SCORERS", SCORERS), source.scorer, "official metric")
    return {name: round(value, 6) for name, value in scorer(pairs, benchmark.facts.sets).items()}
