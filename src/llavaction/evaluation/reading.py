"""How a run reads written answers: by our parser, as published, or as a benchmark's public evaluator does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llavaction.base.errors import InputError
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.official import OFFICIAL_PARSERS, official_parser
from llavaction.evaluation.official.outcomes import Outcome, credit, said
from llavaction.evaluation.parsing import ParsedAnswer, parse_answer, parse_as_published
from llavaction.questions.schema import BenchmarkCard


@dataclass(frozen=True)
class Reading:
    """What was read from a text.

    Attributes:
        parsed: the choice, and the rule it rests on.
        credit: what it counts for where a public evaluator read it, "left out" of the denominator; else None.
    """

    parsed: ParsedAnswer
    credit: float | Literal["left out"] | None = None


Reader = Callable[[str, Sequence[str], int | None], Reading]
"""Takes the text, the options' texts and the index of the right one, which only public evaluators look at."""


def readable(config: RunConfig, card: BenchmarkCard) -> RunConfig:
    """The settings of a run with the name of the public evaluator that reads its answers, if one does.

    Raises:
        InputError: neither the settings nor the benchmark names one, or there is none of that name.
    """
    if config.parsing != "official":
        return config
    name = config.parser or (card.source.parser if card.source else None)
    if name is None:
        raise InputError(
            f"parsing 'official' needs the public evaluator that reads the answers; benchmark '{card.name}' names none",
            hint=f"give --parser with one of: {', '.join(sorted(OFFICIAL_PARSERS))}",
        )
    official_parser(name)
    return config.model_copy(update={"parser": name})


def reader_of(parsing: str, parser: str | None = None) -> Reader:
    """The way of reading that settings name.

    Raises:
        InputError: there is no such public evaluator.
    """
    if parsing != "official" or parser is None:
        parse = parse_as_published if parsing == "published" else parse_answer
        return lambda text, options, _: Reading(parse(text, options))
    official = official_parser(parser)
    return lambda text, options, answer: as_reading(official(text, options), options, answer, parser)


def as_reading(outcome: Outcome, options: Sequence[str], answer: int | None, name: str) -> Reading:
    """What a public evaluator made of a text, as a prediction keeps it: a choice only where there is a single one."""
    worth = credit(outcome, answer, len(options))
    rule = f"official {name}: {said(outcome, len(options))}"
    choice = outcome if isinstance(outcome, int) else None
    parsed = ParsedAnswer(choice, "unparsed" if choice is None else "parsed", rule)
    return Reading(parsed, "left out" if worth is None else worth)
