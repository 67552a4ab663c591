"""A benchmark as tasks of lmms-eval: a folder for its option ``--include_path``, read without network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from llavaction.base.errors import InputError
from llavaction.base.records import write_lines, write_text
from llavaction.questions import lmms_functions
from llavaction.questions.asked import LETTERS
from llavaction.questions.export import row_of
from llavaction.questions.prompts import WITH_TIMES, PromptStyle, multiple_choice_prompt
from llavaction.questions.schema import Benchmark, Question

ROWS, FUNCTIONS = "questions.jsonl", "utils.py"
LIKELIHOOD = "_likelihood"
"""Ends the name of the task whose options' letters are scored; the other's answers are written."""
METRIC = "mqa_score"
"""What the tasks report: the share of right answers."""


def export_tasks(
    benchmark: Benchmark, folder: str | Path, *, name: str | None = None, prompt: PromptStyle = "letters"
) -> Path:
    """Write a benchmark as a folder with two tasks of lmms-eval (0.7.3).

    ``NAME`` has answers written and takes the letter they begin with; ``NAME_likelihood`` compares the losses of the
    letters. ``questions.jsonl`` holds the questions with their complete prompts, ``utils.py`` finds the videos in the
    folder that the environment variable LLAVACTION_VIDEOS names, and counts. It needs nothing of this package.

    Args:
        benchmark: the benchmark.
        folder: to write; it has to be empty or an earlier export.
        name: of the first task, by default the benchmark's; other characters than letters, digits and "_" become "_".
        prompt: in which words the questions are put.

    Returns:
        The folder; a YAML file of a task's name is in it for each.

    Raises:
        InputError: the folder holds something else, answers are hidden, or the prompt cannot be written.
    """
    folder, task = Path(folder), re.sub(r"\W+", "_", name or benchmark.card.name).strip("_").lower()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FUNCTIONS).is_file():
        raise InputError("holds something else already", file=folder, hint="give another output folder")
    hidden = [question.question_id for question in benchmark.questions if question.answer is None]
    if hidden:
        raise InputError(f"the answer to '{hidden[0]}' is hidden, and lmms-eval could not count it")
    rows = [_row(question, benchmark, prompt) for question in benchmark.questions]
    write_lines(folder / ROWS, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_text(folder / FUNCTIONS, Path(lmms_functions.__file__).read_text(encoding="utf-8"))
    for kind, of_kind in _tasks(task).items():
        write_text(folder / f"{kind}.yaml", _yaml({**_shared(kind, benchmark), **of_kind}))
    return folder


class _Function(str):
    """The name of a function of utils.py."""


class _Dumper(yaml.SafeDumper):
    """Writes such names as lmms-eval reads them."""


_Dumper.add_representer(_Function, lambda dumper, name: dumper.represent_scalar("!function", f"utils.{name}"))


def _yaml(values: dict[str, Any]) -> str:
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _row(question: Question, benchmark: Benchmark, prompt: PromptStyle) -> dict[str, Any]:
    if prompt in WITH_TIMES:
        raise InputError(f"prompt '{prompt}' tells how many frames are shown, which a task does not know")
    template = None if benchmark.card.source is None else benchmark.card.source.prompt
    asked = replace(question.asked, template=template)
    return {
        **row_of(question),
        "prompt": multiple_choice_prompt(asked, prompt),
        "letters": list(LETTERS[: len(question.options)]),
    }


def _tasks(task: str) -> dict[str, dict[str, Any]]:
    written = {"output_type": "generate_until", "generation_kwargs": {"max_new_tokens": 16, "do_sample": False}}
    return {task: written, task + LIKELIHOOD: {"output_type": "multiple_choice", "doc_to_choice": "letters"}}


def _shared(task: str, benchmark: Benchmark) -> dict[str, Any]:
    return {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": ROWS}},
        "test_split": "test",
        "doc_to_visual": _Function("doc_to_visual"),
        "doc_to_messages": _Function("doc_to_messages"),
        "doc_to_text": "prompt",
        "doc_to_target": "answer_letter",
        "target_delimiter": "",
        "process_results": _Function("process_results"),
        "metric_list": [{"metric": METRIC, "aggregation": _Function("mean_score"), "higher_is_better": True}],
        "cluster_key": "video_id",
        "metadata": {"version": benchmark.card.version, "benchmark": benchmark.card.name},
    }
