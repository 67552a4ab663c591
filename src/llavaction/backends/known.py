"""What baselines are told that no query tells: right answers, frequencies, classes of the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import ActionVocabulary
from llavaction.backends.base import Backend
from llavaction.backends.registry import make_backend, parse_spec
from llavaction.base.errors import InputError
from llavaction.base.notes import note
from llavaction.datasets.registry import open_annotations
from llavaction.questions.keys import OptionClasses, RightAnswers, option_classes, right_answers
from llavaction.questions.schema import Benchmark
from llavaction.specialists.agreement import Expected

TOLD = {
    "oracle": ("answers",),
    "prior": ("counts", "classes"),
    "specialist": ("classes", "expected", "segment_ids", "actions"),
}
"""What each of them is told, by its name."""

Known = Mapping[str, Callable[[], Any]]
"""Everything that can be told, each by a function that finds it when it is needed."""


class Offered(Protocol):
    """Candidates, by what is known of them."""

    @property
    def answers(self) -> RightAnswers:
        """The right ones."""

    @property
    def classes(self) -> OptionClasses:
        """Their classes."""


def informed_backend(spec: str, options: Mapping[str, Any], known: Known, source: str) -> Backend:
    """Make a backend; a baseline is told what it needs beyond its own options.

    Args:
        spec: the backend, see :func:`make_backend`.
        options: its own options.
        known: what there is to tell.
        source: where that comes from ("benchmark").

    Raises:
        InputError: as :func:`make_backend`; or an option is one that it is told.
    """
    kind, _ = parse_spec(spec)
    told = {name: known[name]() for name in TOLD.get(kind, ()) if name in known}
    if taken := sorted(options.keys() & told.keys()):
        raise InputError(f"'{taken[0]}' comes from the {source} and cannot be set")
    return make_backend(spec, **options, **told)


def known_of_benchmark(
    benchmark: Benchmark, annotations: str | Path | None = None, say: Callable[[str], None] = note
) -> Known:
    """What is known of a benchmark's questions.

    Args:
        benchmark: what is asked.
        annotations: for specialist files that refer to rows and action ids.
        say: takes what was understood of the annotations.
    """

    def expected() -> Expected:
        facts = benchmark.facts.classes
        return Expected(
            clips={question.question_id: question.clip for question in benchmark.questions},
            verbs={entry.action[0]: entry.verb for entry in facts},
            nouns={entry.action[1]: entry.noun for entry in facts},
            all_classes=False,
        )

    @cache
    def rows() -> tuple[list[str], Sequence[Any]]:
        assert annotations is not None
        dataset = open_annotations(annotations)
        ids = [segment.segment_id for segment in dataset.segments(benchmark.card.split)]
        actions = dataset.vocabulary.actions
        for remark in (*dataset.remarks, *dataset.notes):
            say(str(remark))
        return ids, actions

    known: dict[str, Callable[[], Any]] = {
        "answers": lambda: right_answers(benchmark.questions),
        "counts": lambda: benchmark.facts.train_counts,
        "classes": lambda: option_classes(benchmark.questions),
        "expected": expected,
    }
    return known if annotations is None else known | {"segment_ids": lambda: rows()[0], "actions": lambda: rows()[1]}


def known_of_segments(
    segments: Sequence[Segment], vocabulary: ActionVocabulary, offers: Callable[[], Offered]
) -> Known:
    """What is known of segments and of the candidates that are offered for them."""
    return {
        "answers": lambda: offers().answers,
        "counts": lambda: {action: vocabulary.count(action, "train") for action in vocabulary.actions},
        "classes": lambda: offers().classes,
        "expected": lambda: Expected.of(segments, vocabulary),
        "segment_ids": lambda: [segment.segment_id for segment in segments],
        "actions": lambda: vocabulary.actions,
    }
