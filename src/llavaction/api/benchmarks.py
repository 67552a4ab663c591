"""Making, auditing and publishing benchmarks, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llavaction.api.common import Say, opened
from llavaction.base.notes import note

if TYPE_CHECKING:
    from llavaction.questions.prompts import PromptStyle
    from llavaction.questions.schema import Benchmark


def build_benchmark(
    annotations: str | Path,
    split: str = "validation",
    *,
    output: str | Path | None = None,
    workers: int = 1,
    say: Say = note,
    **settings: Any,
) -> Benchmark:
    """Make one multiple-choice question of every segment of a split.

    Args:
        annotations: folder with EPIC_100_*.csv files, or one table with a column of labels.
        split: which split.
        output: the benchmark folder to write; None keeps it in memory.
        workers: processes; the result does not depend on them.
        say: takes notes.
        settings: fields of :class:`llavaction.questions.config.BuildConfig`: ``miner``, ``options``, ``text``,
            ``seed``, ``predictions``, and the miner's own ``settings``.

    Raises:
        InputError: files cannot be read, or the folder holds a benchmark made otherwise.

    Examples:
        >>> benchmark = build_benchmark(annotations, split="train", options=4)
        >>> {len(question.options) for question in benchmark.questions}
        {4}
    """
    from llavaction.datasets.registry import open_annotations
    from llavaction.questions.builder import build_benchmark as build
    from llavaction.questions.config import BuildConfig

    dataset = open_annotations(annotations)
    benchmark = build(dataset, BuildConfig.from_mapping({"split": split, **settings}), workers)
    if output is not None:
        benchmark = benchmark.save(output)
    for remark in (*dataset.remarks, *benchmark.card.notes):
        say(str(remark))
    return benchmark


def audit(benchmark: Benchmark | str | Path) -> dict[str, Any]:
    """Try to answer a benchmark without looking at its videos; one that lies in a folder gets an ``audit.json``.

    Returns:
        ``chance``, ``attacks`` (strongest first, accuracies with 95 % intervals), ``smallest_leak``, ``verdict`` and
        more; see :func:`llavaction.questions.audit.audit`.

    Raises:
        InputError: there are too few questions.

    Examples:
        >>> audit(benchmark)["chance"]
        0.25
    """
    from llavaction.questions.audit import audit as attack
    from llavaction.questions.audit import audit_folder

    loaded = opened(benchmark)
    return attack(loaded) if loaded.folder is None else audit_folder(loaded)


def export_benchmark(
    benchmark: Benchmark | str | Path,
    output: str | Path,
    *,
    form: Literal["hf", "lmms-eval"] = "hf",
    name: str | None = None,
    prompt: PromptStyle = "letters",
    say: Say = note,
) -> Path:
    """Write a benchmark for others, without its videos.

    Args:
        benchmark: its folder, one in memory, or a YAML file that says how it is read.
        output: the folder to write.
        form: a folder that Hugging Face ``datasets`` loads, with its card, or one with tasks of lmms-eval.
        name: of the dataset or task; by default the benchmark's.
        prompt: the words of the questions, which tasks hold.
        say: takes notes.

    Raises:
        InputError: there is no such benchmark, or the folder holds something else.
    """
    from llavaction.questions import export, lmms_tasks

    made = opened(benchmark, None, say)
    if form == "lmms-eval":
        return lmms_tasks.export_tasks(made, output, name=name, prompt=prompt)
    return export.export_benchmark(made, output, name=name)
