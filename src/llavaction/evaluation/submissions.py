"""Answers of a finished run in the form in which a benchmark's server takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llavaction.base.errors import InputError
from llavaction.base.records import write_json
from llavaction.evaluation.benchmarks import open_benchmark
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.metrics import match
from llavaction.evaluation.predictions import Prediction, read_predictions
from llavaction.questions.asked import LETTERS
from llavaction.questions.schema import Benchmark


def submission(benchmark: Benchmark, predictions: Sequence[Prediction]) -> dict[str, int | str]:
    """Answers by question id, as the benchmark's ``source.submission`` says: indices from 0, or letters.

    Args:
        benchmark: the questions.
        predictions: of all of them.

    Raises:
        InputError: the benchmark names no form; a question has no prediction or no answer; or predictions were made on
            another benchmark.
    """
    form = None if benchmark.card.source is None else benchmark.card.source.submission
    if form is None:
        raise InputError(
            f"benchmark '{benchmark.card.name}' has no server that takes answers",
            hint="if it has one, say in its description with source.submission how: indices, or letters",
        )
    pairs = match(benchmark, predictions)
    if missing := len(benchmark.questions) - len(pairs):
        raise InputError(
            f"{missing} of {len(benchmark.questions)} questions were not asked; a submission needs all",
            hint="go on with the run, without --limit",
        )
    answers: dict[str, int | str] = {}
    unanswered = [question.question_id for question, prediction in pairs if prediction.choice is None]
    if unanswered:
        raise InputError(
            f"{len(unanswered)} of {len(pairs)} questions have no answer, e.g. '{unanswered[0]}'; all are needed",
            hint="ask those that failed again (--retry-failed), or choose by likelihood, which always answers",
        )
    for question, prediction in pairs:
        choice = prediction.choice or 0
        answers[question.question_id] = choice if form == "indices" else LETTERS[choice]
    return answers


def write_submission(run: str | Path, output: str | Path, benchmark: str | Path | None = None) -> int:
    """Write the submission of a run, and return how many answers it holds.

    Args:
        run: the run folder; the run has to be finished.
        output: the JSON file to write.
        benchmark: folder or YAML file; that of the run by default.

    Raises:
        InputError: as :func:`submission`; the run is not finished, or its benchmark is not where it was.
    """
    config = FinishedRun.load(run).config
    source = Path(benchmark or str(config.get("benchmark", "")))
    if not source.exists():
        raise InputError(
            f"the run's benchmark is not there: {source}", file=run, hint="say with --benchmark where it is"
        )
    answers = submission(open_benchmark(source, say=lambda said: None), read_predictions(run))
    write_json(output, answers)
    return len(answers)
