"""Results of other evaluators as runs: samples of lmms-eval (JSON Lines) and tables of VLMEvalKit (xlsx, csv, tsv)."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llavaction.backends.asking import choose
from llavaction.base.errors import InputError
from llavaction.base.records import read_lines
from llavaction.base.spreadsheets import Workbook
from llavaction.base.tables import Table
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.parsing import parse_answer
from llavaction.evaluation.predictions import Prediction
from llavaction.questions.asked import LETTERS

LMMS_EVAL, VLMEVALKIT = "lmms-eval", "VLMEvalKit"
_IDS = ("question_id", "q_uid", "qid", "uid", "id", "index", "idx")
"""Columns that may name a question; the first whose values are all different does."""
_VIDEOS = ("video_id", "videoid", "video", "video_idx", "video_path", "video_name", "video_uid", "clip")
_OPTIONS = ("options", "candidates", "choices", "option", "answers")
_SCORES = ("score", "acc", "accuracy", "exact_match", "hit")
_LETTERED = re.compile(r"^\s*\(?([A-Z])[).:]\s+(.+?)\s*$", re.MULTILINE)
_HINT = (
    "expected a run folder, a *_samples_*.jsonl of lmms-eval, or a result table of VLMEvalKit "
    "(index, answer, prediction)"
)


@dataclass(frozen=True)
class _Result:
    """One answer of a file, as understood."""

    line: int
    facts: Mapping[str, Any]
    text: str
    target: Any
    score: float | None
    prompt: str
    losses: tuple[float, ...] = ()


def load_run(path: str | Path) -> FinishedRun:
    """A finished run: a folder of ours, or a file of another evaluator, told apart by what is in it.

    Of others the number is theirs: where the file has a score for each answer, that is what the answer counts for. The
    text is kept, and our parser reads the choice where the options are on record.

    Args:
        path: the folder or file.

    Raises:
        InputError: it is none of these, or damaged; names file and line.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        return FinishedRun.load(path)
    if path.suffix.lower() in (".jsonl", ".json"):
        program, results = LMMS_EVAL, _of_lmms_eval(path)
    elif path.suffix.lower() in (".xlsx", ".csv", ".tsv"):
        program, results = VLMEVALKIT, _of_vlmevalkit(path)
    else:
        raise InputError("is no result that can be read", file=path, hint=_HINT)
    rows = list(results)
    if not rows:
        raise InputError("holds no result", file=path, hint=_HINT)
    ids = _ids(rows)
    options = {name: texts for name, row in zip(ids, rows, strict=True) if (texts := _options(row))}
    predictions = [
        _prediction(row, name, options.get(name, []), program, path) for name, row in zip(ids, rows, strict=True)
    ]
    name = f"{program}:{path.stem}"
    counts = {"questions": len(predictions), "answered": sum(item.choice is not None for item in predictions)}
    config = {"backend": name, "parsing": f"{program}'s own"}
    return FinishedRun(path, config, predictions, {"counts": counts}, options=options, foreign=program)


def _of_lmms_eval(path: Path) -> Iterator[_Result]:
    for line, entry in read_lines(path, "sample"):
        if (
            not isinstance(entry, dict)
            or not {"doc_id", "target"} <= entry.keys()
            or not entry.keys()
            & {
                "filtered_resps",
                "resps",
            }
        ):
            found = ", ".join(map(str, entry)) if isinstance(entry, dict) else f"{entry!r:.60}"
            raise InputError(f"is no sample of lmms-eval; found {found:.200}", file=path, line=line, hint=_HINT)
        doc = entry.get("doc")
        facts = {str(name).lower(): value for name, value in (doc if isinstance(doc, dict) else {}).items()}
        facts = _told_by_metric(entry) | facts | {"doc_id": entry["doc_id"]}
        said = entry.get("filtered_resps", entry.get("resps"))
        losses, prompt = _losses(said), str(entry.get("input") or facts.get("question") or "")
        text = "" if losses else _innermost(said)
        yield _Result(line, facts, text, entry["target"], _score_of_sample(entry), prompt, losses)


def _told_by_metric(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a metric's mapping names of the question: files of 2026 (lmms-eval 0.7) keep no document."""
    mappings = [value for name, value in entry.items() if isinstance(value, dict) and name != "doc"]
    told = {str(name).lower(): value for mapping in mappings for name, value in mapping.items()}
    return {name: value for name, value in told.items() if name in (*_IDS, *_VIDEOS, *_OPTIONS)}


def _losses(said: Any) -> tuple[float, ...]:
    """The losses of a ``multiple_choice`` sample, pairs of a loss and whether it is greedy; none of a written one."""
    if not isinstance(said, list) or len(said) < 2:
        return ()
    said = [pair.strip("()").split(", ") if isinstance(pair, str) else pair for pair in said]  # 0.7.3 writes texts
    pairs = [pair for pair in said if isinstance(pair, list) and len(pair) == 2 and str(pair[1]) in ("True", "False")]
    try:
        return tuple(float(loss) for loss, _ in pairs) if len(pairs) == len(said) else ()
    except (TypeError, ValueError):
        return ()


def _innermost(value: Any) -> str:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return "" if value is None or value == [] else str(value)


def _score_of_sample(entry: Mapping[str, Any]) -> float | None:
    """What a sample's metric says: a number, or a mapping with a score, or with a prediction beside an answer."""
    known = {"doc_id", "target", "resps", "filtered_resps", "doc", "arguments", "input", "submission"}
    for name, value in entry.items():
        if name in known or name.endswith("_hash"):
            continue
        if isinstance(value, bool | int | float) and name.lower().endswith(_SCORES):
            return float(value)
        if isinstance(value, dict):
            if isinstance(value.get("score"), bool | int | float):
                return float(value["score"])
            said = next((value[key] for key in ("parsed_pred", "pred_answer", "pred") if key in value), None)
            true = next((value[key] for key in ("answer", "ground_truth", "gt_answer") if key in value), None)
            if said is not None and true is not None:
                return float(str(said) == str(true))
    return None


def _of_vlmevalkit(path: Path) -> Iterator[_Result]:
    rows: Iterable[Any]
    if path.suffix.lower() == ".xlsx":
        book = Workbook(path)
        columns, rows = book.table(book.sheets[0])
    else:
        table = Table(path, ())
        columns, rows = tuple(table.columns), table
    names = {name.lower() for name in columns}
    if missing := {"answer", "prediction"} - names:
        lacking = ", ".join(sorted(missing))
        problem = f"is no result of VLMEvalKit: it lacks {lacking}; found {', '.join(columns)!s:.200}"
        raise InputError(problem, file=path, hint=_HINT)
    for row in rows:
        if row.fault:
            raise InputError(row.fault, file=path, line=row.line)
        cells = {name.lower(): value for name, value in row.cells.items()}
        told = next((cells[name] for name in ("hit", "score") if cells.get(name)), None)
        score, prompt = _number(told, path, row.line), cells.get("question", "")
        yield _Result(row.line, cells, cells["prediction"], cells["answer"], score, prompt)


def _number(text: str | None, path: Path, line: int) -> float | None:
    if text is None:
        return None
    if text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    try:
        return float(text)
    except ValueError:
        raise InputError(f"the score '{text}' is no number", file=path, line=line) from None


def _ids(rows: Sequence[_Result]) -> list[str]:
    """A name for every question, different from all others; numbers of the file where nothing else is."""
    for name in _IDS:
        if all(row.facts.get(name) not in (None, "") for row in rows):
            ids = [str(row.facts[name]) for row in rows]
            if len(set(ids)) == len(ids):
                return ids
            ids = [f"{_video(row)}_{id_}" for row, id_ in zip(rows, ids, strict=True)]
            if len(set(ids)) == len(ids):
                return ids
    ids = [str(row.facts.get("doc_id", "")) for row in rows]
    return ids if len(set(ids)) == len(ids) else [str(number) for number in range(len(rows))]


def _video(row: _Result) -> str | None:
    found = next((row.facts[name] for name in _VIDEOS if row.facts.get(name)), None)
    return None if found is None else str(found).rpartition("/")[2]


def _options(row: _Result) -> list[str]:
    """The options' texts without letters; none where they are not on record."""
    found: list[str] = []
    for name in _OPTIONS:
        value = row.facts.get(name)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
        if isinstance(value, list) and len(value) > 1:
            found = [str(item) for item in value]
            break
    for pattern in ("a{}", "option{}"):
        columns = [row.facts.get(pattern.format(i)) for i in range(len(LETTERS))]
        found = found or [str(value) for value in columns if value not in (None, "", "N/A")]
    found = found or [str(value) for letter in LETTERS.lower() if (value := row.facts.get(letter)) not in (None, "")]
    if not found:
        lettered = _LETTERED.findall(row.prompt)
        found = [text for i, (letter, text) in enumerate(lettered) if letter == LETTERS[i : i + 1]]
    return [re.sub(rf"^\(?{LETTERS[i]}[).:]\s*", "", text) for i, text in enumerate(found)] if len(found) > 1 else []


def _prediction(row: _Result, name: str, options: Sequence[str], program: str, path: Path) -> Prediction:
    answer = _answer(row.target, options)
    if answer is None:
        raise InputError(
            f"the right answer {row.target!r:.60} is none of the options",
            file=path,
            line=row.line,
            hint="only results of multiple-choice questions can be read",
        )
    known = {
        "question_id": name,
        "video_id": _video(row) or f"question {name}",
        "answer": answer,
        "decision_rule": f"{program}'s own",
        "credit": None if row.score is None else "left out" if row.score < 0 else min(row.score, 1.0),
    }
    if row.losses:
        return Prediction(**known, **_scored(row, path))
    choice, rule = None, "options not on record"
    if options:
        parsed = parse_answer(row.text, options)
        choice, rule = parsed.choice, parsed.rule
    status = "unparsed" if choice is None else "parsed"
    return Prediction(**known, choice=choice, parse_status=status, text=row.text, parse_rule=rule)


def _scored(row: _Result, path: Path) -> dict[str, Any]:
    """The choice that losses make: the smallest, as lmms-eval's ``multiple_choice`` tasks take it."""
    if any(map(math.isnan, row.losses)):
        return {"parse_status": "failed", "error": "a loss is no number"}
    answer = _answer(row.target, _options(row))
    if answer is not None and answer >= len(row.losses):
        raise InputError(
            f"the right answer is {LETTERS[answer]}, but {len(row.losses)} were scored", file=path, line=row.line
        )
    choice = choose(-np.array(row.losses))
    return {"parse_status": "scored", "choice": choice.place, "scores": choice.scores, "margin": choice.margin}


def _answer(target: Any, options: Sequence[str]) -> int | None:
    """The index that an answer tells: a number is one from 0; a text is an option's, a letter, or such a number."""
    if isinstance(target, int):
        return target if 0 <= target < (len(options) or len(LETTERS)) else None
    text = str(target).strip()
    if text in options:
        return list(options).index(text)
    lettered = re.fullmatch(r"\(?([A-Z])\)?(?:[.:)]?\s.*|[.:]?)", text, re.DOTALL)
    if lettered and (not options or LETTERS.index(lettered[1]) < len(options)):
        return LETTERS.index(lettered[1])
    if re.fullmatch(r"\d{1,2}", text) and (not options or int(text) < len(options)):
        return int(text)
    return None
