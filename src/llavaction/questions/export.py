"""Benchmarks for others: a folder that Hugging Face ``datasets`` loads, with its card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from llavaction.base.errors import InputError
from llavaction.base.records import read_json, write_lines, write_text
from llavaction.base.text import shown
from llavaction.questions.schema import UNKNOWN, Benchmark, BenchmarkCard, Question

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Size categories of the hub: fewer questions than, and name."""


def export_benchmark(benchmark: Benchmark, folder: str | Path, *, name: str | None = None) -> Path:
    """Write a benchmark as a folder that ``datasets.load_dataset`` takes.

    It holds ``data/SPLIT.jsonl``, a row a question; ``README.md``, the dataset card; ``card.json`` and ``facts.json``
    as they are; and ``llavaction.yaml``, by which ``llavaction eval`` and ``open_benchmark`` read the rows back. No
    video is in it. Everything is of one licence, the benchmark's.

    Args:
        benchmark: the benchmark.
        folder: to write; it has to be empty or an earlier export of the same.
        name: of the dataset, by default the benchmark's.

    Raises:
        InputError: the folder holds something else.
    """
    folder, card = Path(folder), benchmark.card
    name = name or card.name
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "llavaction.yaml").is_file():
        raise InputError("holds something else already", file=folder, hint="give another output folder")
    rows = f"data/{card.split}.jsonl"
    write_lines(folder / rows, (_line(question) for question in benchmark.questions))
    for source in ("card.json", "facts.json", "audit.json"):
        if benchmark.folder is not None and (benchmark.folder / source).is_file():
            write_text(folder / source, (benchmark.folder / source).read_text(encoding="utf-8"))
    write_text(folder / "llavaction.yaml", yaml.safe_dump(_protocol(card, name, rows), sort_keys=False))
    write_text(folder / "README.md", _readme(benchmark, name, rows))
    return folder


def _line(question: Question) -> str:
    return json.dumps(row_of(question), ensure_ascii=False) + "\n"


def row_of(question: Question) -> dict[str, Any]:
    """A question as a flat row; classes are -1 where there are none, the answer is -1 where it is hidden."""
    actions = [option.action or (-1, -1) for option in question.options]
    return {
        "question_id": question.question_id,
        "video_id": question.clip.video_id,
        "start": question.clip.start,
        "stop": question.clip.stop,
        "question": question.question,
        "options": [option.text for option in question.options],
        "answer": -1 if question.answer is None else question.answer,
        "answer_letter": "" if question.answer is None else question.answer_letter,
        "verb_classes": [verb for verb, _ in actions],
        "noun_classes": [noun for _, noun in actions],
        "miner": UNKNOWN if question.provenance is None else question.provenance.miner,
    }


def _protocol(card: BenchmarkCard, name: str, rows: str) -> Mapping[str, Any]:
    columns = {"id": "question_id", "video": "video_id", "answer": "answer_letter"}
    source = {} if card.source is None else {"source": card.source.model_dump(mode="json")}
    return {"name": name, "split": card.split, "file": rows, "columns": columns, "answers": "letter", **source}


def _readme(benchmark: Benchmark, name: str, rows: str) -> str:
    card = benchmark.card
    size = next((label for limit, label in SIZES if len(benchmark.questions) < limit), "n>1M")
    front = {
        "pretty_name": name,
        "license": "other",
        "license_name": card.licence,
        "task_categories": ["multiple-choice", "video-text-to-text"],
        "tags": ["video", "action-recognition", "multiple-choice"],
        "size_categories": [size],
        "configs": [{"config_name": "default", "data_files": [{"split": card.split, "path": rows}]}],
    }
    made = {
        "questions": f"{len(benchmark.questions):,}",
        "videos": f"{len({question.clip.video_id for question in benchmark.questions}):,}",
        "options": str(card.options),
        "distractors": f"miner '{card.miner}'",
        "texts": f"protocol '{card.text}'",
        "seed": str(card.seed),
        "licence": card.licence,
        "made by": card.made_by,
    }
    lines = [f"| {what} | {shown(value)} |" for what, value in made.items()]
    sources = [f"- `{shown(file)}`, sha256 `{digest}`" for file, digest in card.sources.items()]
    audit = benchmark.folder / "audit.json" if benchmark.folder is not None else None
    verdict = []
    if audit is not None and audit.is_file():
        verdict = ["", "## What can be answered without looking", "", shown(read_json(audit)["verdict"])]
    return "\n".join([
        "---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(), "---", "",
        f"# {shown(name)}", "",
        "Multiple-choice questions on which action a clip of video shows. The videos are not in here: get them from "
        "their makers; `video_id`, `start` and `stop` (seconds) say what is to be seen.", "",
        "| | |", "|---|---|", *lines, "", "Made from:", "", *(sources or ["- nothing that was recorded"]), *verdict, "",
        "## Columns", "",
        "| column | holds |", "|---|---|",
        "| `question_id` | id of the annotated segment |",
        "| `video_id`, `start`, `stop` | the clip, in seconds from the video's beginning |",
        "| `question`, `options` | what is asked, and the texts to choose among |",
        "| `answer`, `answer_letter` | place of the right option from 0, and its letter; -1 and nothing where hidden |",
        "| `verb_classes`, `noun_classes` | classes of each option; -1 where there are none |",
        "| `miner` | what found the wrong options |", "",
        "## Use", "",
        "```python", "from datasets import load_dataset", "",
        f'questions = load_dataset("FOLDER_OR_REPOSITORY", split="{card.split}")', "```", "",
        "```", "llavaction eval llavaction.yaml --backend MODEL --videos VIDEOS --output runs/model", "```", "",
    ])  # fmt: skip
