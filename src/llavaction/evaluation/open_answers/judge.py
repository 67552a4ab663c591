"""A language model judges written answers: right or wrong, and how good from 0 to 5."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from llavaction.actions.segments import Clip
from llavaction.backends.asking import backend_settings, check_capability, free_keys, keep_in, replies
from llavaction.backends.base import Backend
from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.records import Record, Strict, read_records
from llavaction.base.registry import suggestion
from llavaction.base.statistics import ClusteredBootstrap
from llavaction.evaluation.open_answers.schema import WRITTEN, WrittenAnswer
from llavaction.runs.folder import METRICS, Pace, RunFolder, go_through
from llavaction.video.decoded import Clips

JUDGEMENTS = "judgements.jsonl"
BEST = 5.0
"""The highest score."""

_PLACES = re.compile(r"\{(question|answer|said)\}")
_DICTIONARY = re.compile(r"\{[^{}]*\}", re.DOTALL)


class JudgePrompt(Strict):
    """How a judge is asked, and what it calls right."""

    text: str = Field(description="The prompt, with {question}, {answer} and {said}.")
    right: str = Field(description="Its word for a right answer.")
    wrong: str = Field(description="Its word for a wrong one.")
    source: str | None = Field(default=None, description="Where the prompt stands.")

    def fill(self, answer: WrittenAnswer) -> str:
        """The prompt about one answer."""
        values = {"question": answer.question, "answer": " or ".join(answer.answers), "said": answer.text or ""}
        return _PLACES.sub(lambda place: values[place[1]], self.text)


class Judgement(Record):
    """What a judge said of one answer."""

    question_id: str
    video_id: str
    kind: str = ""
    right: bool | None = Field(default=None, description="None where its words could not be read")
    score: float | None = Field(default=None, description="0 to 5; None where none was given")
    text: str | None = Field(default=None, description="what the judge wrote")
    error: str | None = Field(default=None, description="why it could not be asked")


@dataclass(frozen=True)
class _Item:
    answer: WrittenAnswer

    @property
    def query_id(self) -> str:
        return self.answer.question_id

    @property
    def clip(self) -> Clip:
        return Clip(video_id=self.answer.video_id, start=0.0, stop=1.0)  # nobody looks


def known_judges() -> dict[str, JudgePrompt]:
    """Prompts that come along, by name."""
    path = Path(__file__).with_name("judges.yaml")
    return {name: JudgePrompt.from_mapping(values, file=path) for name, values in read_yaml(path).items()}


def judge_prompt(name: str | Path) -> JudgePrompt:
    """A prompt by its name, or from a YAML file with ``text``, ``right`` and ``wrong``.

    Raises:
        InputError: there is none of this name, and no such file.
    """
    known = known_judges()
    if str(name) in known:
        return known[str(name)]
    if Path(name).is_file():
        return JudgePrompt.from_mapping(read_yaml(Path(name)), file=name)
    raise InputError(f"no judge's prompt is called '{name}'", hint=suggestion(str(name), known))


def judge(
    run: str | Path, backend: Backend, prompt: str | Path, *, batch_size: int = 8, retry_failed: bool = False
) -> dict[str, Any]:
    """Have every answer of a run judged; what was judged before a stop is kept.

    Args:
        run: folder of a run on questions without options; gets ``judged-NAME/``.
        backend: the judge, who sees text alone.
        prompt: see :func:`judge_prompt`.
        batch_size: answers per call.
        retry_failed: ask again about those it could not be asked about.

    Returns:
        What ``judged-NAME/metrics.json`` holds: ``accuracy`` (what could not be read counts as wrong, as the public
        evaluator of ActivityNet-QA has it), ``accuracy_of_judged`` (without those, as EgoTempo's), ``score`` (mean, 0
        to 5, of the judged), each with an interval clustered by video; ``counts``.

    Raises:
        InputError: the folder holds no finished run of this kind, the judge cannot write, or it was begun otherwise.
    """
    check_capability(backend, "generate")
    folder, form = Path(run), judge_prompt(prompt)
    if not (folder / WRITTEN).is_file() or not (folder / METRICS).is_file():
        raise InputError(
            "is no finished run on questions without options", file=folder, hint="make one with: llavaction eval ..."
        )
    answers = [answer for answer in read_records(folder / WRITTEN, WrittenAnswer, journal=True) if answer.answers]
    if not answers:
        raise InputError("has no answer that words could match", file=folder / WRITTEN)
    name = Path(prompt).stem
    with RunFolder(folder / f"judged-{name}") as home:
        journal = home.journal(JUDGEMENTS, Judgement, "question_id")
        settings = {"schema_version": 1, "judge": backend.name, "prompt": form.model_dump(), "answers": len(answers)}
        settings |= {"resolved": {"backend_settings": backend_settings(backend)}}
        home.settle(settings, started=bool(journal.done), free=free_keys(backend))
        keep_in(home, backend)

        def ask(batch: Sequence[_Item], clips: Clips) -> list[Judgement]:
            said = replies(backend, {item.query_id: form.fill(item.answer) for item in batch if _given(item)})
            return [_judgement(item.answer, form, said.get(item.query_id)) for item in batch]

        pace = Pace(batch_size=batch_size, retry_failed=retry_failed)
        items = [_Item(answer) for answer in answers]
        judgements, _ = go_through(home, journal, items, ask, pace, f"judging by {backend.name}")
        metrics = judged(judgements)
        home.complete(metrics)
    return metrics


def judged(judgements: Sequence[Judgement], seed: int = 0) -> dict[str, Any]:
    """The figures of :func:`judge`."""
    bootstrap = ClusteredBootstrap([one.video_id for one in judgements], seed=seed)
    right = np.array([one.right is True for one in judgements])
    read = np.array([one.right is not None for one in judgements])
    scored = np.array([one.score is not None for one in judgements])
    scores = np.array([one.score or 0.0 for one in judgements])
    kinds = sorted({one.kind for one in judgements} - {""})
    return {
        "schema_version": 1,
        "accuracy": bootstrap.interval(right).rounded(),
        "accuracy_of_judged": bootstrap.interval(right, read).rounded() if read.any() else None,
        "score": bootstrap.interval(scores, scored).rounded() if scored.any() else None,
        "kinds": {
            kind: bootstrap.interval(right, np.array([one.kind == kind for one in judgements])).rounded()
            for kind in kinds
        },
        "counts": {
            "answers": len(judgements),
            "judged": int(read.sum()),
            "unread": sum(one.right is None and one.error is None for one in judgements),
            "failed": sum(one.error is not None for one in judgements),
        },
    }


def read_verdict(text: str, form: JudgePrompt) -> tuple[bool | None, float | None]:
    """Whether a judge calls an answer right, and its score; None for what cannot be read.

    A dictionary in Python's or JSON's form is read wherever it stands; where there is none, a reply that is one of the
    two words alone.
    """
    verdicts: set[tuple[bool | None, float | None]] = set()
    for match in _DICTIONARY.finditer(text):
        if (values := _mapping(match[0])) is not None and "pred" in values:
            verdicts.add((_verdict(values["pred"], form), _score(values.get("score"))))
    if len(verdicts) == 1:
        return verdicts.pop()
    return (None, None) if verdicts else (_verdict(text, form), None)


def _given(item: _Item) -> bool:
    return item.answer.text is not None and item.answer.text.strip() != ""


def _judgement(answer: WrittenAnswer, form: JudgePrompt, said: str | InputError | None) -> Judgement:
    facts: dict[str, Any] = {"question_id": answer.question_id, "video_id": answer.video_id, "kind": answer.kind}
    if said is None:  # nothing was written: wrong, and nobody need be asked
        return Judgement(**facts, right=False, score=0.0)
    if isinstance(said, InputError):
        return Judgement(**facts, error=str(said))
    right, score = read_verdict(said, form)
    return Judgement(**facts, right=right, score=score, text=said)


def _mapping(text: str) -> Mapping[str, Any] | None:
    for read in (ast.literal_eval, json.loads):
        try:
            values = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(values, dict):
            return {str(name).lower(): value for name, value in values.items()}
    return None


def _verdict(value: Any, form: JudgePrompt) -> bool | None:
    word = str(value).strip().strip(".!\"'*").lower()
    return {form.right.lower(): True, form.wrong.lower(): False}.get(word)


def _score(value: Any) -> float | None:
    try:
        score = float(value)
    except (TypeError, ValueError):
        return None
    return score if 0 <= score <= BEST else None
