"""lmms-eval and llavaction on the same model and the same questions: do they agree, and what does a question cost?

    python benchmarks/lmms_eval.py --lmms-python LMMS/bin/python --data KITCHEN --output FOLDER

LMMS is an environment with lmms-eval, see docs/lmms-eval.md; KITCHEN holds ``annotations`` and ``videos``, as
``llavaction data kitchen-mini`` writes them. Both programs are asked by their command lines, each once with all
questions and once with a few: the difference, divided by the questions between, is the time of a question; the rest is
the start. The model's bare forward is timed in this process, by hooks around the model, while our runner asks the same
questions. Seconds are wall and CPU, of all threads and child processes; on a machine that does other work only CPU
seconds mean something.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from llavaction import api
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.foreign_results import load_run
from llavaction.evaluation.runner import asked_questions
from llavaction.questions.lmms_tasks import LIKELIHOOD
from llavaction.questions.schema import Benchmark

FEW = 10
DECISIONS = {"likelihood": LIKELIHOOD, "generation": ""}
"""How we decide, and how the name of the task ends that decides alike."""


@dataclass
class Spent:
    """Seconds that something took."""

    wall: float = 0.0
    cpu: float = 0.0

    def per(self, other: Spent, count: int) -> Spent:
        """What each of ``count`` more takes, where ``other`` was spent without them."""
        return Spent((self.wall - other.wall) / count, (self.cpu - other.cpu) / count)


@contextmanager
def measured(into: Spent, whose: int) -> Iterator[None]:
    """Add what is spent meanwhile: by this process (RUSAGE_SELF), or by children that end (RUSAGE_CHILDREN)."""
    begun, used = time.perf_counter(), resource.getrusage(whose)
    yield
    now = resource.getrusage(whose)
    into.wall += time.perf_counter() - begun
    into.cpu += now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


@dataclass(frozen=True)
class Setting:
    """What is asked, whom, and by whom else."""

    lmms_python: Path
    backend: str
    videos: Path
    output: Path

    def ours(self, bench: Path, decision: str, name: str) -> tuple[Path, Spent]:
        """Our run folder, and what the command took."""
        folder = self.output / "ours" / name
        command = [sys.executable, "-m", "llavaction.cli.main", "eval", str(bench), "--backend", self.backend]
        command += ["--videos", str(self.videos), "--decision", decision, "--output", str(folder)]
        return folder, self._spent(command, name)

    def theirs(self, tasks: Path, task: str, name: str) -> tuple[Path, Spent]:
        """The file of samples of lmms-eval, and what the command took."""
        folder = self.output / "theirs" / name
        command = [str(self.lmms_python), "-m", "lmms_eval", "--model", "llavaction", "--tasks", task]
        command += ["--model_args", f"backend={self.backend},videos={self.videos}", "--include_path", str(tasks)]
        spent = self._spent([*command, "--log_samples", "--output_path", str(folder)], f"lmms-eval {name}")
        samples = next(folder.rglob(f"*_samples_{task}.jsonl"), None)
        if samples is None:  # it ends with status 0 even so
            raise click.ClickException(f"lmms-eval wrote no samples, see {self.output / 'log.txt'}")
        return samples, spent

    def _spent(self, command: Sequence[str], what: str) -> Spent:
        spent = Spent()
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(self.output / "hf")}
        with measured(spent, resource.RUSAGE_CHILDREN), (self.output / "log.txt").open("a") as log:
            done = subprocess.run(command, env={**os.environ, **offline}, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise click.ClickException(f"{what} ended with status {done.returncode}, see {self.output / 'log.txt'}")
        click.echo(f"{what}: {spent.wall:.1f} s, {spent.cpu:.1f} s of CPU", err=True)
        return spent


def forward_alone(setting: Setting, benchmark: Benchmark, decision: Any) -> Spent:
    """What the model's calls take, per question, while our runner asks in this process; the first question is left out.

    A call inside another, as in writing, counts once.
    """
    from llavaction.backends.huggingface import HuggingFaceBackend
    from llavaction.evaluation.config import RunConfig
    from llavaction.evaluation.runner import run
    from llavaction.video.library import VideoLibrary

    backend = api.load_model(setting.backend)
    if not isinstance(backend, HuggingFaceBackend):
        raise click.ClickException(f"'{setting.backend}' is no model in this process")
    spent, open_since = Spent(), []

    def before(*_: Any) -> None:
        open_since.append((time.perf_counter(), time.process_time()))

    def after(*_: Any) -> None:
        wall, cpu = open_since.pop()
        spent.wall += time.perf_counter() - wall
        spent.cpu += time.process_time() - cpu

    config = RunConfig.from_mapping({"benchmark": "b", "backend": setting.backend, "decision": decision})
    library = VideoLibrary(setting.videos)
    run(
        config,
        replace(benchmark, questions=benchmark.questions[:1]),
        backend,
        library,
        setting.output / "warm" / decision,
    )
    backend.model.register_forward_pre_hook(before)
    backend.model.register_forward_hook(after)
    run(config, benchmark, backend, library, setting.output / "forward" / decision)
    return Spent(spent.wall / len(benchmark.questions), spent.cpu / len(benchmark.questions))


def compared(ours: Path, theirs: Path) -> dict[str, Any]:
    """How far two results agree, question by question."""
    mine = {item.question_id: item for item in FinishedRun.load(ours).predictions}
    other = {item.question_id: item for item in load_run(theirs).predictions}
    if mine.keys() != other.keys():
        raise click.ClickException(f"the questions differ: {sorted(mine.keys() ^ other.keys())[:5]}")
    pairs = [(mine[name], other[name]) for name in mine]
    apart = [np.abs(_shares(a.scores) - _shares(b.scores)).max() for a, b in pairs if a.scores and b.scores]
    return {
        "questions": len(pairs),
        "ours": float(np.mean([a.correct for a, _ in pairs])),
        "lmms-eval": float(np.mean([b.counted or 0.0 for _, b in pairs])),
        "same choice": sum(a.choice == b.choice for a, b in pairs),
        "same credit": sum(float(a.correct) == b.counted for a, b in pairs),
        "same text": sum(a.text == b.text for a, b in pairs) if not apart else None,
        "largest difference of a log-probability": float(max(apart)) if apart else None,
    }


def _shares(scores: Sequence[float]) -> np.ndarray[Any, Any]:
    values = np.array(scores)
    return values - np.logaddexp.reduce(values)


def measure(setting: Setting, benchmark: Benchmark, decision: str) -> dict[str, Any]:
    """Agreement and cost of one way of deciding."""
    spent: dict[str, dict[int, Spent]] = {"ours": {}, "lmms-eval": {}}
    count, agreement = len(benchmark.questions), {}
    for number in (FEW, count):
        name = f"{decision}-{number}"
        part = replace(benchmark, questions=benchmark.questions[:number])
        part = part.save(setting.output / "benchmarks" / str(number))
        tasks = api.export_benchmark(part, setting.output / "tasks" / str(number), form="lmms-eval", name="kitchen")
        assert part.folder is not None
        ours, spent["ours"][number] = setting.ours(part.folder, decision, name)
        theirs, spent["lmms-eval"][number] = setting.theirs(tasks, f"kitchen{DECISIONS[decision]}", name)
        agreement = compared(ours, theirs)
    bare = forward_alone(setting, benchmark, decision)
    costs: dict[str, Any] = {"bare forward": vars(bare)}
    for who, of_count in spent.items():
        one = of_count[count].per(of_count[FEW], count - FEW)
        start = Spent(of_count[count].wall - count * one.wall, of_count[count].cpu - count * one.cpu)
        above = Spent(one.wall - bare.wall, one.cpu - bare.cpu)
        costs[who] = {"a question": vars(one), "above the forward": vars(above), "start": vars(start)}
    return {"agreement": agreement, "seconds": costs}


def shown(found: Mapping[str, Any]) -> str:
    """The results as tables in Markdown."""
    lines = []
    for decision, result in found.items():
        lines += ["", f"**{decision}**", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in result["agreement"].items() if value is not None]
        lines += ["", "| seconds | CPU | wall |", "|---|---|---|"]
        bare = result["seconds"]["bare forward"]
        lines.append(f"| bare forward, a question | {bare['cpu']:.3f} | {bare['wall']:.3f} |")
        for who in ("ours", "lmms-eval"):
            for what, spent in result["seconds"][who].items():
                lines.append(f"| {who}: {what} | {spent['cpu']:.3f} | {spent['wall']:.3f} |")
    return "\n".join(lines)


@click.command()
@click.option(
    "--lmms-python", type=click.Path(exists=True, path_type=Path), required=True, help="Python with lmms-eval."
)
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="annotations/ and videos/.")
@click.option("--split", default="test", show_default=True)
@click.option("--questions", type=click.IntRange(min=FEW + 1), default=50, show_default=True)
@click.option("--backend", default="bundled", show_default=True, help="A model; the same for both.")
@click.option("--decision", type=click.Choice(list(DECISIONS)), multiple=True, help="By default both.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new folder.")
def main(
    lmms_python: Path, data: Path, split: str, questions: int, backend: str, decision: Sequence[str], output: Path
) -> None:
    """Ask by both programs and compare."""
    if output.exists():
        raise click.ClickException(f"{output} is there already")
    output.mkdir(parents=True)
    setting = Setting(lmms_python.absolute(), backend, (data / "videos").resolve(), output.resolve())
    built = api.build_benchmark(data / "annotations", split)
    benchmark = replace(built, questions=asked_questions(built, questions))
    found: dict[str, Any] = {}
    for kind in decision or DECISIONS:
        found[kind] = measure(setting, benchmark, kind)
        (output / "result.json").write_text(json.dumps(found, indent=1))
        click.echo(shown({kind: found[kind]}))


if __name__ == "__main__":
    main()
