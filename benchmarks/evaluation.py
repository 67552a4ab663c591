"""What the bookkeeping of an evaluation costs: all but the model.

The claims: 9,668 questions (as many as EPIC-KITCHENS-100-MQA has) are loaded, asked of a backend that answers at once,
journalled, measured with intervals, compared and reported in at most 5 s and 500 MB; 200,000 in at most 60 s and 2 GB;
intervals and tests take at most 5 s of these.

    python benchmarks/evaluation.py                    # both sizes, each in a process of its own
    python benchmarks/evaluation.py --questions 9668   # one of them

Seconds of the clock depend on what else the machine does, so seconds of the processor stand beside them. Memory is the
largest resident set of the process, that of Python and its libraries included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from llavaction.actions.segments import Clip
from llavaction.backends.base import CAPABILITIES, OptionScores, Query
from llavaction.base.seeding import hashed_rng
from llavaction.base.statistics import paired_comparison
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.metrics import compute_metrics
from llavaction.evaluation.predictions import read_predictions
from llavaction.evaluation.report import write_report
from llavaction.evaluation.runner import run
from llavaction.questions.schema import Benchmark, BenchmarkCard, Option, Provenance, Question

SIZES = (9_668, 200_000)
PER_VIDEO = 70  # 9,668 questions of 138 videos
VERBS, NOUNS, OPTIONS = 97, 300, 5
MEASURED = ("metrics and intervals", "paired test")


@dataclass
class Instant:
    """Scores without looking at anything: what is measured is everything else."""

    name: str = "instant"
    needs_frames: int = 0
    decision_rule: str = "option letters"
    capabilities = CAPABILITIES

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        """The letters in turn."""
        found = []
        for query in queries:
            scores = np.full(len(query.options), -3.0)
            scores[len(query.query_id + query.options[0]) % len(scores)] = -0.1
            found.append(OptionScores(scores, 0.9))
        return found

    def generate(self, queries: Sequence[Query]) -> list[str]:
        """Nothing."""
        return ["" for _ in queries]


def made_benchmark(count: int) -> Benchmark:
    """Questions of the size of EPIC-KITCHENS-100's: five options of 97 verbs and 300 nouns, unevenly drawn."""
    rng = hashed_rng("evaluation benchmark", count)
    verbs = np.minimum(rng.zipf(1.4, (count, OPTIONS)) - 1, VERBS - 1).tolist()
    apart = rng.integers(1, NOUNS // OPTIONS, (count, 1)) * np.arange(OPTIONS)  # no two options are of one noun
    nouns = ((rng.integers(0, NOUNS, (count, 1)) + apart) % NOUNS).tolist()
    answers = rng.integers(0, OPTIONS, count).tolist()
    questions = []
    for number in range(count):
        video, place = divmod(number, PER_VIDEO)
        options = tuple(
            Option(text=f"verb{verb} the noun{noun}", action=(verb, noun))
            for verb, noun in zip(verbs[number], nouns[number], strict=True)
        )
        questions.append(
            Question(
                question_id=f"P{video:04d}_01_{place}",
                clip=Clip(video_id=f"P{video:04d}_01", start=2.0 * place, stop=2.0 * place + 1.5),
                question="What is the person doing?",
                options=options,
                answer=answers[number],
                provenance=Provenance(miner="random", text_pool="clean"),
            )
        )
    card = BenchmarkCard(
        name="made", split="validation", options=OPTIONS, made_by="benchmarks/evaluation.py", sources={}
    )
    return Benchmark(questions, card)


class Timer:
    """Seconds of the clock and of the processor by what took them."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[float, float]] = {}

    def __call__(self, what: str, work: Callable[[], Any]) -> Any:
        """Do it, and note how long it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        found = work()
        self.rows[what] = (time.perf_counter() - wall, time.process_time() - cpu)
        return found


def measure(folder: Path) -> dict[str, Any]:
    """Every part once, on the benchmark that lies in a folder."""
    timed = Timer()
    benchmark = timed("load", lambda: Benchmark.load(folder / "benchmark"))
    config = RunConfig(benchmark="made", backend="instant", batch_size=16)
    accuracy = timed("run", lambda: run(config, benchmark, Instant(), None, folder / "run").metrics["accuracy"])
    timed("start of a finished run", lambda: run(config, benchmark, Instant(), None, folder / "run").asked_now)
    predictions = timed("read predictions", lambda: read_predictions(folder / "run"))
    metrics = timed(MEASURED[0], lambda: compute_metrics(benchmark, predictions))
    assert metrics["accuracy"] == accuracy
    right = np.array([prediction.correct for prediction in predictions])
    videos = [prediction.video_id for prediction in predictions]
    other = np.where(np.arange(len(right)) % 7 == 0, ~right, right)
    timed(MEASURED[1], lambda: paired_comparison(right, other, videos))
    predictions.clear()
    timed("report", lambda: write_report(folder / "report.html", [folder / "run"], benchmark))
    counted = [timed.rows[name] for name in ("load", "run", "report", MEASURED[1])]  # the run holds the metrics
    measured = [timed.rows[name] for name in MEASURED]
    timed.rows["all: load, run, report, paired test"] = _sum(counted)
    timed.rows["of it intervals and tests"] = _sum(measured)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    return {"questions": len(right), "seconds": timed.rows, "peak_mb": peak}


def _sum(rows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(wall for wall, _ in rows), sum(cpu for _, cpu in rows)


@click.command()
@click.option("--questions", type=int, multiple=True, help="How many; may be given several times.")
@click.option("--folder", type=click.Path(path_type=Path), hidden=True, help="Measure what lies there.")
@click.option("--output", type=click.Path(path_type=Path), help="Also write the figures as JSON.")
def main(questions: tuple[int, ...], folder: Path | None, output: Path | None) -> None:
    """Print a table for each size."""
    if folder is not None:
        click.echo(json.dumps(measure(folder)))
        return
    figures = []
    for count in questions or SIZES:
        with tempfile.TemporaryDirectory() as place:
            made_benchmark(count).save(Path(place) / "benchmark")
            command = [sys.executable, __file__, "--folder", place]
            found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        figures.append(json.loads(found))
        click.echo(f"\n{count:,} questions: {figures[-1]['peak_mb']:,.0f} MB\n{'':38}clock, s  processor, s")
        for name, (wall, cpu) in figures[-1]["seconds"].items():
            click.echo(f"{name:38}{wall:8.2f} {cpu:13.2f}")
    if output is not None:
        output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
