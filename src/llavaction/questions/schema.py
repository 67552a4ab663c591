"""Questions and the benchmark folder that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from llavaction.actions.segments import Clip, Segment
from llavaction.base.collection import no_collection
from llavaction.base.errors import InputError
from llavaction.base.records import Record, Strict, read_json, read_records, write_json, write_records
from llavaction.base.text import same_when_read
from llavaction.questions.asked import LETTERS, Asked
from llavaction.questions.prompt_template import PromptTemplate
from llavaction.questions.subtitles import SUBTITLES, Subtitle, read_subtitles, write_subtitles
from llavaction.runs.identity import hold_to_card

UNKNOWN = "unknown"
"""Miner, text protocol or licence of questions whose source does not tell."""


class Option(Strict):
    """One possible answer. ``action`` is its (verb class, noun class), or None where the source has no classes."""

    text: str = Field(min_length=1)
    action: tuple[int, int] | None = None


class Provenance(Strict):
    """Where a question's distractors and texts come from."""

    miner: str
    rank: tuple[int, ...] = Field(
        default=(), description="per option, its place in the miner's list (0 best, -1 the answer)"
    )
    text_pool: str = Field(description="text protocol, see questions/texts.py")
    seed: int = 0


class Question(Record):
    """A multiple-choice question about one clip."""

    question_id: str
    clip: Clip
    question: str
    options: tuple[Option, ...] = Field(min_length=2, max_length=len(LETTERS))
    answer: int | None = Field(ge=0, description="index of the right option; None where its makers keep it hidden")
    provenance: Provenance | None = Field(default=None, description="None where the source does not tell it")
    facts: Mapping[str, str] = Field(
        default_factory=dict, description="what else the source tells of it, for groups and official metrics"
    )

    @model_validator(mode="after")
    def _is_answerable(self) -> Question:
        if self.answer is not None and self.answer >= len(self.options):
            raise ValueError(f"answer {self.answer} but only {len(self.options)} options")
        texts = [option.text for option in self.options]
        if len(set(map(same_when_read, texts))) < len(texts):
            raise ValueError(f"two options have the same text to a reader: {texts}")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_facts(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        return values if self.facts else {name: value for name, value in values.items() if name != "facts"}

    @classmethod
    def of_segment(
        cls,
        segment: Segment,
        question: str,
        options: Sequence[Option],
        order: NDArray[np.integer[Any]],
        provenance: Provenance,
    ) -> Question:
        """A question about a segment.

        Args:
            segment: what it is about.
            question: in words.
            options: the right one first.
            order: in which they are put, [options].
            provenance: of the options.
        """
        return cls(
            question_id=segment.segment_id,
            clip=segment.clip,
            question=question,
            options=tuple(options[i] for i in order),
            answer=int(np.flatnonzero(order == 0)[0]),
            provenance=provenance,
        )

    @property
    def truth(self) -> int:
        """Index of the right option.

        Raises:
            ValueError: it is hidden.
        """
        if self.answer is None:
            raise ValueError(f"the answer to '{self.question_id}' is hidden")
        return self.answer

    @property
    def right_option(self) -> Option:
        """The right option; as :attr:`truth`."""
        return self.options[self.truth]

    @property
    def answer_letter(self) -> str:
        """The letter of the right option: A for the first and so on; as :attr:`truth`."""
        return LETTERS[self.truth]

    @property
    def lettered_options(self) -> list[str]:
        """The options as "A. wash plate", "B. ..."."""
        return self.asked.lettered_options

    @property
    def asked(self) -> Asked:
        """What is asked, without the answer."""
        texts = tuple(option.text for option in self.options)
        return Asked(self.question_id, self.clip, self.question, texts)


class _Sparse(Strict):
    """Written without the fields that are None."""

    @model_serializer(mode="wrap")
    def _given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value is not None}


class Source(_Sparse):
    """Where a benchmark's questions come from, and what its makers measure."""

    url: str | None = Field(default=None, description="Address of the benchmark's files.")
    citation: str | None = Field(default=None, description="Publication of the benchmark.")
    version: str | None = Field(default=None, description="Commit, date or number of the files.")
    licence: str | None = Field(default=None, description="Licence of questions and answers.")
    metric: str | None = Field(default=None, description="Official metric, in words.")
    metric_source: str | None = Field(default=None, description="Where the official metric's code stands.")
    prompt: PromptTemplate | None = Field(default=None, description="Official prompt, word for word.")
    parser: str | None = Field(
        default=None, description="Which official reading of written answers is its own, see evaluation/official/."
    )
    scorer: str | None = Field(
        default=None, description="Official metric beyond accuracy, see evaluation/official/scorers.py."
    )
    submission: Literal["indices", "letters"] | None = Field(
        default=None, description="How its server takes answers: by id, as an index from 0 or as a letter."
    )
    faults: tuple[str, ...] | None = Field(default=None, description="Known faults of the release, each in a sentence.")


class BenchmarkCard(_Sparse, Record):
    """What a benchmark folder is and how it was made."""

    name: str
    version: str = "1"
    split: str
    miner: str = UNKNOWN
    text: str = UNKNOWN
    options: int = Field(description="of a question; the most where their number varies")
    seed: int = 0
    licence: str = UNKNOWN
    made_by: str
    sources: Mapping[str, str] = Field(description="file name to sha256 of its bytes")
    counts: Mapping[str, int] = Field(default_factory=dict)
    settings: Mapping[str, Any] = Field(default_factory=dict, description="the miner's and filter's settings")
    notes: tuple[str, ...] = ()
    source: Source | None = Field(default=None, description="of questions that were not made here")


class ClassFacts(Strict):
    """An action class that stands in some option: its readable names and how often it occurs in training."""

    action: tuple[int, int]
    verb: str
    noun: str
    train_count: int = Field(ge=0)


class Facts(Record):
    """What is known of the options beyond the questions themselves; all that the audit and the prior need.

    ``train_texts`` counts each option text in the training split: the class's segments where texts are class labels,
    the segments so narrated where they are narrations. Everything is 0 where there is no training split.
    """

    classes: tuple[ClassFacts, ...] = ()
    train_texts: Mapping[str, int] = Field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="official sub-populations ('tail verbs', ...) as question ids"
    )
    sets: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="questions that an official metric scores together, in their order, as ids"
    )

    @model_serializer(mode="wrap")
    def _without_empty_sets(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        return values if self.sets else {name: value for name, value in values.items() if name != "sets"}

    def verb_name(self, verb: int) -> str:
        """Readable name of a verb class."""
        return self._verbs.get(verb, f"verb {verb}")

    def noun_name(self, noun: int) -> str:
        """Readable name of a noun class."""
        return self._nouns.get(noun, f"noun {noun}")

    def action_name(self, action: tuple[int, int]) -> str:
        """Readable name of an action class."""
        return f"{self.verb_name(action[0])} {self.noun_name(action[1])}".rstrip()

    @property
    def one_label(self) -> bool:
        """Whether actions are single labels, not verbs with nouns."""
        return bool(self.classes) and not any(entry.noun for entry in self.classes)

    @cached_property
    def train_counts(self) -> dict[tuple[int, int], int]:
        """How often each class occurs in training."""
        return {entry.action: entry.train_count for entry in self.classes}

    @cached_property
    def _verbs(self) -> dict[int, str]:
        return {entry.action[0]: entry.verb for entry in self.classes}

    @cached_property
    def _nouns(self) -> dict[int, str]:
        return {entry.action[1]: entry.noun for entry in self.classes}


@dataclass(frozen=True)
class Benchmark:
    """A benchmark folder: ``questions.jsonl``, ``facts.json``, ``card.json`` and, after an audit, ``audit.json``.

    Where videos have subtitles there is ``subtitles.jsonl``.
    """

    questions: Sequence[Question]
    card: BenchmarkCard
    facts: Facts = field(default_factory=Facts)
    folder: Path | None = field(default=None, compare=False)
    subtitles: Mapping[str, Sequence[Subtitle]] = field(default_factory=dict)

    @property
    def with_answers(self) -> list[Question]:
        """The questions whose answers are not hidden."""
        return [question for question in self.questions if question.answer is not None]

    def save(self, folder: str | Path) -> Benchmark:
        """Write the folder: a former card goes first, the new one comes last, so a folder with a card is complete.

        Raises:
            InputError: the folder holds a benchmark made otherwise.
        """
        folder = Path(folder)
        hold_to_card(folder, self.card.model_dump(mode="json"))
        for name in ("card.json", "audit.json"):
            (folder / name).unlink(missing_ok=True)
        write_records(folder / "questions.jsonl", self.questions)
        write_json(folder / "facts.json", self.facts.model_dump(mode="json"))
        write_subtitles(folder / SUBTITLES, self.subtitles)
        write_json(folder / "card.json", self.card.model_dump(mode="json"))
        return Benchmark(self.questions, self.card, self.facts, folder, self.subtitles)

    @classmethod
    def load(cls, folder: str | Path) -> Benchmark:
        """Read and validate a folder.

        Raises:
            InputError: a file is missing or damaged, or two questions have the same id.
        """
        folder = Path(folder)
        if not (folder / "card.json").is_file():
            raise InputError(
                "not a benchmark folder: it has no card.json",
                file=folder,
                hint="make one with: llavaction benchmark build --annotations DIR --split S --output DIR",
            )
        card = BenchmarkCard.from_mapping(read_json(folder / "card.json"), file=folder / "card.json")
        with no_collection():
            questions = list(read_records(folder / "questions.jsonl", Question))
        line_of: dict[str, int] = {}
        for line, question in enumerate(questions, start=1):
            if question.question_id in line_of:
                raise InputError(
                    f"question id '{question.question_id}' is also on line {line_of[question.question_id]}",
                    file=folder / "questions.jsonl",
                    line=line,
                )
            line_of[question.question_id] = line
        if not questions:
            raise InputError("holds no questions", file=folder / "questions.jsonl")
        facts = folder / "facts.json"
        benchmark_facts = Facts.from_mapping(read_json(facts), file=facts) if facts.is_file() else Facts()
        return cls(questions, card, benchmark_facts, folder, read_subtitles(folder / SUBTITLES))
